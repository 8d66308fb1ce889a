#!/usr/bin/env python3
"""Writes tests/golden/jinja: what jinja2, as transformers sets it up, makes of statements and of chat templates.

Needs transformers and jinja2.
  statements.json     the lines of jinja_statements.txt, each with its text, or null where jinja2 fails
  conversations.json  conversations, the templates of jinja_templates.txt, and for each pair a hash of the text that
                      apply_chat_template makes (null where it fails), that of the generation prompt's, and the bytes that are
                      to be learnt: where transformers finds the {% generation %} blocks that the template has then
  masks.txt           some of the texts, [[ and ]] around what is to be learnt: for people to read
"""
import json
import os

from transformers.utils import chat_template_utils

import jinja_oracle

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "jinja")


def text_or_none(template, context):
    try:
        return jinja_oracle.render(template, context)
    except RecursionError:
        return None


def write(name, head, rows):
    """A JSON file with a row a line."""
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        f.write(head + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows) + "\n]}\n")


CALL = {"type": "function", "id": "call_1_ab", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}
CALL_TEXT = {"type": "function", "id": "call_2_cd", "function": {"name": "get_time", "arguments": "{\"zone\": \"UTC\"}"}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}]


def user(text):
    return {"role": "user", "content": text}


def answer(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def tool(text, call="call_1_ab"):
    return {"role": "tool", "tool_call_id": call, "name": "get_weather", "content": text}


CONVERSATIONS = [
    {"messages": [user("Hi"), answer("Hello!")]},
    {"messages": [system("Be brief."), user("What is 2 + 2?"), answer("4"), user("And 3 + 3?"), answer("6.\n")]},
    {"messages": [user("  spaces  "), answer("  kept? \n\n"), user("\nnewlines\n"), answer("\n\nyes")]},
    {"messages": [user("Grüße, 世界 😀"), answer("你好 \u00a0é\u200d🧑‍🚀 ﷽")]},
    {"messages": [user("<|im_end|> and </s>"), answer("I say <|im_start|>user and <end_of_turn>.")]},
    {"messages": [user("Weather?"), answer(None, tool_calls=[CALL]), tool("Sunny, 25 °C"), answer("It is sunny.")], "tools": TOOLS},
    {"messages": [system("Use tools."), user("Weather and time?"), answer("I will look.", tool_calls=[CALL, CALL_TEXT]),
                  tool("rain"), tool("12:00", "call_2_cd"), answer("Rain at noon."), user("Thanks"), answer("Welcome.")], "tools": TOOLS},
    {"messages": [user("Time?"), answer("", tool_calls=[CALL_TEXT]), tool("{\"t\": 1}", "call_2_cd"), answer("One.")]},
    {"messages": [user("Think."), answer("42", reasoning_content="First this.\nThen that.")]},
    {"messages": [user("Think."), answer("a", thinking="Hm."), user("More."), answer("b", reasoning="Well.")]},
    {"messages": [user("Tags"), answer("<think>\nI reason.\n</think>\n\nThe answer."), user("Again"),
                  answer("<think>\n\n</think>\n\nDone.")]},
    {"messages": [user("Empty answer"), answer(""), user("?"), answer("Sorry.")]},
    {"messages": [user("Null"), answer(None), user("?"), answer("Now.")]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Part one. "}, {"type": "text", "text": "Part two."}]},
                  answer("Read.")]},
    {"messages": [user("Parts"), {"role": "assistant", "content": [{"type": "text", "text": "In parts."}]}]},
    {"messages": [{"role": "developer", "content": "Be kind."}, user("Hello"), answer("Dear!")]},
    {"messages": [system("/no_think Short."), user("Go"), answer("Gone.")]},
    {"messages": [user("a"), user("b"), answer("c"), answer("d")]},
    {"messages": [user("Docs?"), answer("One says yes.")], "documents": [{"title": "T", "text": "Yes."}, {"title": "U", "text": "\"No\""}]},
    {"messages": [user("JSON"), answer("{\"a\": [1, 2]}\n```python\nprint('{{ x }}')\n```")], "tools": TOOLS},
    {"messages": [system("S"), user("u1"), answer("a1", tool_calls=None, name="bot"), user("u2"), answer("a2"), user("u3"), answer("a3")]},
    {"messages": [user("Ends with the user"), answer("x"), user("y")]},
]
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
SPECIALS = """<s> </s> <|im_start|> <|im_end|> <|im_sep|> <|eot_id|> <|start_header_id|> <|end_header_id|> <start_of_turn> <end_of_turn>
<|end|> <|user|> <|assistant|> <|system|> <|tool|> <|end_of_text|> <|start_of_role|> <|end_of_role|> <|turn> <turn|> [INST] [/INST]
<｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜> <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> [|endofturn|] <|start|> <|message|>
<|channel|> <|call|> <|return|> <seed:bos> <seed:eos> <|extra_0|> <|eos|> <|end_of_turn|>""".split()
SHOWN = [1, 6, 8]  # conversations in masks.txt


