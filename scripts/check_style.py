#!/usr/bin/env python3
"""Checks the conventions of src/README.md that a compiler does not: run by CTest as `style`.

    check_style.py [--fix] [--mpilora PROGRAM] [--root FOLDER]

Tables that are made from sources stand in some .md file, each between the marks "<!-- NAME: made by `MAKER` -->" and
"<!-- end of NAME -->": --fix writes them. Those of options and models take the program. --root looks at another folder than
the repository that this script lies in (tests/scripts/test_check_style.py plants a breach of each rule in one).

Prints one line for each breach, "file:line: what", and exits with 1 if there is any.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES = 600, 80
COLUMNS = {".c": 120, ".h": 120, ".js": 130, ".css": 130, ".py": 140, ".sh": 140, ".sbatch": 140}

# A layer may include itself and what comes after it here.
LAYERS = {
    "base": [],
    "math": ["base"],
    "io": ["base", "math"],
    "data": ["base", "math", "io"],
    "model": ["base", "math", "io"],
    "ranks": ["base", "math", "io", "data", "model"],
    "run": ["base", "math", "io", "data", "model", "ranks"],
    "train": ["base", "math", "io", "data", "model", "ranks", "run"],
    "report": ["base", "math", "io", "data", "run"],
    "bench": ["base", "math", "io", "data", "model", "ranks", "run", "train", "report"],
    "cli": ["base", "math", "io", "data", "model", "ranks", "run", "train", "report", "bench"],
}
# Each foreign library has one file that knows it; HDF5 and oneDNN, a few.
FOREIGN = {
    "mpi.h": ["src/ranks/dist.c"],
    "hdf5.h": ["src/io/h5/h5_library*"],
    "cblas.h": ["src/math/gemm_openblas.c"],
    "dnnl.h": ["src/math/gemm_onednn*.c"],
    "jansson.h": ["src/io/json.c"],
    "pcre2.h": ["src/base/regex.c"],
    "utf8proc.h": ["src/data/tokenizer/unicode.c", "src/data/template/unicode.c"],
    "yaml.h": ["src/base/yaml.c"],
    "xxhash.h": ["src/base/file.c"],
}
# Words of a place of work, and things left undone; spelt in parts so that this file passes its own check.
FORBIDDEN = re.compile("|".join(["TO" + "DO", "FIX" + "ME", r"\bX" + r"XX\b", r"/wo" + r"rk/", r"\.\./sha" + "red", "/ro" + r"ot/\w",
                                 "/tm" + r"p/w\b"]))
# What only seems to be there or not: a path outside a test's own folder, a process known by its name.
OUTSIDE = re.compile(r'"/(nonexistent|no/|none/|does/)|\b(pkill|killall|pidof)\b|\bpgrep (?!-[Ps] )')
# The recipes of packages that name the version, each with what comes before it.
VERSIONED = {
    "scripts/packaging/conda/recipe.yaml": r'^  version: "',
    "scripts/packaging/easybuild/*.eb": r"^version = '",
    "scripts/packaging/mpilora.def": r"^ *org\.opencontainers\.image\.version ",
    "scripts/packaging/spack/packages/mpilora/package.py": r'version\("[0-9.]+", tag="v',
}
# Names of files in a run's folder, which stand there alone; those of two words, which no prose has.
NAMES = [name for file in ("include/run/rundir.def", "include/run/export/peft_names.h")
         for name in re.findall(r'"([\w]*\.[a-z]+)"', (ROOT / file).read_text(encoding="utf-8"))]
NAME = re.compile(r'"[^"]*(?<![\w.])(' + "|".join(map(re.escape, NAMES)) + r')\b[^"]*"')
TEXT = {".c", ".h", ".def", ".py", ".sh", ".md", ".txt", ".yaml", ".sbatch", ".supp", ".cmake", ".js", ".css", ""}

breaches = []


def breach(path, line, what):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def tracked_files():
    """What git knows or would take; the whole tree where there is no git (a source archive)."""
    try:
        out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"],
                             check=True, capture_output=True).stdout
        files = [ROOT / name for name in out.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = [p for p in ROOT.rglob("*") if not any(part.startswith("build") for part in p.relative_to(ROOT).parts)]
    return sorted(p for p in files if p.is_file() and p.suffix in TEXT and not {"golden", "seeds", "found"} & set(p.parts))


def check_text(path, lines):
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            breach(path, number, "a tab")
        if line != line.rstrip():
            breach(path, number, "space at the end of the line")
        if found := FORBIDDEN.search(line):
            breach(path, number, f"'{found.group()}' has no place in the repository")
        if path.relative_to(ROOT).parts[0] == "tests" and (found := OUTSIDE.search(line)):
            breach(path, number, f"'{found.group()}': a test names no path outside its own folder, and no process by its name")
        limit = COLUMNS.get(path.suffix, len(line))
        if len(line) > limit:
            breach(path, number, f"{len(line)} columns, more than {limit}")


def check_c(path, lines):
    if len(lines) > FILE_LINES:
        breach(path, len(lines), f"{len(lines)} lines, more than {FILE_LINES}: split it by operation")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start - 1 > FUNCTION_LINES:
                breach(path, start, f"a function of {number - start - 1} lines, more than {FUNCTION_LINES}")
            start = None
    relative = path.relative_to(ROOT)
    layer = relative.parts[1] if relative.parts[0] in ("src", "include") and len(relative.parts) > 2 else None
    for number, line in enumerate(lines, 1):
        if path.suffix == ".c" and layer and (found := NAME.search(line)):
            breach(path, number, f"'{found.group(1)}' stands in run/rundir.def alone: rundir_name(), rundir_path()")
        include = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not include:
            continue
        quoted, name = include.group(1) == '"', include.group(2)
        target = name.split("/")[0]
        if layer and quoted and target in LAYERS and target != layer and target not in LAYERS[layer]:
            breach(path, number, f"layer {layer} must not include {name}")
        if layer and not quoted and not any(relative.match(p) for p in FOREIGN.get(name, ["*"])):
            breach(path, number, f"<{name}> belongs in {' and '.join(FOREIGN[name])} alone")
    if path.suffix == ".h" and relative.parts[0] == "include":
        guard = f"MPILORA_{'_'.join(relative.with_suffix('').parts[1:]).upper()}_H"
        if f"#ifndef {guard}" not in lines:
            breach(path, 1, f"the include guard is not {guard}")


def argument_of(text, at):
    """What stands between the parenthesis that is opened at `at` and its end."""
    depth = 0
    for end in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[at + 1:end]
    return text[at + 1:]


def option_fields():
    table = ROOT / "include/run/options.def"
    return re.findall(r"^OPTION\((\w+),", table.read_text(encoding="utf-8"), re.M) if table.exists() else []


def check_options_compared(path, text, fields):
    """An option that is one of a few words is an enum: nobody compares its text."""
    names = set(re.findall(r"\bstruct options\s*\*?\s*(?:const\s+)?(\w+)", text)) | {"options"}
    field = re.compile(rf"\b(?:{'|'.join(names)})(?:->|\.)({'|'.join(fields)})\b")
    for call in re.finditer(r"\b(?:str\w*cmp|memcmp)\s*(?=\()", text):
        if found := field.search(argument_of(text, call.end())):
            breach(path, text.count("\n", 0, call.start()) + 1,
                   f"the option {found[1]} is compared as text: give its row in options.def the words")


FAMILIES = "src/model/families"


def family_words():
    """What families call themselves and their parts, by their tables: names of tensors and modules that say what they are."""
    families, parts = set(), set()
    for path in (ROOT / FAMILIES).glob("*.c"):
        text = path.read_text(encoding="utf-8")
        families |= set(re.findall(r'^    \.(?:name|gguf) = "(\w+)"', text, re.M))
        rows = re.findall(r'\{("[^"]+", (?:"[^"]+"|NULL)), GROUP_|\[AT_\w+\] = \{([^}]*)\}|'
                          r'\.((?:layers|embedding|rotation|attention|activation) = "[^"]+")', text)
        for name in re.findall(r'"([^"]+)"', " ".join("".join(row) for row in rows)):
            parts |= {part for part in (name, *name.split(".")) if re.search(r"\w[._]\w", part)}
    return families, parts


def check_family_words(path, text, families, parts):
    """Names stand with the families alone. Tokenizers and chat templates have names of their own."""
    if (ROOT / FAMILIES) in path.parents or path.relative_to(ROOT).parts[1] == "data":
        return
    names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(families | parts, key=len, reverse=True)))})(?![\w-]|\.cpp)")
    for literal in re.finditer(r'//[^\n]*|/\*.*?\*/|"((?:[^"\\\n]|\\.)*)"', text, re.S):
        if literal[1] and (found := names.search(literal[1])):
            breach(path, text.count("\n", 0, literal.start()) + 1,
                   f'the name "{found.group()}" belongs in {FAMILIES} alone: ask the record (model/arch.h)')


def check_family(path, text):
    """A family's file holds const tables, and at most one function, NAME_finish()."""
    lines = text.split("\n")
    functions = [number for number, line in enumerate(lines) if line == "{"]
    for count, number in enumerate(functions):
        head = next(n for n in range(number - 1, -1, -1) if re.match(r"\w", lines[n]))
        if count or not re.search(r"\w_finish\(", lines[head]):
            breach(path, head + 1, "a family has const tables, and at most one function, NAME_finish()")
    for number, line in enumerate(lines, 1):
        if re.match(r"\w[\w *\[\]+]*\b\w+(\[[^\]]*\])* = ", line) and not re.search(r"\bconst\b", line):
            breach(path, number, "a table of a family is not const")


