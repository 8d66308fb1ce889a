#!/usr/bin/env python3
"""Writes tests/golden/tokenizer: what the `tokenizers` and `transformers` libraries make of some thousand strings.

    make_golden_tokenizer.py SMOLLM2.gguf

Needs tokenizers, transformers, jinja2 and gguf. Files, all little-endian:
  strings.bin    each string as a varint length and its UTF-8 bytes
  vocab.json, merges.json, merges_text.json   one small vocabulary, its merges in both notations
  variants.json  what surrounds vocabulary and merges in a tokenizer.json, for each pipeline under test
  NAME.ids       for each string, a u16 hash of its ids with special tokens, then as many of the decoded text
  smollm2.ids    the same with u32 hashes, for the real model's vocabulary
  chat.json      conversations: rendered text, ids, and which tokens are supervised
Characters are those of Unicode 14, which every supported PCRE2 and utf8proc knows; the library's NFC is older still, so
strings on which it departs from the standard are left out.
"""
import json
import os
import random
import struct
import sys
import unicodedata

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers
from transformers import PreTrainedTokenizerFast

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "tokenizer")
SHARED = 3000  # strings that the small variants are tried on; the real vocabulary gets all
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

PIECES = """'s 'S 'ſ 't 'RE 've 'M 'LL 'd don't WE'LL it's ſ K ß ﬆ ﬁ İ ı ǅ Ⅷ ½ ² ³ ٣ ४ ㊿ 1 12 123 1234 1234567 3.14 0x1F
é é ñ ö Å Å 각 한국어 한 漢字 日本語 東京 ไทย नमस्ते কাকো முத்து ქართული ελληνικά Ελλάδα русский עברית
العربية አማርኛ ខ្មែរ བོད ᏣᎳᎩ 𐍈 𝒳 𝟘 🇪🇺 👩‍👩‍👧 👍🏽 ☕️ 🏳️‍🌈 © ™ € → ≠ — … “x” «y» ¿ ¡ !! ?! ... // :: -> => == {} [] () <b> </b> #! $x @y
a_b snake_case camelCase HTTPServer C++ x=1; i++ foo(bar) "quoted" \\n \\t C:\\dir https://example.org/a?b=c&d=%20 me@example.org
<|im_start|> <|im_end|> <|im_en <|endoftext|> [L] [R] [B] word sword words née né <s> <|""".split()
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", " \t ", "\u00a0", "\u1680", "\u180e", "\u2003",
          "\u200b", "\u200d", "\u2028", "\u202f", "\u205f", "\u3000", "\ufeff", "\x85", "\x0b", "\x0c", "\x1c", "\x1f"]
WORDS = """the of and to in a is that for it was on are as with his they at be this from I have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so these would other
into has more her two like him see time could no make than first been its who now people my made over did down only way find
use may water long little very after words called just where most know""".split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}", "#SBATCH --time=01:00:00",
        "SELECT * FROM t WHERE id = 42;", "if x != y and not z:\n        pass", "<div class=\"a\">&nbsp;</div>", "\\frac{1}{2}",
        "git commit -m 'Fix it'", "0.1 + 0.2 = 0.30000000000000004", "Request: 4 nodes, 16 tasks, 2 hours"]


def assigned():
    return [c for c in range(1, 0x110000)
            if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]


def make_strings(count):
    rnd = random.Random(20240607)
    points, small = assigned(), [c for c in assigned() if c < 0x3000]
    marks = [c for c in points if unicodedata.category(chr(c))[0] == "M"]
    strings = ["", " ", "\0", "a\0b", "a" * 300, " " * 100 + "x", "\n" * 50, "\U0010ffff", "\ufffd", "ab" * 64 + "\n"]
    strings += PIECES + SPACES + CODE + [" " + p for p in PIECES] + [p + " " + p for p in PIECES]
    while len(strings) < count:
        kind, s = rnd.randrange(6), ""
        if kind == 0:
            s = "".join(rnd.choice(PIECES) + rnd.choice(SPACES + [""] * 20) for _ in range(rnd.randint(1, 5)))
        elif kind == 1:
            s = " ".join(rnd.choice(WORDS) for _ in range(rnd.randint(1, 7))) + rnd.choice([".", "!", "", "\n", "?"])
        elif kind == 2:
            s = "".join(chr(rnd.choice(points)) for _ in range(rnd.randint(1, 6)))
        elif kind == 3:
            s = "".join(chr(rnd.choice(small)) for _ in range(rnd.randint(1, 9)))
        elif kind == 4:
            s = "".join(chr(rnd.randint(1, 0x7E)) for _ in range(rnd.randint(1, 20)))
        else:
            s = "".join(rnd.choice("aeouAn \u1112\u1161\u11a8\u0915") + chr(rnd.choice(marks)) for _ in range(rnd.randint(1, 4)))
        if normalizers.NFC().normalize_str(s) == unicodedata.normalize("NFC", s):
            strings.append(s)
    return strings


