#!/usr/bin/env python3
"""Makes the golden models of tests/golden/tiny_*: what torch, transformers and PEFT compute, for the unit tests of the model.

    make_golden.py NAME ...     those rows of FIXTURES below; without a name it lists them, with what each is for
    make_golden.py --check      makes all of them elsewhere and compares with the repository's
    make_golden.py --seeds 5 --output FOLDER NAME ...
                                five models of each row from other seeds, for what may not hang on one draw

A new family is a row. Each folder holds a tiny random model as it lies on disk (a Hugging Face folder, or a GGUF file)
and golden.safetensors:

    tokens.<i>, supervised.<i>      the examples (f32, so that one element type serves the file)
    logits.<i>                      [T, V] with the adapter, each example run by itself
    loss                            sum of the cross-entropy over supervised tokens / their number
    alpha                           scaling of a module is alpha / rank
    adapter.<path>.lora_A, .lora_B  values, B not zero
    grad.<path>.lora_A, .lora_B     gradient of loss
    curve                           losses of 20 steps: torch AdamW, lr 1e-3, gradient norm clipped to 1

With --smollm2 FILE.gguf it makes tests/golden/smollm2.safetensors instead: transformers' load of that file, dequantised
to f32: prompt.<i> (ids), ids.<i>, positions.<i>, logits.<i> [positions, ids] and greedy.<i> (32 tokens).

Run in an environment with torch, transformers, peft, safetensors and gguf; the files in the repository come from
torch 2.13.0, transformers 5.23.0 and 5.24.0, peft 0.21.2, safetensors 0.8.0, gguf 0.19.0. Everything is drawn from fixed seeds.
"""
import argparse
import dataclasses
import json
import math
import pathlib
import tempfile

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

STEPS = 20
CLOSE = 1e-5
SHAPE = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=1)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=1.0)
MINISTRAL3 = dict(YARN, original_max_position_embeddings=2048, beta_fast=64.0, mscale=1.0, mscale_all_dim=0.5,
                  llama_4_scaling_beta=0.1)
LONGROPE = dict(rope_type="longrope", rope_theta=100.0, partial_rotary_factor=0.75, short_factor=[1.0, 1.2, 1.5],
                long_factor=[1.1, 2.5, 4.0])
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NO_PAD = dict(pad_token_id=None)  # the class's own is outside of such a small vocabulary
NO_DROPOUT = dict(attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
EVERYTHING = dict(r=3, lora_alpha=6, target_modules=ALL)
PHI3 = dict(r=3, lora_alpha=6, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])
GLM4 = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"])
UNGATED = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"])
GPT2 = dict(r=3, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
PHI = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"])
GPT_NEOX = dict(r=3, lora_alpha=6, target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"])
GRANITE4 = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "input_linear", "output_linear"])
EXPERTS = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
QWEN3_MOE = dict(num_experts=5, num_experts_per_tok=3, moe_intermediate_size=12, head_dim=8)
GRANITE4_SHAPE = dict(num_local_experts=0, shared_intermediate_size=20, mamba_n_heads=4, attention_multiplier=0.2, residual_multiplier=0.22,
                      embedding_multiplier=4.0, logits_scaling=4.0)
STARCODER2 = dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"])


@dataclasses.dataclass
class Fixture:
    """A tiny model: of which family, what its configuration has beyond SHAPE, what is adapted."""
    purpose: str
    seed: int  # with experts, one by which no token is so near a tie of two experts that rounding in bf16 would choose
    family: str  # model_type
    config: dict = dataclasses.field(default_factory=dict)
    lora: dict = dataclasses.field(default_factory=lambda: EVERYTHING)
    dtype: torch.dtype = torch.float32
    shard_size: str = "1GB"
    change: object = None  # edits config.json as it is written
    gguf: str = ""         # general.architecture: a GGUF file with tensors of many types, instead of a folder
    norm: float = 1         # that the weights of norms lie around
    heads: float = 1        # factor of the weights of the norms of q and k: where scores have no scale, they would be too large
    embedding: float = 1    # size of the embedding's numbers
    permuted: bool = False  # its rows of q and k are interleaved, as those of Llama
    wrapper: str = ""       # model_type that the model is the text_config of, beside a tower of vision
    wrapper_config: dict = dataclasses.field(default_factory=dict)
    rename: dict = dataclasses.field(default_factory=dict)  # beginnings of tensors' names in the file
    steps: int = STEPS  # of the curve


