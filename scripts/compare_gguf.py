#!/usr/bin/env python3
"""Holds the reading of GGUF files against llama.cpp's own converter.

    compare_gguf.py --llama FOLDER [--mpilora PROGRAM] [NAME ... | FILE.gguf ...]

Each model of make_golden.py (or those that are named) is made as a Hugging Face folder of f32 with a byte-level
tokenizer, and converted by convert_hf_to_gguf.py of llama.cpp, whose sources are in FOLDER. `mpilora probe` then computes
logits, loss and gradients from both; they must agree within 1e-5 of the largest value. And llama.cpp itself must predict
the same next tokens from the GGUF file: log-probabilities within 0.01. Only the vocabulary is not the converter's, since
it takes only those of published models: set_vocab() writes the folder's tokenizer. A run of one step on the folder is
exported as GGUF: mpilora must compute the same from this file on the GGUF base as from the run on the folder, and
llama.cpp must predict the same with it.

Of a FILE.gguf only the second is done, for the 20 likeliest tokens, and llama.cpp gets its tensors in f32: it would round
activations to 8 bits before it multiplies them with quantised weights.

A line for each model: the largest difference of logits, of gradients, of logits with the exported adapter, and from
llama.cpp without and with it; or why there is none. The status
is 1 if a model differs, or is refused, that EXPECTED does not have.

Run in an environment with torch, transformers, peft, safetensors, h5py, xllamacpp.
"""
import argparse
import dataclasses
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLOSE = 1e-5
CLOSE_TO_LLAMA = 0.01

# What the converter takes for granted, of the published models of a family.
CHANGED = {
    "gemma2": dict(query_pre_attn_scalar=8),
    "gemma3": dict(query_pre_attn_scalar=8, num_hidden_layers=7,
                   layer_types=["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]),
    "gpt2": dict(n_inner=64),
    "hunyuan": dict(rope_parameters=dict(rope_type="dynamic", alpha=50.0, factor=1.0, rope_theta=1e4), max_position_embeddings=32768),
    "phi": dict(num_key_value_heads=4, intermediate_size=128),
    "falcon": dict(ffn_hidden_size=64),
    "falcon_gguf": dict(ffn_hidden_size=128),
    "gpt2_gguf": dict(n_inner=128),
    "phi_gguf": dict(num_key_value_heads=4, intermediate_size=128),
    "cohere2_gguf": dict(head_dim=8),
    "nemotron": dict(head_dim=4),
    "nemotron_gguf": dict(head_dim=8),
    "smollm3": dict(no_rope_layer_interval=4, num_hidden_layers=4),
}
CHANGED |= {name: dict(rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=share))
            for name, share in (("gpt_neox", 0.5), ("gpt_neox_serial", 1.0), ("phi_tied", 1.0))}
CHANGED["phi_tied"]["intermediate_size"] = 64
CHANGED |= {"gemma3_vision": dict(CHANGED["gemma3"]), "hunyuan_gguf": CHANGED["hunyuan"]}
# llama.cpp rounds what goes into and comes out of a GELU to f16. Published models have a cap, which keeps logits small.
CHANGED |= {name: dict(final_logit_softcapping=8.0) for name in ("gemma4_vision", "gemma4_gguf")}

# Models that GGUF files cannot hold, or hold in keys that are refused: a part of what is said then.
NO_WINDOW = "gradients"  # the converter writes no window for this architecture, so the file computes without one
REFUSED = "is not supported"
EXPECTED = {
    "qwen2_window": NO_WINDOW, "qwen3_window": NO_WINDOW, "mistral_window": NO_WINDOW, "starcoder2": NO_WINDOW,
    "mixtral_window": NO_WINDOW, "granitemoe": REFUSED, "granitemoe_tied": REFUSED,
    "phi3": "logits 0.0e+00, gradients 0.0e+00", "phi3_gguf": "logits 0.0e+00, gradients 0.0e+00",  # llama.cpp has its window off
    "cohere2": "Bias tensor", "falcon_bias": "not converted: RuntimeError",
    "olmo3": REFUSED, "exaone4": REFUSED, "granite4": REFUSED, "granite4_nope": REFUSED,
    "apertus": REFUSED, "apertus_tied": REFUSED, "gemma4_unified": "not converted: NotImplementedError",
}


def load_converter(llama):
    """conversion/ of llama.cpp, which takes the gguf package beside it."""
    sys.path[:0] = [str(llama), str(llama / "gguf-py")]
    import conversion
    return conversion


def load_makers():
    sys.path.insert(0, str(ROOT / "scripts"))
    import make_golden
    return make_golden


def fixture_of(name, makers):
    f = makers.FIXTURES[name]
    return dataclasses.replace(f, config=f.config | CHANGED.get(name, {}))


def make_tokenizer(folder):
    """Of the tests' tiny model; returns its tokens in order."""
    subprocess.run([sys.executable, ROOT / "tests/support/make_tiny_model.py", folder], check=True)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    return tokenizer, sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)


