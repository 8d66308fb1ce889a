#!/usr/bin/env python3
"""Writes tests/golden/preference.json: losses, gradients and rewards of TRL's preference objectives, in float64.

The methods of TRL's trainers are called on objects that have only what they read, with random log-probabilities of the
tokens of some pairs: DPOTrainer._compute_loss ("sigmoid", "ipo", and "sft" for the likelihood),
ORPOTrainer.odds_ratio_loss and CPOTrainer.cpo_loss ("simpo"). Gradients are autograd's. A row:

    kind, beta, label_smoothing, margin, likelihood     the settings
    pairs       [x, r, n] of the chosen answer and [x, r, n] of the rejected one: sums of the log-probabilities under the
                policy and under the reference, and the number of tokens
    loss        of the batch
    slopes      [dloss/dx chosen, dloss/dx rejected] of each pair
    rewards     [chosen, rejected] of each pair

dpo with label smoothing, which DPOTrainer does not have, is (1 - e) times its loss plus e times that of the swapped
pairs. Run in an environment with torch and trl; the file in the repository comes from torch 2.13.0, trl 1.16.
"""
import collections
import json
import pathlib
import types

import torch
from trl import DPOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

torch.set_default_dtype(torch.float64)
torch.Tensor.float = lambda self: self.double()  # ORPOTrainer and the metrics would round to float32

PROMPT = 2
ACCELERATOR = types.SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)


def dpo_trainer(tokens, reference, lengths, loss_type, beta, likelihood):
    """loss, rewards; tokens [2 P, T]: those of the chosen answers, then those of the rejected; 0 beyond their lengths."""
    trainer = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True), accelerator=ACCELERATOR, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[loss_type, "sft"], loss_weights=[1.0, likelihood],
        label_smoothing=0.0, beta=beta, use_weighting=False, _metrics={"train": collections.defaultdict(list)},
        _total_train_tokens=0, _tp_size=1)
    rows, longest = tokens.shape
    width = PROMPT + longest
    mask = torch.zeros(rows, width, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, PROMPT:PROMPT + length] = 1
    padded = torch.cat([torch.zeros(rows, PROMPT - 1), tokens], dim=1)
    output = types.SimpleNamespace(log_probs=padded, entropy=torch.zeros_like(padded), mean_logits=torch.zeros_like(padded),
                                   is_top1=torch.zeros_like(padded, dtype=torch.bool))
    half = rows // 2
    inputs = {"input_ids": torch.zeros(rows, width, dtype=torch.long), "attention_mask": torch.ones(rows, width, dtype=torch.long),
              "completion_mask": mask, "ref_chosen_logps": reference[:half], "ref_rejected_logps": reference[half:]}
    return DPOTrainer._compute_loss(trainer, lambda **_: output, inputs, False)


def swap(x):
    half = len(x) // 2
    return torch.cat([x[half:], x[:half]]) if torch.is_tensor(x) else x[half:] + x[:half]


def measure(kind, tokens, reference, lengths, beta, label_smoothing, margin, likelihood):
    """loss, rewards [2 P]"""
    half = len(lengths) // 2
    sums, counts = tokens.sum(dim=1), torch.tensor(lengths)
    pooled = -sums[:half].sum() / counts[:half].sum()
    means = sums / counts
    if kind in ("dpo", "ipo"):
        loss_type = {"dpo": "sigmoid", "ipo": "ipo"}[kind]
        loss = dpo_trainer(tokens, reference, lengths, loss_type, beta, likelihood)
        if label_smoothing:
            swapped = dpo_trainer(swap(tokens), swap(reference), swap(lengths), loss_type, beta, 0.0)
            loss = (1 - label_smoothing) * (loss - likelihood * pooled) + label_smoothing * swapped + likelihood * pooled
        return loss, beta * (sums - reference)
    if kind == "orpo":
        trainer = types.SimpleNamespace(beta=beta, accelerator=ACCELERATOR)
        ratios, chosen, rejected, _, _ = ORPOTrainer.odds_ratio_loss(trainer, means[:half], means[half:])
        return (1 + likelihood) * pooled - ratios.mean(), torch.cat([chosen, rejected])
    trainer = types.SimpleNamespace(beta=beta, accelerator=ACCELERATOR, alpha=0.0, loss_type="simpo", simpo_gamma=margin,
                                    label_smoothing=label_smoothing)
    losses, chosen, rejected = CPOTrainer.cpo_loss(trainer, means[:half], means[half:])
    return losses.mean() + likelihood * pooled, torch.cat([chosen, rejected])


def make_row(generator, kind, pairs, scale, **settings):
    lengths = torch.randint(1, 9, (2 * pairs,), generator=generator).tolist()
    tokens = torch.zeros(2 * pairs, max(lengths))
    for row, length in enumerate(lengths):
        tokens[row, :length] = -scale * torch.rand(length, generator=generator)
    reference = tokens.sum(dim=1) + scale * torch.randn(2 * pairs, generator=generator)
    tokens.requires_grad_()
    loss, rewards = measure(kind, tokens, reference, lengths, **settings)
    loss.backward()
    sums, slopes = tokens.detach().sum(dim=1).tolist(), tokens.grad[:, 0].tolist()
    answers = list(zip(sums, reference.tolist(), lengths))
    return {"kind": kind, **settings, "pairs": [[list(answers[i]), list(answers[i + pairs])] for i in range(pairs)],
            "loss": loss.item(), "slopes": [[slopes[i], slopes[i + pairs]] for i in range(pairs)],
            "rewards": [[rewards[i].item(), rewards[i + pairs].item()] for i in range(pairs)]}


def main():
    generator = torch.Generator().manual_seed(34)
    rows = []
    for kind in ("dpo", "ipo", "orpo", "simpo"):
        for label_smoothing in (0.0, 0.2) if kind in ("dpo", "simpo") else (0.0,):
            for likelihood in (0.0, 0.5):
                for scale, beta in ((0.001, 0.1), (1.0, 0.1), (3.0, 2.0), (40.0, 0.5)):
                    rows.append(make_row(generator, kind, len(rows) % 4 + 1, scale, beta=beta, label_smoothing=label_smoothing,
                                         margin=0.7 if kind == "simpo" else 0.0, likelihood=likelihood))
    out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "preference.json"
    out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")
    print(len(rows), "rows")


if __name__ == "__main__":
    main()