def to_v4(config):
    """The key names of transformers 4."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype")


def to_gpt_neox_v4(config):
    """The key names of transformers 4."""
    rope = config.pop("rope_parameters")
    config |= {"rotary_pct": rope["partial_rotary_factor"], "rotary_emb_base": rope["rope_theta"]}


def to_published_gemma4(config):
    """The keys of published files; the class makes the last layer see all, whatever the list says."""
    full = next(iter(config.pop("per_layer_config").values()))
    config |= {"global_head_dim": full["head_dim"], "num_global_key_value_heads": 1}
    config["layer_types"][-1] = "sliding_attention"


def to_num_experts(config):
    config["num_experts"] = config.pop("num_local_experts")


VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
IN_LANGUAGE_MODEL = rf"(.*language_model.*\.({'|'.join(ALL)})|lm_head)"  # towers have modules of the same names
# How transformers 4 called what the file of a wrapper holds.
OLD_NAMES = {"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head.",
             "model.vision_tower.": "vision_tower.", "model.multi_modal_projector.": "multi_modal_projector."}

GEMMA4 = dict(hidden_size=32, head_dim=8, global_head_dim=16, num_global_key_value_heads=1, attention_k_eq_v=True,
              hidden_size_per_layer_input=0, sliding_window=4, num_hidden_layers=3,
              layer_types=["sliding_attention", "full_attention", "full_attention"],
              rope_parameters={"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 100.0},
                               "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})

GGUF_SIZES = dict(hidden_size=32, intermediate_size=32, head_dim=16)  # whole blocks of 32

FIXTURES = {
    "gqa": Fixture("grouped heads, a head of its own, which is adapted too", 10, "llama",
                   lora=dict(r=4, lora_alpha=8, target_modules=ALL + ["lm_head"])),
    "tied": Fixture("the embedding is the head, as many key heads as heads, bf16", 20, "llama",
                    dict(tie_word_embeddings=True, num_key_value_heads=4), dtype=torch.bfloat16),
    "bias": Fixture("biases everywhere, f16", 30, "llama", dict(attention_bias=True, mlp_bias=True), dtype=torch.float16),
    "llama3": Fixture("Llama 3.1's rotation, the keys of transformers 4, few modules adapted", 40, "llama",
                      dict(rope_parameters=dict(LLAMA3, rope_theta=1000.0)),
                      dict(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]), torch.bfloat16, change=to_v4),
    "sharded": Fixture("several files, a size of heads of its own, linear scaling, ranks that differ, layer 0 not adapted", 50,
                       "llama", dict(head_dim=8, num_hidden_layers=3,
                                     rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=500.0)),
                       dict(EVERYTHING, rank_pattern={"q_proj": 5, "down_proj": 1}, layers_to_transform=[1, 2]),
                       torch.bfloat16, shard_size="9KB"),
    "mistral": Fixture("Mistral", 60, "mistral", dict(sliding_window=None),
                       dict(r=3, lora_alpha=6, target_modules=["k_proj", "o_proj", "gate_proj", "up_proj"]), torch.bfloat16),
    "gguf": Fixture("a GGUF file: quantised, interleaved rows, divisors of the frequencies", 70, "llama",
                    dict(hidden_size=32, intermediate_size=32, attention_bias=True, tie_word_embeddings=True,
                         rope_parameters=dict(LLAMA3, rope_theta=1000.0)), gguf="llama", permuted=True),
    "qwen2": Fixture("Qwen2: biases of q, k and v alone", 80, "qwen2", dtype=torch.bfloat16),
    "qwen2_gguf": Fixture("Qwen2 as GGUF, whose rows are in order", 90, "qwen2",
                          dict(hidden_size=32, intermediate_size=32, tie_word_embeddings=True), gguf="qwen2"),
    "qwen2_window": Fixture("Qwen2 with a window on the later layers, a head of its own", 107, "qwen2",
                            dict(use_sliding_window=True, sliding_window=4, max_window_layers=1), dtype=torch.bfloat16),
    "smollm3": Fixture("SmolLM3: layers that do not rotate", 108, "smollm3",
                       dict(no_rope_layer_interval=2, attention_bias=True, mlp_bias=True, **NO_PAD),
                       dtype=torch.bfloat16, embedding=0.25),
    "granite": Fixture("Granite: four multipliers", 109, "granite",
                       dict(embedding_multiplier=12.0, attention_multiplier=0.2, residual_multiplier=0.22, logits_scaling=4.0,
                            tie_word_embeddings=True, attention_bias=True, mlp_bias=True), dtype=torch.bfloat16, embedding=0.25),
    "granite_head": Fixture("Granite with a head of its own, which is adapted too", 110, "granite",
                            dict(residual_multiplier=0.22, logits_scaling=3.0, num_key_value_heads=4),
                            dict(r=2, lora_alpha=6, target_modules=["o_proj", "down_proj", "lm_head"]), torch.bfloat16),
    "olmo2": Fixture("OLMo 2: norms of q and k whole, norms after the branches and none before", 111, "olmo2", NO_PAD,
                     dtype=torch.bfloat16),
    "exaone4": Fixture("EXAONE 4: layers under a window rotate, those that see all do not", 204, "exaone4",
                       dict(sliding_window=4, sliding_window_pattern=2), dtype=torch.bfloat16),
    "exaone4_full": Fixture("EXAONE 4 without a window: all layers rotate", 113, "exaone4",
                            dict(sliding_window=None, layer_types=["full_attention"] * 2, num_key_value_heads=4,
                                 tie_word_embeddings=True), dtype=torch.bfloat16, embedding=0.25),
    "seed_oss": Fixture("Seed-OSS: a bias of q, k and v alone, heads wider than the model", 114, "seed_oss",
                        dict(head_dim=8, attention_dropout=0.0, residual_dropout=0.0), dtype=torch.bfloat16),
    "phi3": Fixture("Phi-3: fused projections, a window", 115, "phi3", dict(sliding_window=5, **NO_PAD), PHI3, torch.bfloat16),
    "phi3_long": Fixture("Phi-3: longrope on part of a head, an example on each side of the original length", 116, "phi3",
                         dict(max_position_embeddings=64, original_max_position_embeddings=10, num_attention_heads=2,
                              tie_word_embeddings=True, rope_parameters=LONGROPE, **NO_PAD), PHI3, torch.bfloat16, embedding=0.25),
    "olmo3": Fixture("OLMo 3: yarn where a layer sees all, none under a window", 117, "olmo3",
                     dict(hidden_size=32, num_hidden_layers=3, sliding_window=4,
                          layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                          rope_parameters={"full_attention": dict(YARN, original_max_position_embeddings=2048, beta_fast=64.0),
                                           "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}},
                          **NO_PAD), dtype=torch.bfloat16),
    "glm4": Fixture("GLM-4: sandwich norms, a biased q, k and v, pairs in half of a head rotate", 210, "glm4",
                    dict(head_dim=8, **NO_PAD), GLM4, torch.bfloat16),
    "ernie4_5": Fixture("ERNIE 4.5: pairs rotate, biases everywhere", 119, "ernie4_5", dict(head_dim=8, use_bias=True),
                        dtype=torch.bfloat16, embedding=0.25),
    "hunyuan": Fixture("Hunyuan: norms of q and k after the rotation, alpha", 120, "hunyuan_v1_dense",
                       dict(head_dim=8, rope_parameters=dict(rope_type="dynamic", alpha=50.0, factor=1.0, rope_theta=100.0)),
                       dtype=torch.bfloat16),
    "ministral3": Fixture("Ministral 3: yarn by its own scales", 121, "ministral3",
                          dict(head_dim=8, rope_parameters=MINISTRAL3, max_position_embeddings=8192), dtype=torch.bfloat16),
    "arcee": Fixture("Arcee: an MLP without a gate, the square of ReLU", 122, "arcee", dict(attention_bias=True, mlp_bias=True),
                     UNGATED, torch.bfloat16),
    "nemotron": Fixture("Nemotron: LayerNorm by 1 + w, half of a head rotates", 123, "nemotron",
                        dict(head_dim=8, norm_eps=1e-3), UNGATED, torch.bfloat16, norm=0),
    "stablelm": Fixture("StableLM: LayerNorm, a quarter of a head rotates", 124, "stablelm",
                        dict(use_qkv_bias=True, hidden_size=32, num_attention_heads=2, num_key_value_heads=1, layer_norm_eps=1e-3),
                        dtype=torch.bfloat16),
    "starcoder2": Fixture("StarCoder2: LayerNorm, biases, GELU without a gate, a window", 225, "starcoder2",
                          dict(sliding_window=5, norm_epsilon=1e-3), STARCODER2, torch.bfloat16, embedding=0.25),
    "cohere": Fixture("Command R: branches side by side, LayerNorm without a bias, pairs rotate, scaled logits", 126, "cohere",
                      dict(logit_scale=0.5, layer_norm_eps=1e-3), dtype=torch.bfloat16, embedding=0.25),
    "cohere2": Fixture("Command R7B: layers under a window rotate, those that see all do not", 127, "cohere2",
                       dict(sliding_window=4, layer_types=["sliding_attention", "full_attention"], attention_bias=True,
                            num_key_value_heads=4), dtype=torch.bfloat16, embedding=0.25),
    "gpt2": Fixture("GPT-2: learned positions, transposed matrices, q, k and v in one", 130, "gpt2",
                    dict(n_inner=24, layer_norm_epsilon=1e-3, max_position_embeddings=1200, **NO_DROPOUT), GPT2, torch.bfloat16,
                    embedding=0.25),
    "gpt2_head": Fixture("GPT-2 with a head of its own, no size of the MLP, names without the first word", 131, "gpt2",
                         dict(num_attention_heads=2, tie_word_embeddings=False, layer_norm_epsilon=1e-3, max_position_embeddings=1200,
                              **NO_DROPOUT),
                         dict(GPT2, target_modules=["c_attn", "lm_head"]), torch.bfloat16, rename={"transformer.": ""}),
    "phi": Fixture("Phi-2: branches side by side, half of a head rotates, biases, of the head too", 132, "phi",
                   dict(hidden_size=32, layer_norm_eps=1e-3), PHI, torch.bfloat16, embedding=0.25),
    "phi_tied": Fixture("Phi, its head tied, as many key heads as heads", 133, "phi",
                        dict(num_key_value_heads=4, tie_word_embeddings=True, layer_norm_eps=1e-3,
                             rope_parameters=dict(rope_type="default", rope_theta=100.0, partial_rotary_factor=1.0)),
                        PHI, torch.bfloat16, embedding=0.25),
    "gpt_neox": Fixture("GPT-NeoX: q, k and v in one, head after head; branches side by side on two norms", 134, "gpt_neox",
                        dict(hidden_size=32, layer_norm_eps=1e-3,
                             rope_parameters=dict(rope_type="default", rope_theta=100.0, partial_rotary_factor=0.5)),
                        GPT_NEOX, torch.bfloat16, embedding=0.25),
    "gpt_neox_serial": Fixture("GPT-NeoX with branches one after the other, the keys and the head's name of transformers 4", 135,
                               "gpt_neox",
                               dict(use_parallel_residual=False, attention_bias=False, layer_norm_eps=1e-3,
                                    rope_parameters=dict(rope_type="default", rope_theta=100.0, partial_rotary_factor=1.0)),
                               GPT_NEOX, torch.bfloat16, change=to_gpt_neox_v4, embedding=0.25, rename={"lm_head.": "embed_out."}),
    "falcon": Fixture("Falcon 40B: q, k and v in one, by key heads; branches side by side on two norms", 136, "falcon",
                      dict(new_decoder_architecture=True, num_kv_heads=2, ffn_hidden_size=24, layer_norm_epsilon=1e-3), GPT_NEOX,
                      torch.bfloat16, embedding=0.25),
    "falcon_bias": Fixture("Falcon with biases and a head of its own, as many key heads as heads", 137, "falcon",
                           dict(new_decoder_architecture=True, num_kv_heads=4, bias=True, tie_word_embeddings=False,
                                layer_norm_epsilon=1e-3),
                           GPT_NEOX, torch.bfloat16, embedding=0.25),
    "granite4": Fixture("Granite 4 without experts and Mamba: gate and up in one", 138, "granitemoehybrid",
                        dict(GRANITE4_SHAPE, layer_types=["full_attention"] * 2, position_embedding_type="rope",
                             tie_word_embeddings=True), GRANITE4, torch.bfloat16, embedding=0.25),
    "granite4_nope": Fixture("Granite 4 whose queries do not rotate, with biases", 139, "granitemoehybrid",
                             dict(GRANITE4_SHAPE, layer_types=["full_attention"] * 2, num_key_value_heads=4, attention_bias=True),
                             GRANITE4, torch.bfloat16, change=lambda c: c.update(layer_types=["attention"] * 2), embedding=0.25),
    "apertus": Fixture("Apertus: xIELU, whose numbers are trained, no gate, norms of the heads of q and k", 140, "apertus",
                       dict(head_dim=8, rope_parameters=dict(LLAMA3, rope_theta=1000.0), **NO_PAD), UNGATED, torch.bfloat16),
    "apertus_tied": Fixture("Apertus, its head tied, with biases", 141, "apertus",
                            dict(tie_word_embeddings=True, num_key_value_heads=4, attention_bias=True, rope_parameters=dict(
                                rope_type="default", rope_theta=100.0), **NO_PAD), UNGATED, torch.bfloat16, embedding=0.25),
    "mistral_window": Fixture("a window on all layers, shorter than an example", 103, "mistral", dict(sliding_window=5),
                              dtype=torch.bfloat16),
    "qwen3": Fixture("Qwen3: norms of the heads of q and k", 101, "qwen3", dict(head_dim=8), dtype=torch.bfloat16),
    "qwen3_window": Fixture("Qwen3 with a window on the later layers", 102, "qwen3",
                            dict(head_dim=8, num_hidden_layers=3, use_sliding_window=True, sliding_window=4,
                                 max_window_layers=1), dtype=torch.bfloat16),
    "gemma": Fixture("Gemma: norms by 1 + w, GELU, a scaled embedding", 104, "gemma", dict(head_dim=8), norm=0, embedding=0.25),
    "gemma2": Fixture("Gemma 2: norms after branches, caps, every other layer under a window", 105, "gemma2",
                      dict(head_dim=8, num_hidden_layers=3, sliding_window=4, query_pre_attn_scalar=12,
                           attn_logit_softcapping=3.0, final_logit_softcapping=8.0, tie_word_embeddings=True),
                      dtype=torch.bfloat16, norm=0, embedding=0.25),
    "gemma3": Fixture("Gemma 3: two rotations, norms of heads and after branches", 106, "gemma3_text",
                      dict(head_dim=8, num_hidden_layers=3, sliding_window=4, query_pre_attn_scalar=12,
                           layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                           tie_word_embeddings=True,
                           rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
                                            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}),
                      norm=0, embedding=0.25),
    "gemma4": Fixture("Gemma 4: layers without a window have wider heads, fewer for keys, and keys for values", 118, "gemma4_text",
                      dict(GEMMA4, final_logit_softcapping=8.0, tie_word_embeddings=True), embedding=0.25, heads=0.35),
    "gemma4_unified": Fixture("Gemma 4 12B's decoder: matrices for all values, biases, a head of its own, the published keys", 119,
                              "gemma4_unified_text",
                              {k: v for k, v in GEMMA4.items() if k != "hidden_size_per_layer_input"}
                              | dict(attention_k_eq_v=False, attention_bias=True, num_hidden_layers=3, global_head_dim=12,
                                     layer_types=["full_attention", "sliding_attention", "full_attention"],
                                     rope_parameters={"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.5,
                                                                         "rope_theta": 100.0},
                                                      "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}),
                              dtype=torch.bfloat16, embedding=0.25, heads=0.35, change=to_published_gemma4),
    "gemma4_vision": Fixture("Gemma 4 beside a tower of vision", 1120, "gemma4_text", GEMMA4,
                             dict(EVERYTHING, target_modules=IN_LANGUAGE_MODEL.replace("|lm_head", "")), embedding=0.25,
                             heads=0.35, wrapper="gemma4", wrapper_config=dict(audio_config=None, vision_config=dict(
                                 VISION, head_dim=4, num_key_value_heads=2, position_embedding_size=16, pooling_kernel_size=1))),
    "gemma4_gguf": Fixture("Gemma 4 as GGUF: which layers have matrices for values is to be seen by these", 1182, "gemma4_text",
                           dict(GEMMA4, intermediate_size=32, head_dim=16, global_head_dim=32, tie_word_embeddings=True),
                           embedding=0.25, heads=0.35, gguf="gemma4"),
    "qwen3_gguf": Fixture("Qwen3 as GGUF", 111, "qwen3", dict(GGUF_SIZES, tie_word_embeddings=True), gguf="qwen3"),
    "gemma_gguf": Fixture("Gemma as GGUF: norms with the 1 added", 112, "gemma", GGUF_SIZES, norm=0, embedding=0.25, gguf="gemma"),
    "gemma2_gguf": Fixture("Gemma 2 as GGUF", 113, "gemma2",
                           dict(GGUF_SIZES, num_hidden_layers=3, sliding_window=4, query_pre_attn_scalar=16, attn_logit_softcapping=3.0,
                                final_logit_softcapping=8.0), norm=0, embedding=0.25, gguf="gemma2"),
    "gemma3_gguf": Fixture("Gemma 3 as GGUF: its file says neither which layers have the window nor how these rotate", 117, "gemma3_text",
                           dict(GGUF_SIZES, num_hidden_layers=6, sliding_window=4, query_pre_attn_scalar=16,
                                rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
                                                 "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
                           norm=0, embedding=0.25, gguf="gemma3"),
    "gemma3_full_gguf": Fixture("Gemma 3 as GGUF without a window: all layers see all", 115, "gemma3_text",
                                dict(GGUF_SIZES, layer_types=["full_attention"] * 2, query_pre_attn_scalar=16),
                                norm=0, embedding=0.25, gguf="gemma3"),
    "olmo2_gguf": Fixture("OLMo 2 as GGUF", 150, "olmo2", dict(hidden_size=32, intermediate_size=32, **NO_PAD), gguf="olmo2"),
    "exaone4_gguf": Fixture("EXAONE 4 as GGUF, without a window", 166, "exaone4",
                            dict(hidden_size=32, intermediate_size=32, sliding_window=None, layer_types=["full_attention"] * 2,
                                 rope_parameters=dict(LLAMA3, rope_theta=1000.0)), gguf="exaone4"),
    "exaone4_window_gguf": Fixture("EXAONE 4 as GGUF: windows on all layers but every second one, which does not rotate", 180, "exaone4",
                                   dict(hidden_size=32, intermediate_size=32, sliding_window=4, sliding_window_pattern=2,
                                        rope_parameters=dict(LLAMA3, rope_theta=1000.0)), gguf="exaone4"),
    "smollm3_gguf": Fixture("SmolLM3 as GGUF: rows of q and k interleaved, every fourth layer does not rotate", 1151, "smollm3",
                            dict(hidden_size=32, intermediate_size=32, num_hidden_layers=4, tie_word_embeddings=True, **NO_PAD),
                            embedding=0.25, gguf="smollm3", permuted=True),
    "granite_gguf": Fixture("Granite as GGUF: rows of q and k interleaved", 152, "granite",
                            dict(hidden_size=32, intermediate_size=32, embedding_multiplier=12.0, attention_multiplier=0.2,
                                 residual_multiplier=0.22, logits_scaling=4.0, tie_word_embeddings=True),
                            embedding=0.25, gguf="granite", permuted=True),
    "cohere_gguf": Fixture("Command R as GGUF", 153, "cohere",
                           dict(hidden_size=32, intermediate_size=32, logit_scale=0.5, layer_norm_eps=1e-3), embedding=0.25,
                           gguf="command-r"),
    "cohere2_gguf": Fixture("Command R7B as GGUF", 154, "cohere2",
                            dict(GGUF_SIZES, num_hidden_layers=4, sliding_window=4, logit_scale=0.5, layer_norm_eps=1e-3),
                            embedding=0.25, gguf="cohere2"),
    "glm4_gguf": Fixture("GLM-4 as GGUF", 155, "glm4", dict(GGUF_SIZES, attention_bias=True, **NO_PAD), GLM4, gguf="glm4"),
    "starcoder2_gguf": Fixture("StarCoder2 as GGUF", 156, "starcoder2",
                               dict(hidden_size=32, intermediate_size=32, sliding_window=None, norm_epsilon=1e-3), STARCODER2,
                               embedding=0.25, gguf="starcoder2"),
    "stablelm_gguf": Fixture("StableLM as GGUF", 157, "stablelm",
                             dict(hidden_size=32, intermediate_size=32, use_qkv_bias=True, layer_norm_eps=1e-3), gguf="stablelm"),
    "nemotron_gguf": Fixture("Nemotron as GGUF: norms with the 1 added", 158, "nemotron",
                             dict(GGUF_SIZES, norm_eps=1e-3), UNGATED, norm=0, gguf="nemotron"),
    "ernie4_5_gguf": Fixture("ERNIE 4.5 as GGUF", 159, "ernie4_5", dict(GGUF_SIZES), embedding=0.25, gguf="ernie4_5"),
    "seed_oss_gguf": Fixture("Seed-OSS as GGUF: the norm before the MLP has another's name", 160, "seed_oss",
                             dict(GGUF_SIZES, attention_dropout=0.0, residual_dropout=0.0), gguf="seed_oss"),
    "hunyuan_gguf": Fixture("Hunyuan as GGUF: alpha is in theta", 161, "hunyuan_v1_dense",
                            dict(GGUF_SIZES, rope_parameters=dict(rope_type="dynamic", alpha=50.0, factor=1.0, rope_theta=100.0)),
                            gguf="hunyuan-dense"),
    "arcee_gguf": Fixture("Arcee as GGUF: rows of q and k interleaved", 162, "arcee", dict(hidden_size=32, intermediate_size=32),
                          UNGATED, gguf="arcee", permuted=True),
    "phi3_gguf": Fixture("Phi-3 as GGUF: fused projections, a window", 163, "phi3",
                         dict(hidden_size=32, intermediate_size=32, sliding_window=5, **NO_PAD), PHI3, gguf="phi3"),
    "phi3_long_gguf": Fixture("Phi-3 as GGUF with longrope on part of a head, an example on each side of the original length", 179, "phi3",
                              dict(hidden_size=32, intermediate_size=32, max_position_embeddings=64, original_max_position_embeddings=10,
                                   rope_parameters=LONGROPE, **NO_PAD), PHI3, gguf="phi3"),
    "ministral3_gguf": Fixture("Ministral 3 as GGUF: rows of q and k interleaved, yarn by its own scales", 183, "ministral3",
                               dict(GGUF_SIZES, rope_parameters=MINISTRAL3, max_position_embeddings=8192), gguf="mistral3", permuted=True),
    "gpt2_gguf": Fixture("GPT-2 as GGUF", 164, "gpt2",
                         dict(hidden_size=32, intermediate_size=32, n_inner=32, num_key_value_heads=4, layer_norm_epsilon=1e-3,
                              max_position_embeddings=1200, **NO_DROPOUT), GPT2,
                         embedding=0.25, gguf="gpt2"),
    "phi_gguf": Fixture("Phi-2 as GGUF", 165, "phi",
                        dict(hidden_size=32, intermediate_size=32, layer_norm_eps=1e-3), PHI, embedding=0.25, gguf="phi2"),
    "gpt_neox_gguf": Fixture("GPT-NeoX as GGUF: all queries, all keys, all values", 167, "gpt_neox",
                             dict(hidden_size=32, intermediate_size=32, layer_norm_eps=1e-3, use_parallel_residual=False), GPT_NEOX,
                             embedding=0.25, gguf="gptneox"),
    "falcon_gguf": Fixture("Falcon 40B as GGUF: all queries, all keys, all values", 168, "falcon",
                           dict(hidden_size=32, intermediate_size=32, ffn_hidden_size=32, new_decoder_architecture=True, num_kv_heads=2,
                                layer_norm_epsilon=1e-3), GPT_NEOX, embedding=0.25, gguf="falcon"),
    "mixtral": Fixture("Mixtral: two of four experts, a head of its own, which is adapted too", 1733, "mixtral",
                       dict(num_local_experts=4, num_experts_per_tok=2),
                       dict(EXPERTS, target_modules=EXPERTS["target_modules"] + ["lm_head"]), torch.bfloat16),
    "mixtral_window": Fixture("Mixtral with a window, tied, as many key heads as heads", 1742, "mixtral",
                              dict(num_local_experts=3, num_experts_per_tok=2, sliding_window=4, tie_word_embeddings=True,
                                   num_key_value_heads=4), EXPERTS),
    "mixtral_gguf": Fixture("Mixtral as GGUF, which says llama: interleaved rows", 178, "mixtral",
                            dict(hidden_size=32, intermediate_size=32, num_local_experts=4, num_experts_per_tok=2), EXPERTS,
                            gguf="llama", permuted=True),
    "qwen3_moe": Fixture("Qwen3 with experts whose shares have the sum 1, the key that published files have", 1794, "qwen3_moe",
                         dict(QWEN3_MOE, norm_topk_prob=True), EXPERTS, torch.bfloat16, change=to_num_experts),
    "qwen3_moe_window": Fixture("Qwen3 with experts whose shares are their probabilities, with a window, tied", 1760, "qwen3_moe",
                                dict(QWEN3_MOE, norm_topk_prob=False, use_sliding_window=True, sliding_window=4, attention_bias=True,
                                     tie_word_embeddings=True), EXPERTS),
    "qwen3_moe_gguf": Fixture("Qwen3 with experts as GGUF", 174, "qwen3_moe",
                              dict(QWEN3_MOE, hidden_size=32, moe_intermediate_size=32, norm_topk_prob=True), EXPERTS, gguf="qwen3moe"),
    "olmoe": Fixture("OLMoE", 1788, "olmoe", dict(num_experts=5, num_experts_per_tok=2), EXPERTS, torch.bfloat16),
    "olmoe_shares": Fixture("OLMoE whose shares have the sum 1, with biases, tied, as many key heads as heads", 1819, "olmoe",
                            dict(num_experts=4, num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True, tie_word_embeddings=True,
                                 num_key_value_heads=4), EXPERTS),
    "olmoe_gguf": Fixture("OLMoE as GGUF", 177, "olmoe",
                          dict(hidden_size=32, intermediate_size=32, num_experts=4, num_experts_per_tok=2, num_key_value_heads=4),
                          EXPERTS, gguf="olmoe"),
    "granitemoe": Fixture("Granite with experts: four multipliers, all experts in one tensor, a head of its own", 1827, "granitemoe",
                          dict(num_local_experts=5, num_experts_per_tok=2, embedding_multiplier=12.0, attention_multiplier=0.2,
                               residual_multiplier=0.22, logits_scaling=4.0, attention_bias=True),
                          dict(EXPERTS, target_modules=EXPERTS["target_modules"] + ["lm_head"]), torch.bfloat16, embedding=0.25),
    "granitemoe_tied": Fixture("Granite with experts, tied, as many key heads as heads", 1838, "granitemoe",
                               dict(num_local_experts=4, num_experts_per_tok=3, residual_multiplier=0.22, embedding_multiplier=4.0,
                                    tie_word_embeddings=True, num_key_value_heads=4), EXPERTS, embedding=0.25),
    "gemma3_vision": Fixture("Gemma 3 beside a tower of vision", 110, "gemma3_text",
                             dict(head_dim=8, num_hidden_layers=3, sliding_window=4, query_pre_attn_scalar=12,
                                  layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
                             dict(EVERYTHING, target_modules=IN_LANGUAGE_MODEL.replace("|lm_head", "")), norm=0, embedding=0.25,
                             wrapper="gemma3", wrapper_config=dict(mm_tokens_per_image=4)),
    "mistral3": Fixture("Mistral beside a tower of vision, with a head of its own, the names of transformers 4", 108, "mistral",
                        dict(sliding_window=None, head_dim=8), dict(EVERYTHING, target_modules=IN_LANGUAGE_MODEL), torch.bfloat16,
                        wrapper="mistral3", wrapper_config=dict(tie_word_embeddings=False), rename=OLD_NAMES),
}


def draw_weights(model, f):
    """Weights large enough that every part of the model matters."""
    generator = torch.Generator().manual_seed(f.seed)
    with torch.no_grad():
        for i, (name, number) in enumerate(sorted(model.named_buffers())):
            if name.endswith("layer_scalar"):
                number.fill_(0.7 + 0.6 * i / len(list(model.buffers())))
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name or "ln_" in name:
                p.copy_((f.norm + 0.2 * noise) * (f.heads if "q_norm" in name or "k_norm" in name else 1))
            elif p.dim() == 1:
                p.copy_(0.3 * noise)
            else:
                inputs = p.shape[2 if p.dim() == 3 else 1]  # of experts, a matrix each
                p.copy_(noise * (f.embedding if "embed" in name else 0.8 / inputs ** 0.5))


def make_examples(vocab, seed):
    """Two examples of different length; the second half of each is supervised, and a few tokens more."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for length in (13, 7):
        tokens = torch.randint(0, vocab, (length,), generator=generator)
        supervised = torch.zeros(length, dtype=torch.bool)
        supervised[length // 2:] = True
        supervised[2] = True
        examples.append((tokens, supervised))
    return examples


def loss_of(model, examples):
    total, count = 0.0, 0
    for tokens, supervised in examples:
        logits = model(input_ids=tokens[None]).logits[0].float()
        predicted, wanted = logits[:-1][supervised[1:]], tokens[1:][supervised[1:]]
        total = total + torch.nn.functional.cross_entropy(predicted, wanted, reduction="sum")
        count += len(wanted)
    return total / count


def adapter_parameters(model):
    """(path, "lora_A" or "lora_B", parameter) of every adapted module."""
    for name, p in model.named_parameters():
        for matrix in ("lora_A", "lora_B"):
            if f".{matrix}." in name:
                yield name.removeprefix("base_model.model.").split(f".{matrix}.")[0], matrix, p


def write_golden(folder, base, f):
    """`base` is the f32 model as transformers has it."""
    seed, lora = f.seed, f.lora
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora)).train()
    generator = torch.Generator().manual_seed(seed + 1)
    out = {"alpha": torch.tensor([float(lora["lora_alpha"])])}
    parameters = list(adapter_parameters(model))
    with torch.no_grad():
        for path, matrix, p in parameters:
            p.copy_(torch.randn(p.shape, generator=generator) * (1 if matrix == "lora_A" else 0.3) / p.shape[1] ** 0.5)
            out[f"adapter.{path}.{matrix}"] = p.detach().clone()
    examples = make_examples(base.config.get_text_config().vocab_size, seed + 2)
    for i, (tokens, supervised) in enumerate(examples):
        out[f"tokens.{i}"] = tokens.float()
        out[f"supervised.{i}"] = supervised.float()
        with torch.no_grad():
            out[f"logits.{i}"] = model(input_ids=tokens[None]).logits[0].float().clone()
    loss = loss_of(model, examples)
    loss.backward()
    out["loss"] = loss.detach().reshape(1)
    for path, matrix, p in parameters:
        out[f"grad.{path}.{matrix}"] = p.grad.clone()

    optimizer = torch.optim.AdamW([p for _, _, p in parameters], lr=1e-3)
    curve = []
    for _ in range(f.steps):
        optimizer.zero_grad()
        loss = loss_of(model, examples)
        curve.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, _, p in parameters], 1.0)
        optimizer.step()
    out["curve"] = torch.tensor(curve)
    save_file({name: value.contiguous() for name, value in out.items()}, folder / "golden.safetensors")
    print(f"{folder.name}: loss {curve[0]:.6f} to {curve[-1]:.6f}")