SINCE_5 = ("apertus", "gemma4_text", "gemma4_unified_text", "ministral3")  # their files were written by transformers 5


def as_published(config):
    """The key names of transformers 4, which published files and the converter have."""
    text = config.get("text_config", config)
    rope = None if text["model_type"] in SINCE_5 else text.pop("rope_parameters", None)
    full = (rope or {}).get("full_attention", rope)
    if full:
        scaling = {k: v for k, v in full.items() if k not in ("rope_theta", "partial_rotary_factor")}
        share = full.get("partial_rotary_factor", 1.0)
        text |= {"rope_theta": full["rope_theta"], "partial_rotary_factor": share,
                 "rope_scaling": None if full["rope_type"] == "default" else scaling}
        text |= {"rotary_pct": share, "rotary_emb_base": full["rope_theta"]} if text["model_type"] == "gpt_neox" else {}
        text |= {"rotary_pct": 1.0} if text["model_type"] == "cohere2" else {}
    if text["model_type"] == "gemma3_text":
        windows = "sliding_attention" in text["layer_types"]
        text |= {"rope_local_base_freq": rope["sliding_attention"]["rope_theta"], "sliding_window_pattern": 6 if windows else 1}
    if text["model_type"] == "gpt2":
        text["n_ctx"] = text["n_positions"]


def make_folder(folder, f, makers, tokenizer_folder, tokens):
    f = dataclasses.replace(f, config=f.config | dict(vocab_size=len(tokens)), gguf="")
    makers.make_model(f).save_pretrained(folder)
    if f.wrapper or f.rename:
        makers.rename_tensors(folder / "model.safetensors", f.rename or {old: new for new, old in makers.OLD_NAMES.items()})
    makers.edit_config(folder, as_published)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tokenizer_folder / name).read_bytes())


def convert(conversion, folder, file, tokenizer, tokens):
    import gguf
    import torch

    def set_vocab(self):
        special = {t["content"] for t in tokenizer["added_tokens"]}
        self.gguf_writer.add_tokenizer_model("gpt2")
        self.gguf_writer.add_tokenizer_pre("gpt-2")
        self.gguf_writer.add_token_list(tokens)
        self.gguf_writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens])
        self.gguf_writer.add_token_merges(tokenizer["model"]["merges"])
        self.gguf_writer.add_bos_token_id(1)
        self.gguf_writer.add_eos_token_id(2)

    with torch.inference_mode():
        hparams = json.loads((folder / "config.json").read_text())
        made = conversion.get_model_class(conversion.get_model_architecture(hparams, conversion.ModelType.TEXT))
        patched = type(made.__name__, (made,), {
            "set_vocab": set_vocab, "get_vocab_base_pre": lambda self, tokenizer: "gpt-2", "model_arch": made.model_arch})
        converter = patched(folder, gguf.LlamaFileType.ALL_F32, file, eager=True, hparams=hparams)
        if hasattr(converter, "impl"):  # Mistral 3's leaves the work to another
            converter.impl.set_vocab = lambda: set_vocab(converter.impl)
        converter.write()
        return gguf.MODEL_ARCH_NAMES[made.model_arch]


def write_data(path):
    random.seed(4)
    with open(path, "w") as out:
        for length in (40, 23):
            text = "".join(random.choices("abcdefghij theinan,.", k=length))
            out.write(json.dumps({"prompt": text[:9], "completion": text[9:]}) + "\n")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])


def probe(program, model, data, output, *adapter):
    import h5py
    import numpy as np
    run(program, "probe", "--model", model, "--data", data, "--output", output, "--threads", "1", *adapter)
    with h5py.File(output) as file:
        values = {"loss": np.array([file.attrs["loss"]])}
        values |= {f"logits.{i}": file[f"examples/{i}/logits"][:] for i in range(2)}
        grads = []
        file["grad"].visititems(lambda _, item: grads.append(item[:]) if isinstance(item, h5py.Dataset) else None)
        return values | {f"grad.{i}": g for i, g in enumerate(grads)}


def compare(hf, gguf):
    """Largest difference of logits and loss, and of gradients, as shares of the largest value."""
    assert hf.keys() == gguf.keys(), "not the same modules are adapted"
    worst = {"logits": 0.0, "grad": 0.0}
    for name, value in hf.items():
        kind = "grad" if name.startswith("grad") else "logits"
        assert value.shape == gguf[name].shape, f"{name}: {value.shape} and {gguf[name].shape}"
        worst[kind] = max(worst[kind], float(abs(value - gguf[name]).max() / abs(value).max()))
    return worst


