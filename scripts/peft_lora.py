#!/usr/bin/env python3
"""The peer of bench_vs_peft.sh: the same training steps with torch and PEFT.

Every linear layer adapted, alpha = 2 r, no dropout, every token supervised, --batch sequences of --length random
tokens a step, AdamW. Prints one JSON object: tokens per second of the best step after the first, and the largest
resident memory.
"""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="a Hugging Face folder, or a .gguf file")
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--length", type=int, default=512)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--compile", action="store_true", help="torch.compile the model first")
arguments = parser.parse_args()

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.manual_seed(0)
torch.set_num_threads(arguments.threads)
source = os.path.abspath(arguments.model)
if source.endswith(".gguf"):
    base = AutoModelForCausalLM.from_pretrained(
        os.path.dirname(source), gguf_file=os.path.basename(source), dtype=torch.float32)
else:
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
config = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules="all-linear", task_type="CAUSAL_LM")
model = get_peft_model(base, config).train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
if arguments.compile:
    model = torch.compile(model)
tokens = torch.randint(0, base.config.vocab_size, (arguments.batch, arguments.length))

seconds = []
for _ in range(arguments.steps):
    start = time.perf_counter()
    model(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds.append(time.perf_counter() - start)
print(json.dumps({
    "tokens_per_second": tokens.numel() / min(seconds[1:] or seconds),
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
