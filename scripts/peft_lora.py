#!/usr/bin/env python3
"""The peer of bench_vs_peft.sh and bench_quickstart_vs_peft.sh: the same training steps with torch and PEFT.

Every linear layer adapted, alpha = 2 r, no dropout, AdamW. Without --data: every token supervised, --batch sequences of
--length random tokens a step. With it: one epoch over a file of prompts and completions, tokenised beforehand as mpilora
does it, in batches padded to their longest example, loss on the completions.

Prints one JSON object. Times are of the steps alone.
"""

import argparse
import json
import math
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="a Hugging Face folder, or a .gguf file")
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="of base and activations; the adapter is f32")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=512, help="tokens of an example; with --data: at most")
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--compile", action="store_true", help="torch.compile the model first")
parser.add_argument("--data", help="JSONL file with a prompt and a completion on each line")
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--warmup-steps", type=int, default=0, help="of --data's epoch, whose rate then falls as a cosine")
arguments = parser.parse_args()

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

IGNORED = -100  # the label without a loss


def source():
    path = os.path.abspath(arguments.model)
    if path.endswith(".gguf"):
        return {"pretrained_model_name_or_path": os.path.dirname(path), "gguf_file": os.path.basename(path)}
    return {"pretrained_model_name_or_path": path}


def random_batches(vocabulary):
    tokens = torch.randint(0, vocabulary, (arguments.batch, arguments.length))
    return [{"input_ids": tokens, "labels": tokens}] * arguments.steps


def file_batches():
    tokenizer = AutoTokenizer.from_pretrained(**source())
    examples = []
    for line in open(arguments.data, encoding="utf-8"):
        row = json.loads(line)
        prompt, completion = (tokenizer.encode(row[key], add_special_tokens=False) for key in ("prompt", "completion"))
        tokens = prompt + completion + [tokenizer.eos_token_id]
        labels = [IGNORED] * len(prompt) + tokens[len(prompt):]
        examples.append((tokens[:arguments.length], labels[:arguments.length]))
    batches = []
    for first in range(0, len(examples), arguments.batch):
        rows = examples[first:first + arguments.batch]
        longest = max(len(tokens) for tokens, _ in rows)
        fill = [longest - len(tokens) for tokens, _ in rows]
        batches.append({
            "input_ids": torch.tensor([tokens + [0] * n for (tokens, _), n in zip(rows, fill)]),
            "labels": torch.tensor([labels + [IGNORED] * n for (_, labels), n in zip(rows, fill)]),
            "attention_mask": torch.tensor([[1] * len(tokens) + [0] * n for (tokens, _), n in zip(rows, fill)]),
        })
    return batches


def rate_at(step, steps):
    """Of the peak, for steps from 0: as mpilora's warmup and cosine."""
    warmup = arguments.warmup_steps
    if not arguments.data:
        return 1
    return (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def plain_weights():
    """What makes transformers expand a .gguf's weights: newer versions keep them packed, which would be another contest."""
    if arguments.model.endswith(".gguf") and hasattr(transformers, "GgufConfig"):
        return {"quantization_config": transformers.GgufConfig(dequantize=True)}
    return {}


def load_model():
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[arguments.dtype]
    base = AutoModelForCausalLM.from_pretrained(**source(), **plain_weights(), dtype=dtype)
    config = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    for name, module in model.named_modules():
        if name.endswith("base_layer") and (type(module) is not torch.nn.Linear or module.weight.dtype != dtype):
            raise SystemExit(f"{name} is {type(module).__name__} of {module.weight.dtype}: give the model as a folder")
    return model


def main():
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    peft_model = load_model()
    weights = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=arguments.learning_rate, weight_decay=0)
    model = torch.compile(peft_model) if arguments.compile else peft_model
    batches = file_batches() if arguments.data else random_batches(peft_model.config.vocab_size)

    seconds, losses = [], []
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = arguments.learning_rate * rate_at(number, len(batches))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)

    result = {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if arguments.data:
        result |= {
            "epoch_seconds": sum(seconds),
            "steps": len(batches),
            "tokens": sum(int(b["attention_mask"].sum()) for b in batches),
            "padded_tokens": sum(b["input_ids"].numel() for b in batches),
            "supervised_tokens": sum(int((b["labels"] != IGNORED).sum()) for b in batches),
            "first_loss": losses[0],
            "last_loss": losses[-1],
        }
    else:
        result["tokens_per_second"] = batches[0]["input_ids"].numel() / min(seconds[1:] or seconds)
    print(json.dumps(result))


main()