def compare_llama(probed, file, *adapter, top=None):
    """Largest difference of log-probabilities of next tokens from llama.cpp's (None: it cannot run this model), and a text."""
    import h5py
    import numpy as np
    with h5py.File(probed) as base:
        ids = [base[f"examples/{i}/tokens"][:].tolist() for i in range(2)]
        logits = [base[f"examples/{i}/logits"][:].astype(np.float64) for i in range(2)]
    done = subprocess.run([sys.executable, ROOT / "tests/support/llama_logprobs.py", file, *adapter,
                           "--top", str(top or logits[0].shape[1])], input=json.dumps([{"ids": i} for i in ids]),
                          capture_output=True, text=True)
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if "error loading model:" in line), done.stderr[-200:])
        return None, "llama.cpp does not load it: " + why.split("error loading model: ")[-1]
    worst = 0.0
    for ours, text in zip(logits, json.loads(done.stdout)):
        ours -= np.log(np.exp(ours - ours.max(1, keepdims=True)).sum(1, keepdims=True)) + ours.max(1, keepdims=True)
        for row, pairs in zip(ours, text["likeliest"]):
            worst = max([worst] + [abs(row[i] - p) for i, p in pairs])
    return worst, f"llama.cpp {worst:.1e}"


def write_expanded(file, output):
    """The file with all tensors in f32."""
    import gguf
    reader = gguf.GGUFReader(file)
    writer = gguf.GGUFWriter(output, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            writer.add_key_value(key, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_file(file, options):
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        data = [("The capital of France", " is Paris, which lies on the Seine and has two million people."),
                ("def fibonacci(n):", "\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)")]
        (scratch / "data.jsonl").write_text("\n".join(json.dumps({"prompt": p, "completion": c}) for p, c in data))
        write_expanded(file, scratch / "expanded.gguf")
        probe(options.mpilora, file, scratch / "data.jsonl", scratch / "base.h5", "--lora-init", "zero")
        worst, text = compare_llama(scratch / "base.h5", scratch / "expanded.gguf", top=20)
        return worst is not None and worst <= CLOSE_TO_LLAMA, text


def check_adapter(program, folder, file, data, init, scratch):
    """The adapter of a run on the folder, exported for llama.cpp, and what compare() finds with it on the GGUF file."""
    adapter = scratch / "adapter.gguf"
    run(program, "train", "--model", folder, "--data", data, "--output", scratch / "run", "--max-steps", "1", "--threads", "1", *init)
    run(program, "export", "--model", folder, "--checkpoint", scratch / "run", "--format", "gguf", "--output", adapter)
    trained = probe(program, folder, data, scratch / "trained.h5", "--adapter", scratch / "run")
    return adapter, compare(trained, probe(program, file, data, scratch / "loaded.h5", "--adapter", adapter))


def check(f, options, conversion, makers):
    """(whether all agrees, what to say)"""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        tokenizer, tokens = make_tokenizer(scratch / "tokenizer")
        folder, file, data = scratch / "model", scratch / "model.gguf", scratch / "data.jsonl"
        make_folder(folder, f, makers, scratch / "tokenizer", tokens)
        write_data(data)
        # What is drawn goes by the names of modules, and a wrapper has its own.
        init = ["--lora-init", "constant" if f.wrapper else "both-normal", "--init-std", "0.1", "--lora-rank", "3"]
        experts = any(f.config.get(key) for key in ("num_experts", "num_local_experts"))
        adapted = ["--target-modules", "q_proj,k_proj,v_proj,o_proj"] if experts else []  # experts are frozen
        init += adapted
        try:
            arch = convert(conversion, folder, file, tokenizer, tokens)
        except Exception as error:  # its own assumptions
            return False, f"not converted: {error!r}"
        try:
            hf = probe(options.mpilora, folder, data, scratch / "hf.h5", *init)
            worst = compare(hf, probe(options.mpilora, file, data, scratch / "gguf.h5", *init))
            adapter, loaded = check_adapter(options.mpilora, folder, file, data, init, scratch)
            probe(options.mpilora, file, data, scratch / "base.h5", "--lora-init", "zero", *adapted)
            llama, text = compare_llama(scratch / "base.h5", file)
            if llama is not None:
                more, with_adapter = compare_llama(scratch / "loaded.h5", file, "--adapter", adapter)
                llama, text = max(llama, more if more is not None else 9), f"{text}, with adapter {with_adapter}"
        except (ValueError, AssertionError) as error:
            return False, f"{arch}: {error}"
        return (max(*worst.values(), *loaded.values()) <= CLOSE and (llama or 0) <= CLOSE_TO_LLAMA,
                f"{arch}: logits {worst['logits']:.1e}, gradients {worst['grad']:.1e}, adapter {loaded['logits']:.1e}, {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to compare; none: all of make_golden.py")
    parser.add_argument("--llama", type=pathlib.Path, required=True, metavar="FOLDER", help="llama.cpp's sources")
    parser.add_argument("--mpilora", default=ROOT / "build/mpilora", metavar="PROGRAM")
    options = parser.parse_args()
    conversion, makers = load_converter(options.llama.resolve()), load_makers()
    failed = 0
    for name in options.names or makers.FIXTURES:
        good, text = (check_file(name, options) if name.endswith(".gguf")
                      else check(fixture_of(name, makers), options, conversion, makers))
        expected = not good and EXPECTED.get(name) is not None and EXPECTED[name] in text
        failed += not (good or expected)
        print(f"{name:18} {'ok' if good else 'expected' if expected else 'FAILED':8} {text}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
