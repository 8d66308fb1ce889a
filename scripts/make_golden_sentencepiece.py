#!/usr/bin/env python3
"""Writes the part of tests/golden/tokenizer that is about SentencePiece-style tokenizers and about real files.

    make_golden_sentencepiece.py [--real FOLDER]

Needs tokenizers and the files of make_golden_tokenizer.py, whose strings and helpers it uses. Files:
  strings_spm.bin     strings for both parts: scripts, spaces, special tokens of many models, long words
  spm_vocab.json, spm_merges.json   a small vocabulary of characters, with tokens for bytes, and its merges
  spm_variants.json   what surrounds them in a tokenizer.json, for each pipeline under test
  spm_NAME.ids        for each of the first strings, a u16 hash of its ids, then as many of the decoded text
  real_NAME.ids       for the tokenizer.json FOLDER/NAME: of all strings of both files a u16 hash of the ids, then for each
                      100 of them one u16 hash of the decoded texts' hashes
The real files are not here: scripts/fetch_tokenizers.sh downloads them.
"""
import argparse
import json
import os
import random
import struct
import unicodedata

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_golden_tokenizer import OUT, PIECES, SPACES, WORDS, added, assigned, decode_hashes, fnv, hashes, make_strings

SHARED, ALL = 2000, 2400
MARK = "\u2581"
SPECIAL = """<s> </s> <unk> <pad> <bos> <eos> <start_of_turn> <end_of_turn> [INST] [/INST] [TOOL_CALLS] <|begin_of_text|>
<|eot_id|> <|start_header_id|> <|im_start|> <|im_end|> <|endoftext|> <think> </think> <|start|> <|message|> <|channel|>
<|return|> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <0x0A> <0xE6> ▁ ▁▁ ▁the <image_soft_token>""".split()


def same_normalisation(s):
    """The library's Unicode is older than the standard that every utf8proc follows."""
    forms = {"NFC": normalizers.NFC(), "NFD": normalizers.NFD(), "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD()}
    plain = "".join(c for c in s if unicodedata.category(c)[0] != "M")
    return (all(form.normalize_str(s) == unicodedata.normalize(name, s) for name, form in forms.items())
            and normalizers.StripAccents().normalize_str(s) == plain)


def make_more_strings(count):
    rnd, points = random.Random(20261129), assigned()
    strings = ["", " ", "  ", MARK, " " + MARK, "\n \n", "a" * 2000, "ab " * 400, MARK * 700, "\u4e2d\u6587" * 300, "\U0001f600" * 200]
    strings += SPECIAL + [" " + s for s in SPECIAL] + [s + " x" for s in SPECIAL]
    old = [s for s in make_strings(2600) if same_normalisation(s)]
    while len(strings) < count:
        kind = rnd.randrange(5)
        if kind == 0:
            s = "".join(rnd.choice(SPECIAL + PIECES) + rnd.choice(SPACES + [""] * 20) for _ in range(rnd.randint(2, 6)))
        elif kind == 1:
            s = rnd.choice(["", " ", "  "]).join(rnd.choice(WORDS) for _ in range(rnd.randint(2, 14)))
        elif kind == 2:
            s = "".join(chr(rnd.choice(points)) for _ in range(rnd.randint(1, 8))) + rnd.choice(SPACES)
        else:
            s = old.pop() if old else rnd.choice(WORDS)
        if same_normalisation(s) and len(s.encode()) < 1 << 14:
            strings.append(s)
    rest = strings[11:]
    rnd.shuffle(rest)
    return strings[:11] + rest


def train(strings):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    t.pre_tokenizer = pre_tokenizers.Split(Regex(MARK + "+[^" + MARK + "]*"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=1400, limit_alphabet=420, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)])
    t.train_from_iterator([s for s in strings if "<" not in s], trainer)
    model = json.loads(t.to_str())["model"]
    return model["vocab"], model["merges"]


