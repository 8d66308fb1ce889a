#!/usr/bin/env python3
"""What the programs that serve adapters make of exports: PEFT, transformers and the gguf package.

    export_clients.py make WORK GOLDEN    makes an adapter with PEFT for each model, in WORK/MODEL
    export_clients.py check WORK GOLDEN   checks the exports of these adapters, WORK/MODEL-peft and WORK/MODEL-merged
    export_clients.py probe MODEL ADAPTER PROBE.h5   compares PEFT's logits with those of `mpilora probe`
    export_clients.py beside RUN   reads the model card and the history that are beside the adapter of a run
    export_clients.py gguf BASE MERGED    reads a merged GGUF file
"""

import json
import math
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402

# A Conv1D, a fused q, k, v of each order, a fused gate and up, an own head, shards, layers under another name.
MODELS = ["tiny_gpt2", "tiny_falcon", "tiny_gpt_neox", "tiny_phi3", "tiny_qwen2", "tiny_sharded", "tiny_gemma3"]
LOGITS = 2e-5  # largest difference over the largest logit


def load(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].double()


def compare(name, got, wanted, most=LOGITS):
    off = ((got - wanted).abs().max() / wanted.abs().max()).item()
    print(f"{name}: {off:.2g}")
    if not off <= most:
        sys.exit(f"{name}: the logits are {off} of the largest one off, at most {most} is right")


def make(work, golden):
    for name in MODELS:
        torch.manual_seed(7)
        model = load(f"{golden}/{name}")
        adapter = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", use_rslora=True,
                                                   init_lora_weights=False, task_type="CAUSAL_LM"))
        adapter.save_pretrained(f"{work}/{name}")


def check(work, golden):
    tokens = list(range(3, 20))
    for name in MODELS:
        base = load(f"{golden}/{name}")
        wanted = logits(PeftModel.from_pretrained(base, f"{work}/{name}"), tokens)
        exported = PeftModel.from_pretrained(load(f"{golden}/{name}"), f"{work}/{name}-peft")
        compare(f"{name}, PEFT", logits(exported, tokens), wanted)
        merged = load(f"{work}/{name}-merged")
        compare(f"{name}, transformers", logits(merged, tokens), wanted)
        # PEFT adds in f32: within one rounding of what was added in float64.
        own, theirs = merged.state_dict(), exported.merge_and_unload().state_dict()
        assert own.keys() == theirs.keys(), own.keys() ^ theirs.keys()
        for key, value in own.items():
            step = torch.finfo(torch.float32).eps * value.abs().clamp(min=value.abs().mean())
            off = ((theirs[key] - value).abs() / step).max().item()
            if off > 4:
                sys.exit(f"{name}: {key} is {off} roundings from what PEFT merges")


def probe(model, adapter, path):
    import h5py
    wrapped = PeftModel.from_pretrained(load(model), adapter)
    with h5py.File(path) as f:
        for number, example in f["examples"].items():
            tokens = example["tokens"][()].tolist()
            compare(f"example {number}", logits(wrapped, tokens), torch.from_numpy(example["logits"][()]).double())


def beside(run):
    from huggingface_hub import ModelCard
    with open(f"{run}/metrics.jsonl") as lines:
        rows = [json.loads(line) for line in lines]
    path = f"{run}/adapter/trainer_state.json"
    state = transformers.TrainerState.load_from_json(path)
    keys = "step", "epoch", "loss", "learning_rate", "grad_norm"
    assert [r for r in state.log_history if "loss" in r] == [{k: r[k] for k in keys} for r in rows]
    keys = "step", "epoch", "eval_loss"
    evaluations = [{k: r[k] for k in keys} for r in rows if "eval_loss" in r]
    assert [r for r in state.log_history if "loss" not in r] == evaluations and len(evaluations) == 3
    best = min(evaluations, key=lambda r: r["eval_loss"])
    assert (state.best_metric, state.best_global_step) == (best["eval_loss"], best["step"]), state
    assert state.epoch == rows[-1]["epoch"] and state.global_step == state.max_steps == len(rows), state
    assert state.num_train_epochs == math.ceil(state.epoch) and state.eval_steps == 2, state
    assert state.num_input_tokens_seen == sum(r["tokens"] for r in rows), state
    # What transformers itself writes of it.
    state.save_to_json(f"{run}/again.json")
    with open(path) as own, open(f"{run}/again.json") as theirs:
        assert list(json.load(own).items()) == list(json.load(theirs).items())
    card = ModelCard.load(f"{run}/adapter/README.md")
    assert card.data.to_dict() == {"base_model": "owner/tiny_1", "base_model_relation": "adapter", "library_name": "peft",
                                   "pipeline_tag": "text-generation", "tags": ["lora", "mpilora"]}, card.data
    print(card.text)


def read_gguf(base, merged):
    from gguf import GGUFReader
    was, now = GGUFReader(base), GGUFReader(merged)
    assert list(was.fields) == list(now.fields)
    for key, field in was.fields.items():
        if key != "GGUF.tensor_count":
            assert field.contents() == now.fields[key].contents(), key
    same = 0
    for a, b in zip(was.tensors, now.tensors, strict=True):
        assert a.name == b.name and (a.shape == b.shape).all(), (a.name, b.name)
        same += a.tensor_type == b.tensor_type and (a.data == b.data).all()
    assert 0 < same < len(was.tensors), same
    print(f"{same} of {len(was.tensors)} tensors are the base's")


{"make": make, "check": check, "probe": probe, "beside": beside, "gguf": read_gguf}[sys.argv[1]](*sys.argv[2:])
