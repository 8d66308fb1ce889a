#!/usr/bin/env python3
"""Makes up templates and holds what our interpreter makes of them against jinja2.

    fuzz_jinja.py BUILD [SECONDS] [SEED]

BUILD is a build folder with tests/jinja_lines in it. Prints every difference in a short form of the template; exits with 1
if there was any. What is not compared: texts of objects that have none but an address, integers beyond 64 bits, complex
numbers, slices of what has none (jinja2 calls those of constants undefined, all others an error), sets (differences of
views of a dict), and going through `loop`.
"""
import random
import re
import sys
import time
import warnings

import jinja_oracle

TEXTS = ["''", "'a'", "'Hello World'", "'a,b,,c'", "'  x y '", "'é😀'", "'1'", "'-2.5'", "'<b>&'", "\"it's\"", "'a\\nb\\n'", "'ABC'",
         "('<a b'|safe)", "('%s,b'|e)"]
NAMES = ["user", "nums", "users", "nested", "missing", "tricky", "x", "y", "ns", "loop"]
FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "list", "join", "first", "last", "sort", "unique|list", "string",
           "tojson", "int", "float", "abs", "reverse|list", "sum", "min", "max", "default('d')", "round", "items|list", "safe", "escape",
           "join(',')", "indent", "replace('a','b')", "batch(2)|list", "slice(2)|list", "map('string')|list", "select|list",
           "reject('none')|list", "map(attribute='name')|list", "selectattr('age')|list", "dictsort", "wordcount", "center(9)",
           "truncate(5,true,'.')", "tojson(indent=2)", "groupby('city')", "sort(reverse=true)", "default('z',true)", "count",
           "rejectattr('name','eq','bob')|list", "map('upper')|join", "urlencode", "format(1)"]
TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "odd", "even", "true", "false", "integer",
         "float", "boolean", "eq 1", "in [1,'a']", "divisibleby 2", "lower", "upper", "sameas none", "gt 1", "not none", "callable"]
METHODS = ["upper()", "strip()", "split()", "split(',')", "title()", "items()", "keys()|list", "get('name')", "values()|list",
           "startswith('a')", "endswith(('a','b'))", "replace('a','')", "splitlines()", "find('b')", "count('a')", "join(['p','q'])",
           "rstrip('c')", "isdigit()", "zfill(4)", "partition(',')", "rsplit(',',1)", "capitalize()", "index('a')", "get('zz',1)",
           "lstrip()", "format(1)", "center(5)", "copy()", "swapcase()", "casefold()", "removeprefix('H')"]