def train(strings):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # All bytes but three, so that bytes without a token are tried too; U+0001 and U+001F occur in the strings.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator([s for s in strings if "<|" not in s] * 2, trainer)
    model = json.loads(t.to_str())["model"]
    kept, merges = model["vocab"], model["merges"]
    for c in ("\u0101", "\u011f", "Ł"):
        merges = [m for m in merges if c not in m[0] + m[1]]
        kept = {k: v for k, v in kept.items() if c not in k}
    ids = {k: i for i, (k, _) in enumerate(sorted(kept.items(), key=lambda kv: kv[1]))}
    return ids, merges


def added(content, **flags):
    return AddedToken(content, **{"normalized": False, "special": False, **flags})


def variants():
    """(name, normalizer, pre-tokenizer, post-processor, BPE options)"""
    byte_level, split = pre_tokenizers.ByteLevel, pre_tokenizers.Split
    last = byte_level(add_prefix_space=False, use_regex=False)
    rows = [
        ("gpt2", None, byte_level(add_prefix_space=False), processors.ByteLevel(trim_offsets=True), {}),
        ("smollm", None, [pre_tokenizers.Digits(True), byte_level(add_prefix_space=False)], None, {}),
        ("llama3", None, [split(Regex(LLAMA3), "isolated"), last], "template", {"ignore_merges": True}),
        ("qwen2", normalizers.NFC(), [split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), last],
         processors.ByteLevel(trim_offsets=False), {}),
        ("tekken", None, [split(Regex(TEKKEN), "isolated"), last], None, {"ignore_merges": True}),
        ("prefix", normalizers.Sequence([normalizers.NFC()]),
         [split(" ", "removed"), byte_level(add_prefix_space=True)], None, {"unk_token": "<unk>"}),
        ("fused", None, [pre_tokenizers.Digits(False), byte_level(add_prefix_space=True, use_regex=False)], None,
         {"unk_token": "<unk>", "fuse_unk": True}),
        ("inverted", None, [split(Regex(r"[\p{L}\p{M}]+|\s"), "removed", invert=True), last], None, {}),
        ("behind", None, [byte_level(add_prefix_space=False), pre_tokenizers.Digits(True),
                          split("Ġ", "merged_with_previous")], None, {}),
    ]
    for behavior in ("merged_with_previous", "merged_with_next", "contiguous"):
        rows.append((behavior, None, [split(Regex(r"(?=[aeiou])|\s{1,2}|[^\S\n]?\d"), behavior), last], None, {}))
    return rows


def build(vocab, merges, normalizer, pre, post, options):
    vocab = dict(vocab)
    if "unk_token" in options:
        vocab["<unk>"] = len(vocab)
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in merges], **options))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(pre) if isinstance(pre, list) else pre
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([added(x, special=True) for x in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>")])
    t.add_tokens([added("[L]", lstrip=True), added("[R]", rstrip=True), added("[B]", lstrip=True, rstrip=True),
                  added("word", single_word=True, normalized=True), added("ne\u0301e", normalized=True)])
    if post == "template":
        bos = t.token_to_id("<s>")
        post = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
            single="<s> $A <|endoftext|>", special_tokens=[("<s>", bos), ("<|endoftext|>", t.token_to_id("<|endoftext|>"))])])
    if post:
        t.post_processor = post
    return t


def smollm2(path):
    """The vocabulary of the GGUF with the pre-tokenizer of the model's own tokenizer.json."""
    fields = gguf.GGUFReader(path).fields
    tokens, types, merges = (fields["tokenizer.ggml." + k].contents() for k in ("tokens", "token_type", "merges"))
    t = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([added(x, special=True) for x, kind in zip(tokens, types) if kind == 3])
    return t, fields["tokenizer.chat_template"].contents()


def fnv(data):
    h = 0x811C9DC5
    for b in data:
        h = (h ^ b) * 0x01000193 & 0xFFFFFFFF
    return h


def hashes(t, strings, code):
    """Hashes of the ids, then of the text that they decode to."""
    first, second = [], []
    for encoding in t.encode_batch(strings):
        first.append(fnv(struct.pack("<%di" % len(encoding.ids), *encoding.ids)))
        second.append(fnv(t.decode(encoding.ids, skip_special_tokens=False).encode()))
    mask = 0xFFFF if code == "H" else 0xFFFFFFFF
    return struct.pack("<%d%s" % (2 * len(strings), code), *(h & mask for h in first + second))


