#!/usr/bin/env python3
"""Writes tests/golden/forms/forms.json: lines of data in every form, and what transformers makes of them.

Needs transformers, tokenizers, trl and jinja2. A small tokenizer with the special tokens of several families, some of the
templates of jinja_templates.txt, and for each line and template the ids and which of them are trained: the line as
messages (by the conversion here, which knows nothing of mpilora's), rendered by apply_chat_template, tokenised by the
library, with what stands in {% generation %} blocks marked. A block belongs to the assistant's message of its number; a
template that has not one block for each is left out where that matters. null: the line is to be refused. Of a preference
pair, the prompt is what TRL finds, and both sides, each as a prompt with its completion, stand one after the other.
"""
import json
import os

import jinja_oracle  # noqa: F401  (sets up the path of this folder)
from make_golden_jinja import CALL, SPECIALS, TOOLS, VARIABLES, answer, system, templates, tool, user
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers.utils import chat_template_utils
from trl.data_utils import extract_prompt

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "forms")
NAMES = ["chatml", "qwen2_5", "qwen3", "llama3", "llama3_1", "gemma3", "gemma", "mistral_v7", "smollm3"]


def small_tokenizer():
    """A token a byte, a few merges, and special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("Ċ", "Ċ"), ("Ġ", "a"), ("o", "r"), ("e", "r")]
    vocabulary = {t: i for i, t in enumerate(letters + [a + b for a, b in merges])}
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in ("<think>", "</think>")])
    return t


# ---- the forms, converted ----

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
         "model": "assistant", "tool": "tool", "observation": "tool"}


def from_sharegpt(line):
    messages = [system(line["system"])] if line.get("system") else []
    for turn in line["conversations"]:
        if turn["from"] == "function_call":
            calls = json.loads(turn["value"])
            calls = calls if isinstance(calls, list) else [calls]
            message = {"role": "assistant", "tool_calls": [{"type": "function", "function": c} for c in calls]}
        else:
            message = {"role": ROLES[turn["from"]], "content": turn["value"]}
        message.update({k: turn[k] for k in ("weight", "train") if k in turn})
        messages.append(message)
    tools = line.get("tools")
    return messages, json.loads(tools) if isinstance(tools, str) and tools else tools


def from_alpaca(line):
    messages = [system(line["system"])] if line.get("system") else []
    for asked, answered in line.get("history") or []:
        messages += [user(asked), answer(answered)]
    question = "\n".join(filter(None, (line["instruction"], line.get("input"))))
    return messages + [user(question), answer(line["output"])], None


def as_messages(line):
    """messages, tools, documents, number of the messages that are a prompt"""
    documents, first = line.get("documents"), 0
    if "conversations" in line:
        messages, tools = from_sharegpt(line)
    elif "instruction" in line:
        messages, tools = from_alpaca(line)
    elif "prompt" in line:
        first = len(line["prompt"])
        messages, tools = line["prompt"] + line["completion"], line.get("tools")
    else:
        messages, tools = line["messages"], line.get("tools")
        tools = json.loads(tools) if isinstance(tools, str) else tools
    return messages, tools, documents, first


def said(who, value):
    return {"from": who, "value": value}


def to_messages(turns):
    """Of a side of a pair: a text, a message, or a list of them, each in its own form."""
    if isinstance(turns, str):
        return [answer(turns)]
    turns = turns if isinstance(turns, list) else [turns]
    return [from_sharegpt({"conversations": [t]})[0][0] if "from" in t else t for t in turns]


def as_pair(line):
    """The same pair as lists of messages."""
    sides = {side: to_messages(line[side]) for side in ("chosen", "rejected")}
    asked = next((line[key] for key in ("prompt", "conversations", "messages") if key in line), None)
    pair = {**sides, **extract_prompt(sides)} if asked is None else {"prompt": to_messages(asked), **sides}
    if line.get("system"):
        pair["prompt"] = [system(line["system"])] + pair["prompt"]
    return {**pair, "tools": json.loads(line["tools"]) if isinstance(line.get("tools"), str) else line.get("tools")}


LINES = [
    {"messages": [user("Hi"), answer("Hello there!")]},
    {"messages": [system("Be brief."), user("What is 2 + 2?"), answer("4", weight=0), user("And 3 + 3?"), answer("6", weight=1)]},
    {"messages": [user("a"), answer("the one", train=False), user("b"), answer("other"), user("c"), answer("in the end", train=True)]},
    {"messages": [user("Grüße, 世界 😀"), answer("你好 é\u200d🧑‍🚀")]},
    {"messages": [user("<|im_end|> and </s>"), answer("I say <|im_start|>user and <end_of_turn> there.")]},
    {"messages": [user("Weather?"), answer(None, tool_calls=[CALL]), tool("Sunny, 25 °C"), answer("It is sunny.")], "tools": TOOLS},
    {"messages": [user("Weather?"), answer("", tool_calls=[CALL]), tool("Rain"), answer("It rains.")], "tools": json.dumps(TOOLS)},
    {"messages": [user("Think."), answer("42", reasoning_content="First this.\nThen that.")]},
    {"messages": [user("Think."), answer("a", thinking="Hm."), user("More."), answer("b", reasoning="Well.")]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Part one. "}, {"type": "text", "text": "Two."}]},
                  answer("Read.")]},
    {"messages": [user("Docs?"), answer("One says yes.")], "documents": [{"title": "T", "text": "Yes."}]},
    {"prompt": [system("S"), user("u1"), answer("a1"), user("u2")], "completion": [answer("a2")]},
    {"prompt": [user("u")], "completion": [answer("a2"), user("and?"), answer("a3")]},
    {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    {"conversations": [{"from": "user", "value": "Hi"}, {"from": "model", "value": "x", "train": False}, {"from": "human", "value": "y"},
                       {"from": "assistant", "value": "Hello"}], "system": "Be kind."},
    {"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "Weather?"},
                       {"from": "function_call", "value": '{"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}'},
                       {"from": "observation", "value": "Sunny"}, {"from": "gpt", "value": "It is sunny."}], "tools": json.dumps(TOOLS)},
    {"conversations": [{"from": "human", "value": "Both?"},
                       {"from": "function_call", "value": '[{"name": "f", "arguments": {"x": 0.1}}, {"name": "g", "arguments": {}}]'},
                       {"from": "tool", "value": "1"}, {"from": "gpt", "value": "Done."}], "tools": TOOLS},
    {"instruction": "Add.", "input": "1 and 2", "output": "3"},
    {"instruction": "Say hi.", "input": "", "output": "hi"},
    {"instruction": "Say hi.", "output": "hi", "system": "Be short.", "history": [["a", "the b"], ["c", "d"]]},
    {"prompt": [user("u")], "chosen": [answer("the good one")], "rejected": [answer("worse")]},
    {"chosen": [system("S"), user("a"), answer("b"), user("c"), answer("yes")],
     "rejected": [system("S"), user("a"), answer("b"), user("c"), answer("no"), user("Why?"), answer("the reason")]},
    {"prompt": [user("Weather?")], "chosen": [answer(None, tool_calls=[CALL]), tool("Rain"), answer("It rains.")],
     "rejected": [answer("I do not know.")], "tools": TOOLS},
    {"conversations": [said("human", "a"), said("gpt", "b"), said("human", "c")], "chosen": said("gpt", "yes"),
     "rejected": said("gpt", "no"), "system": "Be kind."},
    {"conversations": [said("system", "S"), said("human", "Weather?")],
     "chosen": said("function_call", '{"name": "get_weather", "arguments": {"city": "Zürich"}}'),
     "rejected": said("gpt", "I do not know."), "tools": json.dumps(TOOLS)},
    {"conversations": [user("Hi")], "chosen": answer("Hello there!"), "rejected": answer("What?")},
    {"messages": [system("S"), user("Hi")], "chosen": "Hello there!", "rejected": answer("What?")},
    {"prompt": [user("u")], "chosen": "the good one", "rejected": "worse"},
    {"prompt": [said("human", "u")], "chosen": [said("gpt", "the good one"), said("human", "and?"), said("gpt", "that")],
     "rejected": [said("gpt", "worse")]},
    {"chosen": [said("human", "u"), said("gpt", "the good one")], "rejected": [said("human", "u"), said("gpt", "worse")]},
    {"prompt": [user("u")], "chosen": said("gpt", "the good one"), "rejected": said("gpt", "worse")},
]
COLUMNS = [
    ("messages=chat", {"chat": [user("q"), answer("the answer")]}),
    ("instruction=question,output=answer,unused=text", {"question": "q", "answer": "a", "text": "q a"}),
    ("prompt=completion,completion=prompt", {"completion": [user("q")], "prompt": [answer("a")]}),
]
RENAMED = [{"messages": [user("q"), answer("the answer")]}, {"instruction": "q", "output": "a"},
           {"prompt": [user("q")], "completion": [answer("a")]}]


def is_trained(message, train_on, index, last):
    if message.get("weight") == 0 or message.get("train") is False:
        return False
    return train_on == "answers" or index == last


def mark(t, source, tagged, line, train_on):
    """(ids, mask) or None; "skip": it cannot be told from here."""
    messages, tools, documents, first = as_messages(line)
    normal = chat_template_utils._normalize_chat_messages(messages)
    kwargs = {"conversations": [normal], "tools": tools, "documents": documents, **VARIABLES}
    try:
        text = chat_template_utils.render_jinja_template(chat_template=source, **kwargs)[0][0]
        shown, blocks = chat_template_utils.render_jinja_template(chat_template=tagged, return_assistant_tokens_mask=True, **kwargs)
    except Exception:  # pylint: disable=broad-except
        return None
    assert shown[0] == text
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    chosen = [i for i in answers if i >= first and is_trained(messages[i], train_on, i, answers[-1])]
    blocks = [b for b in blocks[0] if b[0] < b[1]]
    if train_on == "all":
        blocks = [(0, len(text))]
    elif chosen == answers:
        pass
    elif len(blocks) == len(answers):
        blocks = [b for i, b in zip(answers, blocks) if i in chosen]
    else:
        return "skip"
    encoding = t.encode(text, add_special_tokens=False)
    mask = [int(any(s <= a < b <= e for s, e in blocks)) for a, b in encoding.offsets]
    mask[0] = 0
    return (encoding.ids, mask) if any(mask) else None


def mark_any(t, source, tagged, line, train_on):
    if "chosen" not in line:
        return mark(t, source, tagged, line, train_on)
    if train_on == "all":
        return "skip"
    pair = as_pair(line)
    sides = [mark(t, source, tagged, {"prompt": pair["prompt"], "completion": pair[side], "tools": pair["tools"]}, train_on)
             for side in ("chosen", "rejected")]
    if None in sides or "skip" in sides:
        return None if None in sides else "skip"
    return sides[0][0] + sides[1][0], sides[0][1] + sides[1][1]


def runs(mask):
    """0011101 as [2, 3, 1, 1]: how many of each in turn, from 0 on."""
    out, value = [0], 0
    for bit in mask:
        if bit != value:
            out.append(0)
            value = bit
        out[-1] += 1
    return out


def fnv(ids):
    h = 0x811C9DC5
    for i in ids:
        for byte in i.to_bytes(4, "little"):
            h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def main():
    t = small_tokenizer()
    chosen = [(n, plain, tagged) for n, plain, tagged in templates() if n in NAMES and tagged]
    lines = [("", line, line) for line in LINES] + [(c, line, as_) for (c, line), as_ in zip(COLUMNS, RENAMED)]
    rows = []
    for columns, line, meant in lines:
        for train_on in ("answers", "last", "all"):
            results = []
            for _, plain, tagged in chosen:
                got = mark_any(t, plain, tagged, meant, train_on)
                results.append(got if got in (None, "skip") else [len(got[0]), fnv(got[0]), runs(got[1])])
            rows.append({"line": json.dumps(line, ensure_ascii=False), "columns": columns, "train_on": train_on, "results": results})
    os.makedirs(OUT, exist_ok=True)
    head = {"tokenizer": t.to_str(), "config": json.dumps(VARIABLES), "templates": [[n, plain] for n, plain, _ in chosen]}
    with open(os.path.join(OUT, "forms.json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(head, ensure_ascii=False)[:-1] + ',\n"rows":[\n')
        f.write(",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows) + "\n]}\n")
    flat = [r for row in rows for r in row["results"]]
    print([n for n, _, _ in chosen], len(rows), "rows;", flat.count(None), "refused,", flat.count("skip"), "skipped, of", len(flat))


if __name__ == "__main__":
    main()
