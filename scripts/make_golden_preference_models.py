#!/usr/bin/env python3
"""Makes tests/golden/preference/tiny_*.safetensors: preference pairs through models of three families.

A tiny model and its adapter from tests/golden (make_golden.py) give the log-probabilities of the answers, the same model
with the adapter off those of the reference, and TRL's methods (make_golden_preference.py) the loss and the rewards. Each
file holds, all in f32:

    tokens.<i>, supervised.<i>      sequences 2 k and 2 k + 1 are the chosen and the rejected side of pair k
    <kind>.settings                 beta, label smoothing, margin, weight of the likelihood
    <kind>.loss                     of the batch
    <kind>.metrics                  means of the rewards of chosen and of rejected answers, of their margins, and accuracy
    <kind>.grad.<path>.lora_A, .lora_B

Models and sums are computed in float64, except where transformers itself rounds to float32. Run in an environment with
torch, transformers, peft, gguf and trl; the files in the repository come from torch 2.13.0, transformers 5.24.0, peft 0.21.2,
trl 1.16.
"""
import pathlib

import torch
from make_golden import FIXTURES, adapter_parameters
from make_golden_preference import measure
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
NAMES = ["llama3", "gemma2", "gpt2"]
PAIRS = 4
SETTINGS = {  # beta, label smoothing, margin, likelihood
    "dpo": (0.3, 0.1, 0.0, 0.5), "ipo": (0.4, 0.0, 0.0, 0.25), "orpo": (0.5, 0.0, 0.0, 0.0), "simpo": (2.0, 0.2, 0.7, 0.5),
}


def make_sides(generator, vocab):
    """(tokens, supervised) of both sides of each pair: one prompt, and answers of 1 to 9 tokens."""
    def draw(least, most):
        length = torch.randint(least, most + 1, (1,), generator=generator).item()
        return torch.randint(0, vocab, (length,), generator=generator)

    sides = []
    for _ in range(PAIRS):
        prompt = draw(1, 6)
        for _ in range(2):
            answer = draw(1, 9)
            sides.append((torch.cat([prompt, answer]), torch.cat([torch.zeros(len(prompt)), torch.ones(len(answer))]) > 0))
    return sides


def log_probs(model, sides):
    """[2 P, T]: of the supervised tokens of the chosen sides, then of the rejected ones; 0 beyond their numbers."""
    rows = []
    for tokens, supervised in sides[::2] + sides[1::2]:
        logits = model(input_ids=tokens[None]).logits[0].double()
        rows.append(torch.log_softmax(logits[:-1], dim=1).gather(1, tokens[1:, None])[:, 0][supervised[1:]])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def open_model(folder, fixture):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **fixture.lora)).double().train()
    values = load_file(folder / "golden.safetensors")
    with torch.no_grad():
        for path, matrix, p in adapter_parameters(model):
            p.copy_(values[f"adapter.{path}.{matrix}"])
    return model


def make(name):
    model = open_model(GOLDEN / f"tiny_{name}", FIXTURES[name])
    sides = make_sides(torch.Generator().manual_seed(FIXTURES[name].seed), model.config.get_text_config().vocab_size)
    lengths = [int(supervised.sum()) for _, supervised in sides[::2] + sides[1::2]]
    with torch.no_grad(), model.disable_adapter():
        reference = log_probs(model, sides).sum(dim=1)
    out = {f"tokens.{i}": tokens for i, (tokens, _) in enumerate(sides)}
    out |= {f"supervised.{i}": supervised for i, (_, supervised) in enumerate(sides)}
    for kind, settings in SETTINGS.items():
        model.zero_grad()
        loss, rewards = measure(kind, log_probs(model, sides), reference, lengths, *settings)
        loss.backward()
        chosen, rejected = rewards.detach().chunk(2)
        out[f"{kind}.settings"] = torch.tensor(settings)
        out[f"{kind}.loss"] = loss.detach().reshape(1)
        out[f"{kind}.metrics"] = torch.stack([chosen.mean(), rejected.mean(), (chosen - rejected).mean(),
                                              (chosen > rejected).double().mean()])
        for path, matrix, p in adapter_parameters(model):
            out[f"{kind}.grad.{path}.{matrix}"] = p.grad.clone()
        print(name, kind, loss.item(), out[f"{kind}.metrics"].tolist())
    path = GOLDEN / "preference" / f"tiny_{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file({key: value.to(torch.float32).contiguous() for key, value in out.items()}, path)


if __name__ == "__main__":
    for each in NAMES:
        make(each)
