"""What jinja2 makes of a template in the environment that transformers renders chat templates in; for the scripts beside it."""
import contextlib
import datetime
import io
import json
import os
import subprocess

from transformers.utils import chat_template_utils

USERS = [{"name": "Ada", "age": 36, "city": "London", "pet": {"name": "Rex"}}, {"name": "bob", "age": 30, "city": "Rome"},
         {"name": "Cleo", "age": 41, "city": "london"}]
CONTEXT = {"user": {"name": "Ada", "age": 36, "tags": ["x", "y"]}, "nums": [1, 2, 3, 4, 5], "users": USERS,
           "nested": {"a": {"b": {"c": 7}}, "list": [{"a": 1}, {"a": 2}]}, "tricky": {"items": "key", "plain": 1, "get": 2}}


class Now(datetime.datetime):
    """The day on which all templates are rendered."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Now
ENVIRONMENT = chat_template_utils._compile_jinja_template("").environment


def render(template, context):
    """The text, or None if it fails. A text that is no UTF-8 (half of a surrogate pair) is a failure, too."""
    try:
        text = ENVIRONMENT.from_string(template).render(**context)
        text.encode()
        return text
    except RecursionError:
        raise
    except Exception:  # pylint: disable=broad-except
        return None


class Ours:
    """Our interpreter: the program jinja_lines of a build folder."""

    def __init__(self, build):
        self.process = subprocess.Popen([os.path.join(build, "tests", "jinja_lines")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def render(self, template, context):
        """(text, None) or (None, message)."""
        line = json.dumps({"template": template, "context": context}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer.get("text"), answer.get("error")


def statements():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jinja_statements.txt")
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    return [line.replace("¶", "\n") for line in lines if line and not line.startswith("# ")]