def check_format():
    """A formatter that re-flows comments runs the lines of drawings together."""
    path = ROOT / ".clang-format"
    if not path.exists() or not re.search(r"^ReflowComments: false$", path.read_text(encoding="utf-8"), re.M):
        breach(path, 1, "ReflowComments is not false")


def check_folders(files):
    """A folder of sources says what it is for."""
    for folder in sorted({path.parent for path in files if path.relative_to(ROOT).parts[0] == "src" and path.suffix == ".c"}):
        if not (folder / "README.md").exists():
            breach(folder, 1, "a folder of sources has no README.md")


def project_version():
    return re.search(r"^project\(\w+ VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.M)[1]


def check_recipes():
    """Recipes of packages are for the version that CMake knows."""
    for pattern, before in VERSIONED.items():
        paths = list(ROOT.glob(pattern))
        if not paths:
            breach(ROOT / "CMakeLists.txt", 1, f"there is no {pattern}")
        for path in paths:
            version = re.search(before + r"([\d.]*\d)", path.read_text(encoding="utf-8"), re.M)
            if not version or version[1] != project_version():
                breach(path, 1, f"is not for version {project_version()} of CMakeLists.txt")
            if path.suffix == ".eb" and not path.name.startswith(f"mpilora-{project_version()}-"):
                breach(path, 1, f"its name is not that of version {project_version()}")


def check_changelog():
    """Its topmost entry is of the version that CMake knows."""
    path = ROOT / "scripts/CHANGELOG.md"
    version = project_version()
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    entry = re.search(r"^## \[(.*?)\] - (unreleased|\d{4}-\d\d-\d\d)$", text, re.M)
    if not entry or entry[1] != version:
        breach(path, text.count("\n", 0, entry.start()) + 1 if entry else 1,
               f"the first entry is not '## [{version}] - DATE' (or unreleased), the version of CMakeLists.txt")


def table_of_options(program):
    """The program's own."""
    return subprocess.run([program, "--help-markdown"], check=True, capture_output=True, text=True).stdout.strip()


def rows_of_models(program):
    """The rows of families, from the program."""
    return json.loads(subprocess.run([program, "models", "--json"], check=True, capture_output=True, text=True).stdout)


def list_of_families(rows):
    """Their names, as a paragraph."""
    return textwrap.fill(", ".join(f"`{row['model_type']}`" for row in rows), 120, break_on_hyphens=False)


def table_of_models(rows):
    """What each family is."""
    return "\n".join(["| `model_type` | in GGUF files | models | tokenizers |", "|---|---|---|---|",
                      *(f"| `{row['model_type']}` | {'`' + row['gguf'] + '`' if row['gguf'] else '–'} | {row['names']} | "
                        f"{row['tokenizers']} |" for row in rows)])


def table_of_limits():
    """Of limits.def."""
    rows = []
    for _, number, unit, file, what, why in re.findall(
            r'^LIMIT\((\w+), (.+?), (BYTES|COUNT), "(.*?)", "(.*?)", "(.*?)"\)$',
            (ROOT / "include/base/limits.def").read_text(encoding="utf-8"), re.M):
        value = eval(number.replace("LL", ""))  # pylint: disable=eval-used
        mebi = unit == "BYTES" and value % (1 << 20) == 0
        rows.append(f"| {file} | {what} | {value >> 20 if mebi else value:,}"
                    f"{' MiB' if mebi else ' bytes' if unit == 'BYTES' else ''} | {why} |")
    return "\n".join(["| file | what | at most | |", "|---|---|---|---|", *rows])


def check_table(pages, name, maker, made, fix):
    """What stands in some page between the marks of that name is what the maker makes."""
    begin, end = f"<!-- {name}: made by `{maker}` -->\n", f"<!-- end of {name} -->"
    found = [page for page in pages if begin in page.read_text(encoding="utf-8")]
    if len(found) != 1:
        return breach(found[1] if found else ROOT / "README.md", 1,
                      f"the marks around the table of {name} stand in {len(found)} .md files and should in one")
    text = found[0].read_text(encoding="utf-8")
    before, rest = text.split(begin, 1)
    table, mark, after = rest.partition(end)
    if not mark:
        return breach(found[0], before.count("\n") + 1, f"the mark after the table of {name} is missing")
    if table.strip() == made:
        return None
    if fix:
        return found[0].write_text(f"{before}{begin}{made}\n{end}{after}", encoding="utf-8")
    return breach(found[0], before.count("\n") + 1,
                  f"the table of {name} is not that of `{maker}`: scripts/check_style.py --fix writes it")


def main():
    global ROOT  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description="Checks the conventions of src/README.md that a compiler does not.")
    parser.add_argument("--mpilora", help="the program, for the tables of options and models")
    parser.add_argument("--fix", action="store_true", help="write the tables that are made from sources")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="folder to look at")
    options = parser.parse_args()
    ROOT = options.root.resolve()
    files, fields = tracked_files(), option_fields()
    families, parts = family_words()
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            breach(path, 1, "not UTF-8")
            continue
        lines = text.split("\n")
        if text and lines.pop():
            breach(path, len(lines) + 1, "no newline at the end of the file")
        check_text(path, lines)
        if path.suffix in (".c", ".h"):
            check_c(path, lines)
            if fields and path.relative_to(ROOT).parts[0] in ("src", "include"):
                check_options_compared(path, text, fields)
            if (ROOT / FAMILIES) in path.parents and path.suffix == ".c":
                check_family(path, text)
        if path.suffix in (".c", ".h") and families and path.relative_to(ROOT).parts[0] in ("src", "include"):
            check_family_words(path, text, families, parts)
    check_format()
    check_folders(files)
    check_changelog()
    check_recipes()
    pages = [path for path in files if path.suffix == ".md"]
    check_table(pages, "limits", "include/base/limits.def", table_of_limits(), options.fix)
    if options.mpilora:
        rows = rows_of_models(options.mpilora)
        check_table(pages, "families", "mpilora models --json", list_of_families(rows), options.fix)
        check_table(pages, "models", "mpilora models --json", table_of_models(rows), options.fix)
        check_table(pages, "options", "mpilora --help-markdown", table_of_options(options.mpilora), options.fix)
    print("\n".join(breaches) if breaches else "style: nothing to complain about")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