def edit_config(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def rename_tensors(path, names):
    """Beginnings of tensors' names; those that are not in `names` stay."""
    def renamed(name):
        old = next((old for old in names if name.startswith(old)), "")
        return names.get(old, "") + name.removeprefix(old)
    save_file({renamed(name): value for name, value in load_file(path).items()}, path, metadata={"format": "pt"})


def class_of(f):
    return AutoModelForImageTextToText if f.wrapper else AutoModelForCausalLM


def make_model(f):
    text = SHAPE | f.config
    if f.wrapper:
        config = AutoConfig.for_model(f.wrapper, **dict(dict(text_config=dict(text, model_type=f.family), vision_config=VISION),
                                                        **f.wrapper_config))
    else:
        config = AutoConfig.for_model(f.family, **text)
    model = class_of(f).from_config(config).to(torch.float32)
    draw_weights(model, f)
    return model


def make_folder(folder, f):
    make_model(f).to(f.dtype).save_pretrained(folder, max_shard_size=f.shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if f.wrapper or f.rename:
        rename_tensors(folder / "model.safetensors", f.rename or {old: new for new, old in OLD_NAMES.items()})
    if f.change:
        edit_config(folder, f.change)
    write_golden(folder, class_of(f).from_pretrained(folder, dtype=torch.float32), f)


def permute(weight, heads):
    """The row order of q and k in GGUF: the two halves of each head interleaved."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, heads):
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


SORTED = {"gpt_neox": lambda c: c.num_attention_heads, "falcon": lambda c: c.num_kv_heads}  # key heads of one matrix for q, k, v


def sort_heads(weight, heads, kv_heads):
    """From each key head's queries, its key and its value to all queries, all keys, all values, as GGUF has them."""
    groups = weight.reshape(kv_heads, heads // kv_heads + 2, -1, *weight.shape[1:])
    return np.concatenate([part.reshape(-1, *weight.shape[1:]) for part in (groups[:, :-2], groups[:, -2], groups[:, -1])])


def group_heads(weight, heads, kv_heads):
    size = weight.shape[0] // (heads + 2 * kv_heads)
    q, k, v = np.split(weight, [heads * size, (heads + kv_heads) * size])
    parts = [part.reshape(kv_heads, -1, *weight.shape[1:]) for part in (q, k, v)]
    return np.concatenate(parts, axis=1).reshape(weight.shape)


GGUF_TYPES = {"attn_qkv.weight": Type.Q5_1, "position_embd.weight": Type.F16, "attn_q.weight": Type.Q8_0,
              "attn_k.weight": Type.Q5_1, "attn_v.weight": Type.F16, "attn_output.weight": Type.Q4_0,
              "ffn_gate.weight": Type.Q4_1, "ffn_up.weight": Type.Q5_0, "ffn_down.weight": Type.BF16,
              "token_embd.weight": Type.Q8_0, "ffn_gate_exps.weight": Type.Q4_1, "ffn_up_exps.weight": Type.Q5_0,
              "ffn_down_exps.weight": Type.Q8_0}


LAYER_NORM_EPS = ["layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"]
SCALES = {"attention_multiplier": "add_attention_scale", "embedding_multiplier": "add_embedding_scale",
          "residual_multiplier": "add_residual_scale", "logits_scaling": "add_logit_scale", "logit_scale": "add_logit_scale"}


def add_rope(writer, rope, head_dim, positions):
    theta = rope["rope_theta"]
    if rope.get("alpha"):  # Hunyuan's scaling is in theta
        theta *= rope["alpha"] ** (head_dim / (head_dim - 2))
    writer.add_rope_freq_base(theta)
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1)))
    if rope["rope_type"] == "longrope":
        original = rope["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(positions / original) / math.log(original)))
        for name in ("short", "long"):
            writer.add_tensor(f"rope_factors_{name}.weight", np.array(rope[f"{name}_factor"], np.float32))
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def add_kinds(writer, config):
    """Gemma 4's layers have sizes by their kind."""
    layers = [config.per_layer_config[i] for i in range(config.num_hidden_layers)]
    full, other = (layers[config.layer_types.index(kind)].head_dim for kind in ("full_attention", "sliding_attention"))
    writer.add_head_count_kv([layer.num_key_value_heads for layer in layers])
    for size, add in ((full, ""), (other, "_swa")):
        for name in ("key_length", "value_length", "rope_dimension_count"):
            getattr(writer, f"add_{name}{add}")(size)
    writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])