def variants():
    """(name, normalizer, pre-tokenizer, decoder, BPE options, bytes that have a token)"""
    def norm(*steps):
        return normalizers.Sequence(list(steps))

    mark, space = normalizers.Replace(" ", MARK), pre_tokenizers.Split(" ", "merged_with_previous")
    prepend, metaspace = normalizers.Prepend(MARK), pre_tokenizers.Metaspace
    gemma = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    llama = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    sp = {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True}
    split, word = pre_tokenizers.Split, pre_tokenizers.Sequence
    return [
        ("llama2", norm(prepend, mark), None, llama, sp, range(256)),
        ("gemma", mark, space, gemma, sp, range(256)),
        ("first", None, metaspace(prepend_scheme="first", split=False), llama, sp, range(256)),
        ("always", None, metaspace(prepend_scheme="always", split=True), decoders.Metaspace(prepend_scheme="always"),
         {"unk_token": "<unk>"}, []),
        ("never", None, metaspace(prepend_scheme="never", split=True), decoders.Metaspace(prepend_scheme="never"), {}, []),
        ("some_bytes", norm(prepend, mark), None, llama, sp, [b for b in range(256) if b % 3]),
        ("whole", mark, split(Regex("(?=" + MARK + ")"), "isolated"), gemma, {**sp, "ignore_merges": True}, range(256)),
        ("nfkc", norm(normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(True, True)),
         pre_tokenizers.Whitespace(), decoders.Fuse(), {**sp}, []),
        ("nfd", norm(normalizers.NFD(), normalizers.StripAccents(), normalizers.Replace(Regex(r"\s+"), MARK)),
         pre_tokenizers.Punctuation("merged_with_previous"), decoders.Strip(MARK, 2, 0), {"unk_token": "<unk>"}, []),
        ("nfkd", norm(normalizers.NFKD(), normalizers.Strip(False, True)),
         word([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(True)]),
         decoders.Replace(Regex("[aeiou]+"), "*"), sp, range(256)),
        ("later_first", normalizers.NFC(),
         word([split(Regex(r"[,;]"), "isolated"), metaspace(prepend_scheme="first", split=True)]), llama, sp, range(256)),
        ("empty", normalizers.Replace(Regex("(?=[xyz])"), "-"), metaspace(prepend_scheme="always", split=False), gemma, sp, range(256)),
    ]


def build(vocab, merges, normalizer, pre, decoder, options, kept):
    left = {"<0x%02X>" % b for b in range(256)} - {"<0x%02X>" % b for b in kept}
    names = [k for k in sorted(vocab, key=vocab.get) if k not in left]
    t = Tokenizer(models.BPE(vocab={k: i for i, k in enumerate(names)}, merges=[tuple(m) for m in merges], **options))
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.decoder = decoder
    t.add_special_tokens([added(x, special=True) for x in ("<unk>", "<s>", "</s>", "<|im_end|>")])
    t.add_tokens([added("[L]", lstrip=True), added("[R]", rstrip=True), added("née", normalized=True), added("Word", normalized=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t, sorted(left)


def real_hashes(t, strings):
    ids, blocks, block = [], [], b""
    for i, encoding in enumerate(t.encode_batch(strings)):
        ids.append(fnv(struct.pack("<%di" % len(encoding.ids), *encoding.ids)) & 0xFFFF)
        block += struct.pack("<I", fnv(t.decode(encoding.ids, skip_special_tokens=False).encode()))
        if i % 100 == 99:
            blocks.append(fnv(block) & 0xFFFF)
            block = b""
    return struct.pack("<%dH" % (len(ids) + len(blocks)), *ids, *blocks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", help="folder with NAME/tokenizer.json, as scripts/fetch_tokenizers.sh leaves it")
    args = parser.parse_args()
    write = lambda name, data: open(os.path.join(OUT, name), "wb").write(data)
    text = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    strings, packed = make_more_strings(ALL), b""
    for s in strings:
        data = s.encode()
        packed += bytes([len(data) & 127 | 128, len(data) >> 7]) if len(data) > 127 else bytes([len(data)])
        packed += data
    write("strings_spm.bin", packed)
    vocab, merges = train(strings)
    vocab = dict(sorted(vocab.items(), key=lambda item: item[1]))
    write("spm_vocab.json", text(vocab))
    write("spm_merges.json", text(merges))
    rows = []
    for name, normalizer, pre, decoder, options, kept in variants():
        t, left = build(vocab, merges, normalizer, pre, decoder, options, kept)
        outer = json.loads(t.to_str())
        model = outer.pop("model")
        model.pop("vocab"), model.pop("merges")
        rows.append({"name": name, "outer": text(outer).decode()[1:-1], "model": text(model).decode()[1:-1],
                     "left_out": left, "decoded": decode_hashes(t, 200)})
        write("spm_" + name + ".ids", hashes(t, strings[:SHARED], "H"))
    write("spm_variants.json", text(rows))
    every = make_strings(6000) + strings
    for name in sorted(os.listdir(args.real)) if args.real else []:
        write("real_" + name + ".ids", real_hashes(Tokenizer.from_file(os.path.join(args.real, name, "tokenizer.json")), every))


if __name__ == "__main__":
    main()