ATTRIBUTES = ["name", "age", "a", "list", "items", "tags", "0", "x", "index", "last", "b"]
UNCOMPARED = ["64 bits", "has no slices", "has no text of its own", "and 'view of a dict'",
              "'view of a dict' and", "'LoopContext' object is not iterable", "complex numbers"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Maker:
    def __init__(self, rnd):
        self.rnd = rnd

    def pick(self, items):
        return self.rnd.choice(items)

    def atom(self):
        return self.pick([lambda: self.pick(TEXTS), lambda: str(self.rnd.randint(-3, 12)), lambda: self.pick(["1.5", "0.1", "2.0", "1e3"]),
                          lambda: self.pick(["true", "false", "none"]), lambda: self.pick(NAMES), lambda: self.pick(NAMES)])()

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        e = lambda: self.expression(depth - 1)  # noqa: E731
        kind = self.rnd.randrange(13)
        if kind == 0:
            return f"({e()} {self.pick(OPERATORS)} {e()})"
        if kind == 1:
            return f"{e()} {self.pick(OPERATORS)} {e()}"
        if kind in (2, 3):
            return f"{e()}|{self.pick(FILTERS)}"
        if kind == 4:
            return f"({e()} is {self.pick(TESTS)})"
        if kind == 5:
            return f"({e()}).{self.pick(METHODS)}"
        if kind == 6:
            return f"{self.pick(NAMES)}.{self.pick(ATTRIBUTES)}"
        if kind == 7:
            return f"({e()})[{self.pick(['0', '-1', '1:', '::-1', ':2', '::2', '-2:', repr(self.pick(ATTRIBUTES)), e()])}]"
        if kind == 8:
            return "[" + ", ".join(e() for _ in range(self.rnd.randrange(4))) + "]"
        if kind == 9:
            return "{" + ", ".join(f"{self.pick(TEXTS)}: {e()}" for _ in range(self.rnd.randrange(3))) + "}"
        if kind == 10:
            return f"({e()} if {e()} else {e()})"
        if kind == 11:
            return f"not {e()}"
        return self.pick([f"range({self.rnd.randint(-2, 5)})", f"dict(a={e()})", f"({e()}, {e()})", f"-{e()}", f"m({e()})"])

    def sign(self):
        return self.pick(["", "", "", "-", "+"])

    def tag(self, inside):
        return "{%" + self.sign() + " " + inside + " " + self.sign() + "%}"

    def text(self):
        return self.pick(["", "a", " ", "\n", "  b\n", "\n\n", " c ", "\n  "])

    def statement(self, depth):
        e = lambda: self.expression(2)  # noqa: E731
        body = lambda: self.body(depth - 1)  # noqa: E731
        kind = self.rnd.randrange(12) if depth > 0 else 0
        if kind in (0, 1, 2):
            return "{{" + self.pick(["", "", "-"]) + " " + e() + " " + self.pick(["", "", "-"]) + "}}"
        if kind == 3:
            rest = self.pick(["", self.tag("else") + body(), self.tag(f"elif {e()}") + body()])
            return self.tag(f"if {e()}") + body() + rest + self.tag("endif")
        if kind in (4, 5):
            target, over = self.pick([("x", "nums"), ("x", e()), ("x, y", "user.items()"), ("x", f"nums if {e()}"), ("y", "users")])
            return self.tag(f"for {target} in {over}") + body() + self.pick(["", "", self.tag("else") + body()]) + self.tag("endfor")
        if kind == 6:
            return self.tag(f"set {self.pick(['x', 'y', 'ns.a', 'x, y'])} = {e()}")
        if kind == 7:
            return self.tag(self.pick(["set x", "set y | upper"])) + body() + self.tag("endset")
        if kind == 8:
            return self.tag("macro m(x, y=1)") + body() + self.tag("endmacro")
        if kind == 9:
            return "{#" + self.sign() + " note " + self.pick(["", "-"]) + "#}"
        if kind == 10:
            return self.tag(f"filter {self.pick(['upper', 'trim', 'indent'])}") + body() + self.tag("endfilter")
        return self.pick([self.tag("with x = 1") + body() + self.tag("endwith"),
                          self.tag("if loop.first") + self.tag("continue") + self.tag("endif"),
                          self.tag("generation") + body() + self.tag("endgeneration"), self.tag("raw") + "{{ x }}" + self.tag("endraw")])

    def body(self, depth):
        return "".join(self.text() + self.statement(depth) for _ in range(self.rnd.randint(1, 3))) + self.text()

    def template(self):
        if self.rnd.random() < 0.6:
            return "{{ " + self.expression(self.rnd.randint(1, 3)) + " }}"
        return self.pick(["", "{% set ns = namespace(a=1) %}"]) + self.body(self.rnd.randint(0, 3))


def is_compared(text):
    return text is None or not re.search(r" object at 0x| at 0x[0-9a-f]+>|\d{19}", text)


def main():
    warnings.simplefilter("ignore")
    build = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    maker, ours = Maker(random.Random(seed)), jinja_oracle.Ours(build)
    end = time.monotonic() + seconds
    tried = rendered = different = 0
    while time.monotonic() < end:
        template = maker.template()
        try:
            wanted = jinja_oracle.render(template, jinja_oracle.CONTEXT)
        except RecursionError:
            continue
        if not is_compared(wanted):
            continue
        got, error = ours.render(template, jinja_oracle.CONTEXT)
        tried += 1
        rendered += wanted is not None
        if got != wanted and not (error and any(text in error for text in UNCOMPARED)):
            different += 1
            print(f"template {template!r}\n  jinja2 {wanted!r}\n  ours   {got!r} {error or ''}", flush=True)
    print(f"seed {seed}: {tried} templates, {rendered} of which jinja2 renders; {different} differences")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