def templates():
    """(name, source without marks, source with {% generation %} blocks, or None if there are no marks)"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "jinja_templates.txt"), encoding="utf-8") as f:
        parts = f.read().split("\n=== ")[1:]
    for part in parts:
        name, source = part.split("\n", 1)
        plain = source.replace("⟦", "").replace("⟧", "")
        tagged = source.replace("⟦", "{% generation %}").replace("⟧", "{% endgeneration %}")
        yield name, plain, tagged if tagged != plain else None


def apply(source, conversation, generation_prompt=False, tracked=False):
    """(text, byte ranges of {% generation %} blocks), or None: what apply_chat_template does."""
    messages = chat_template_utils._normalize_chat_messages(conversation["messages"])
    try:
        texts, blocks = chat_template_utils.render_jinja_template(
            conversations=[messages], tools=conversation.get("tools"), documents=conversation.get("documents"),
            chat_template=source, return_assistant_tokens_mask=tracked, add_generation_prompt=generation_prompt, **VARIABLES)
    except Exception:  # pylint: disable=broad-except
        return None
    ranges = []
    for start, end in blocks[0] if tracked else []:
        start, end = len(texts[0][:start].encode()), len(texts[0][:end].encode())
        if start == end:
            continue
        if ranges and ranges[-1][1] == start:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    return texts[0], ranges


def fnv(text):
    h = 0x811C9DC5
    for byte in text.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def marked(text, ranges):
    text, out, at = text.encode(), b"", 0
    for start, end in ranges:
        out += text[at:start] + b"[[" + text[start:end] + b"]]"
        at = end
    return (out + text[at:]).decode()


def row_of(plain, tagged, conversation):
    rendered = apply(plain, conversation)
    prompt = apply(plain, conversation, True)
    if rendered is None:
        return None, None, None
    tracked = apply(tagged, conversation, tracked=True) if tagged else None
    assert not tagged or tracked[0] == rendered[0], "the marks change the text"
    return rendered[0], fnv(prompt[0]) if prompt else None, tracked[1] if tagged else None


def write_conversations():
    rows, shown = [], []
    for name, plain, tagged in templates():
        results = []
        for i, conversation in enumerate(CONVERSATIONS):
            text, prompt, ranges = row_of(plain, tagged, conversation)
            results.append(None if text is None else [fnv(text), prompt, ranges])
            if i in SHOWN and text is not None and ranges is not None:
                shown.append(f"=== {name}, conversation {i}\n{marked(text, ranges)}\n")
        rows.append({"name": name, "source": plain, "tagged": tagged, "results": results})
    head = {"variables": VARIABLES, "specials": SPECIALS, "shown": SHOWN}
    head = json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1] + ',\n"conversations":[\n'
    head += ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in CONVERSATIONS) + '\n],\n"templates":[\n'
    write("conversations.json", head, rows)
    with open(os.path.join(OUT, "masks.txt"), "w", encoding="utf-8") as f:
        f.write("".join(shown))
    print(len(rows), "templates,", sum(r is not None for row in rows for r in row["results"]), "texts")


def main():
    os.makedirs(OUT, exist_ok=True)
    rows = [[template, text_or_none(template, jinja_oracle.CONTEXT)] for template in jinja_oracle.statements()]
    write("statements.json", '{"context":' + json.dumps(jinja_oracle.CONTEXT, separators=(",", ":")) + ',\n"statements":[\n', rows)
    write_conversations()


if __name__ == "__main__":
    main()