def add_heads(writer, f, config):
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_head_count_kv(SORTED.get(f.family, lambda c: c.num_key_value_heads)(config))
    if "head_dim" in f.config:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if hasattr(config, "rope_parameters"):
        add_rope(writer, config.rope_parameters.get("full_attention", config.rope_parameters), head_dim,
                 config.max_position_embeddings)


def gguf_writer(folder, f, config):
    writer = gguf.GGUFWriter(folder / "model.gguf", f.gguf)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    add_kinds(writer, config) if f.gguf == "gemma4" else add_heads(writer, f, config)
    if hasattr(config, "use_parallel_residual"):
        writer.add_parallel_residual(config.use_parallel_residual)
    layer_norm = [getattr(config, name) for name in LAYER_NORM_EPS if hasattr(config, name)]
    if layer_norm:
        writer.add_layer_norm_eps(layer_norm[0])
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if f.config.get("sliding_window"):
        writer.add_sliding_window(config.sliding_window)
    if "sliding_window_pattern" in f.config:
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])
    for name, add in SCALES.items():
        if name in f.config:
            getattr(writer, add)(getattr(config, name))
    if getattr(config, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    if getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if getattr(config, "num_experts_per_tok", None):
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    if getattr(config, "moe_intermediate_size", None):
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_vocab_size(config.vocab_size)
    return writer


def split_experts(state):
    """The matrices of experts as GGUF has them, [experts, outputs, inputs] each, from transformers' modules."""
    out = {}
    for key, value in state.items():
        if key.endswith("experts.gate_up_proj"):
            for name, half in zip(("gate_proj", "up_proj"), value.chunk(2, dim=1)):
                out[key.replace("gate_up_proj", f"{name}.weight")] = half
        else:
            out[key + ".weight" if key.endswith("experts.down_proj") else key] = value
    return out


def join_experts(state):
    out = {}
    for key, value in state.items():
        if key.endswith("experts.gate_proj.weight"):
            up = state[key.replace("gate_proj", "up_proj")]
            out[key.replace("gate_proj.weight", "gate_up_proj")] = torch.cat([value, up], dim=1)
        elif not key.endswith("experts.up_proj.weight"):
            out[key.removesuffix(".weight") if key.endswith("experts.down_proj.weight") else key] = value
    return out


def add_divisors(writer, model):
    """GGUF has llama3's scaling as a divisor of each frequency, and the frequencies that are 0 by a large one."""
    full = getattr(model.config, "rope_parameters", {}).get("full_attention", {})
    if full.get("rope_type") == "proportional":
        turning = model.model.rotary_emb.full_attention_inv_freq > 0
        writer.add_tensor("rope_freqs.weight", torch.where(turning, 1.0, 1e30).numpy())
    if getattr(model.config, "rope_parameters", {}).get("rope_type") == "llama3":
        rotary = model.model.rotary_emb
        plain = rotary.compute_default_rope_parameters(model.config)[0]
        writer.add_tensor("rope_freqs.weight", (plain / rotary.inv_freq).numpy())


def make_gguf(folder, f):
    model = make_model(f)
    config, state = model.config, split_experts(model.state_dict())
    names = gguf.get_tensor_name_map(next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == f.gguf),
                                     config.num_hidden_layers)
    writer = gguf_writer(folder, f, config)
    add_divisors(writer, model)
    for key, value in state.items():
        if config.tie_word_embeddings and key == "lm_head.weight":
            continue
        size = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(key.split(".")[-2])
        heads = getattr(config, size) if f.permuted and size else None
        offset = 1 if f.norm == 0 and key.endswith("norm.weight") else 0
        data = permute(value.numpy(), heads) if heads else value.numpy() + np.float32(offset)
        kv_heads = SORTED.get(f.family, lambda c: 0)(config) if "query_key_value" in key else 0
        data = sort_heads(data, config.num_attention_heads, kv_heads) if kv_heads else data
        turned = f.family == "gpt2" and key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        data = data.T if turned else data
        target = names.get_name(key + ".weight" * key.endswith("layer_scalar"), try_suffixes=(".weight", ".bias"))
        kind = GGUF_TYPES.get(target.split(".", 2)[-1] if target.startswith("blk.") else target, Type.F32)
        packed = gguf.quants.quantize(np.ascontiguousarray(data), kind)
        writer.add_tensor(target, packed, raw_dtype=kind)
        exact = gguf.quants.dequantize(packed, kind).reshape(data.shape)
        exact = exact.T if turned else exact
        exact = group_heads(exact, config.num_attention_heads, kv_heads) if kv_heads else exact
        if not offset:
            state[key] = torch.from_numpy(np.ascontiguousarray(unpermute(exact, heads) if heads else exact)).float()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model.load_state_dict(join_experts(state))
    model.tie_weights()
    write_golden(folder, model, f)