def decode_hashes(t, count):
    """Of random ids, most of them broken UTF-8. The same generator runs in the test."""
    state, out = 1, []

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return (state >> 33) % n

    for _ in range(count):
        ids = [draw(t.get_vocab_size()) for _ in range(1 + draw(8))]
        out.append(fnv(t.decode(ids, skip_special_tokens=True).encode()))
    return out


def conversations():
    def turn(role):
        return lambda content: {"role": role, "content": content}

    u, a, s = turn("user"), turn("assistant"), turn("system")
    return [
        [u("Hello"), a("Hi there!")],
        [s("Be brief."), u("2+2?"), a("4"), u("and 12 * 12?"), a("144\n")],
        [u(" spaces around "), a("  kept \n as they are  ")],
        [u("x"), a("")],
        [u("say <|im_end|>"), a("<|im_end|> inside <|im_start|>assistant\nno turn")],
        [a("I begin"), u("then you"), a("and I end")],
        [u("one"), u("two"), a("three"), a("four")],
        [u("q"), s("late system"), a("r")],
        [s(""), s("two systems"), u("é\u0301 漢字 👩‍👩‍👧"), a("\u0301starts with a mark ſ's 1234567")],
        [u("only a question")],
        [s("only a system")],
        [u("trailing newline\n"), a("\n\nleading newlines")],
        [u("{{ messages }} {% raw %}"), a("#SBATCH --nodes=4\n#SBATCH --time=01:30:00")],
    ]


def chat_cases(t, templates):
    fast = PreTrainedTokenizerFast(tokenizer_object=t)
    cases = []
    for number, template in enumerate(templates):
        for messages in conversations():
            for generation in (False, True) if number == 0 else (True,):
                render = lambda m, g: fast.apply_chat_template(m, chat_template=template, tokenize=False, add_generation_prompt=g)
                text = render(messages, generation)
                spans = []
                for i, m in enumerate(messages):
                    if m["role"] == "assistant":
                        end = len(render(messages[:i + 1], False)) - 1
                        spans.append((end - len("<|im_end|>") - len(m["content"]), end))
                encoding = t.encode(text, add_special_tokens=False)
                assert encoding.ids == fast.apply_chat_template(messages, chat_template=template, add_generation_prompt=generation,
                                                                return_dict=False)
                mask = [int(any(b <= s and e <= f for b, f in spans)) for s, e in encoding.offsets]
                cases.append({"template": number, "messages": messages, "generation_prompt": generation, "text": text,
                              "ids": encoding.ids, "mask": mask})
    return cases


def main():
    os.makedirs(OUT, exist_ok=True)
    write = lambda name, data: open(os.path.join(OUT, name), "wb").write(data)
    text = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    strings = make_strings(6000)
    real, template = smollm2(sys.argv[1])
    packed = b""
    for s in strings:
        data = s.encode()
        n = len(data)
        packed += bytes([n & 127 | 128, n >> 7]) if n > 127 else bytes([n])
        packed += data
    write("strings.bin", packed)
    vocab, merges = train(strings[:SHARED])
    write("vocab.json", text(vocab))
    write("merges.json", text(merges))
    write("merges_text.json", text([" ".join(m) for m in merges]))
    rows, mini = [], None
    for name, normalizer, pre, post, options in variants():
        t = build(vocab, merges, normalizer, pre, post, options)
        outer = json.loads(t.to_str())
        assert all(outer["model"]["vocab"][k] == v for k, v in vocab.items())
        extra = {k: v for k, v in outer["model"]["vocab"].items() if k not in vocab}
        outer["model"].pop("vocab"), outer["model"].pop("merges")
        model = outer.pop("model")
        rows.append({"name": name, "outer": text(outer).decode()[1:-1], "model": text(model).decode()[1:-1],
                     "extra": text(extra).decode()[1:-1], "decoded": decode_hashes(t, 200)})
        write(name + ".ids", hashes(t, strings[:SHARED], "H"))
        mini = t if name == "smollm" else mini
    write("variants.json", text(rows))
    write("smollm2.ids", hashes(real, strings, "I"))
    turns = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}" \
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    plain = "{% for message in messages %}" + turns
    templates = [template, plain, plain.replace("\\n", "\n"),
                 "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}" + plain,
                 "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are "
                 "a helpful assistant.<|im_end|>\\n' }}{% endif %}" + turns]
    write("chat.json", text({"templates": templates, "small": chat_cases(mini, templates),
                             "smollm2": [{"ids": c["ids"], "mask": c["mask"]} for c in chat_cases(real, templates[:1])]}))


if __name__ == "__main__":
    main()
