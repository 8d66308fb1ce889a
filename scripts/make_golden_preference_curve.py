#!/usr/bin/env python3
"""Makes tests/golden/preference: 20 steps of preference training by TRL's own trainers.

    pairs.jsonl     24 pairs
    adapter         a PEFT adapter of the model of tests/support/make_tiny_model.py, with random A and B, to start from
    curves.json     for each objective: the options of mpilora that say the same, and the loss of each step

DPOTrainer (sigmoid, ipo), CPOTrainer (simpo) and ORPOTrainer in float32, batches of 6 pairs in the order of the file. Run in an
environment with torch, transformers, peft, datasets and trl; the files in the repository come from torch 2.13.0,
transformers 5.23.0, peft 0.21.2, trl 1.16.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "tests" / "golden" / "preference"
COMMON = {
    "per_device_train_batch_size": 6, "max_steps": 20, "learning_rate": 2e-3, "lr_scheduler_type": "constant",
    "optim": "adamw_torch", "weight_decay": 0.0, "max_grad_norm": 1.0, "report_to": [], "save_strategy": "no",
    "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "max_length": 200, "disable_tqdm": True,
}
ROWS = {
    "dpo": (DPOConfig, {"loss_type": ["sigmoid"], "beta": 0.2}, "--beta 0.2"),
    "dpo with likelihood": (DPOConfig, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5], "beta": 0.2},
                            "--beta 0.2 --sft-weight 0.5"),
    "ipo": (DPOConfig, {"loss_type": ["ipo"], "beta": 0.5}, "--beta 0.5"),
    "simpo": (CPOConfig, {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.6, "cpo_alpha": 0.25, "label_smoothing": 0.1},
              "--beta 2 --simpo-margin 0.6 --sft-weight 0.25 --label-smoothing 0.1"),
    "orpo": (ORPOConfig, {"beta": 0.4}, "--beta 0.4 --train-on all"),
}
TRAINERS = {DPOConfig: DPOTrainer, CPOConfig: CPOTrainer, ORPOConfig: ORPOTrainer}


def make_pairs():
    random.seed(7)
    words = "alpha beta gamma delta the an in on job node rank queue".split()
    return [{"prompt": "run " + " ".join(random.choices(words, k=random.randint(1, 6))),
             "chosen": " " + " ".join(random.choices(words, k=random.randint(1, 5))) + " yes",
             "rejected": " no " + " ".join(random.choices(words, k=random.randint(1, 9)))} for _ in range(24)]


def make_adapter(folder):
    torch.manual_seed(11)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
                           LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.peft_config["default"].base_model_name_or_path = "tiny"
    model.save_pretrained(OUT / "adapter")
    (OUT / "adapter" / "README.md").unlink(missing_ok=True)


def in_order(trainer_class):
    class InOrder(trainer_class):
        """Takes the pairs as they come, and keeps every digit of the losses."""

        def _get_train_sampler(self, dataset=None):
            return SequentialSampler(self.train_dataset if dataset is None else dataset)

        def compute_loss(self, *args, **kwargs):
            result = super().compute_loss(*args, **kwargs)
            self.losses.append((result[0] if isinstance(result, tuple) else result).item())
            return result

    InOrder.losses = []
    return InOrder


def train(folder, work, pairs, config_class, settings):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = "<|endoftext|>"
    if config_class is not DPOConfig:
        tokenizer.bos_token = None  # these trainers would put it in front, which this tokenizer does not
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), OUT / "adapter",
                                      is_trainable=True)
    trainer_class = in_order(TRAINERS[config_class])
    trainer = trainer_class(model=model, args=config_class(output_dir=work, **COMMON, **settings),
                            train_dataset=Dataset.from_list(pairs), processing_class=tokenizer)
    trainer.train()
    return trainer.losses


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pairs = make_pairs()
    (OUT / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs), encoding="utf-8")
    with tempfile.TemporaryDirectory() as work:
        folder = work + "/model"
        subprocess.run([sys.executable, HERE.parent / "tests" / "support" / "make_tiny_model.py", folder], check=True)
        make_adapter(folder)
        curves = [{"objective": name.split()[0], "options": options, "losses": train(folder, work + "/out", pairs, config, settings)}
                  for name, (config, settings, options) in ROWS.items()]
    (OUT / "curves.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in curves) + "\n]\n", encoding="utf-8")
    for curve in curves:
        print(curve["objective"], curve["losses"][0], curve["losses"][-1])


if __name__ == "__main__":
    main()