def make(root, name, f):
    """What other makers have put into the folder stays."""
    folder = root / f"tiny_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("model*"), folder / "config.json", folder / "golden.safetensors"]:
        old.unlink(missing_ok=True)
    (make_gguf if f.gguf else make_folder)(folder, f)


def make_seeds(root, name, count):
    """The curve of each has one step."""
    for i in range(count):
        seed = 1000 * (i + 1) + FIXTURES[name].seed
        make(root, f"{name}_{seed}", dataclasses.replace(FIXTURES[name], seed=seed, steps=1))


def same(made, kept):
    """Weights to the byte; what was computed within CLOSE, for processors round in different ways."""
    if made.name == "golden.safetensors":
        x, y = load_file(made), load_file(kept)
        return x.keys() == y.keys() and all(
            x[k].shape == y[k].shape and (x[k] - y[k]).abs().max() <= CLOSE * y[k].abs().max() for k in x)
    if made.name == "config.json":
        configs = [json.loads(path.read_text()) for path in (made, kept)]
        return dict(configs[0], transformers_version="") == dict(configs[1], transformers_version="")
    return made.read_bytes() == kept.read_bytes()


def check(root):
    """Names of files that are not what is made now."""
    with tempfile.TemporaryDirectory() as other:
        for name in FIXTURES:
            make(pathlib.Path(other), name, FIXTURES[name])
        made = [p.relative_to(other) for p in sorted(pathlib.Path(other).glob("*/*"))]
        return [str(p) for p in made if not (root / p).exists() or not same(pathlib.Path(other) / p, root / p)]


PROMPTS = [
    "The capital of France is",
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n):\n    ",
    "Once upon a time there was a small cluster of computers that",
    "La gravitation est",
]


def make_smollm2(root, path):
    from transformers import AutoTokenizer

    path = pathlib.Path(path)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    out = {}
    for i, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0].float()
            tokens = ids
            for _ in range(32):
                tokens = torch.cat([tokens, model(input_ids=tokens).logits[:, -1].argmax(-1, keepdim=True)], 1)
        positions = torch.unique(torch.linspace(0, ids.shape[1] - 1, 5).long())
        shown = torch.unique(torch.cat([torch.arange(0, logits.shape[1], 1009), logits[-1].topk(16).indices]))
        out |= {f"prompt.{i}": ids[0].float(), f"positions.{i}": positions.float(), f"ids.{i}": shown.float(),
                f"logits.{i}": logits[positions][:, shown].contiguous(),
                f"greedy.{i}": tokens[0, ids.shape[1]:].float()}
        print(repr(tokenizer.decode(tokens[0])))
    save_file(out, root / "smollm2.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to make")
    parser.add_argument("--output", type=pathlib.Path, help="folder to write to",
                        default=pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden")
    parser.add_argument("--seeds", type=int, default=0, help="make so many models of each row, from other seeds")
    parser.add_argument("--check", action="store_true", help="compare all with what is there")
    parser.add_argument("--smollm2", metavar="FILE.gguf", help="make the golden numbers of this model instead")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in FIXTURES]:
        parser.error(f"no fixture {', '.join(unknown)}; there are {', '.join(FIXTURES)}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if options.smollm2:
        make_smollm2(options.output, options.smollm2)
    elif options.check:
        other = check(options.output)
        print("\n".join(f"{name}: not what is made now" for name in other) or "all as they are made now")
        raise SystemExit(1 if other else 0)
    elif not options.names:
        print("\n".join(f"{name:10}  {f.family}: {f.purpose}" for name, f in FIXTURES.items()))
    for name in options.names:
        if options.seeds:
            make_seeds(options.output, name, options.seeds)
        else:
            make(options.output, name, FIXTURES[name])


if __name__ == "__main__":
    main()
