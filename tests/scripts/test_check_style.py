#!/usr/bin/env python3
"""Each rule of scripts/check_style.py, seen to fail on a breach of it that is planted in a small repository."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/check_style.py"
LIMITS = "<!-- limits: made by `include/base/limits.def` -->\n| file | what | at most | |\n|---|---|---|---|\n" \
         "| JSON | levels | 64 | deeper is an attack |\n<!-- end of limits -->\n"
OPTIONS = "<!-- options: made by `mpilora --help-markdown` -->\n| Option |\n<!-- end of options -->\n"
MODELS = "<!-- models: made by `mpilora models --json` -->\n| `model_type` | in GGUF files | models | tokenizers |\n" \
         "|---|---|---|---|\n| `falcon` | – | Falcon | BPE |\n<!-- end of models -->\n"
FAMILIES = "<!-- families: made by `mpilora models --json` -->\n`falcon`\n<!-- end of families -->\n"
# Of the program, what the checks ask it.
PROGRAM = """#!/bin/sh
case $1 in
models) echo '[{"model_type": "falcon", "gguf": null, "names": "Falcon", "tokenizers": "BPE"}]' ;;
*) echo '| Option |' ;;
esac
"""

# A repository that keeps all rules.
SOUND = {
    "CMakeLists.txt": "project(mpilora VERSION 1.2.3 LANGUAGES C)\n",
    "scripts/CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-11-30\n\n## [1.2.2] - 2026-11-29\n",
    ".clang-format": "BasedOnStyle: LLVM\nReflowComments: false\n",
    "scripts/packaging/conda/recipe.yaml": 'context:\n  version: "1.2.3"\n',
    "scripts/packaging/easybuild/mpilora-1.2.3-foss.eb": "version = '1.2.3'\n",
    "scripts/packaging/mpilora.def": "%labels\n    org.opencontainers.image.version 1.2.3\n",
    "scripts/packaging/spack/packages/mpilora/package.py": 'version("1.2.3", tag="v1.2.3")\n',
    "src/README.md": "# About\n\n" + LIMITS,
    "src/cli/README.md": OPTIONS,
    "README.md": FAMILIES + MODELS,
    "include/base/limits.def": 'LIMIT(LEVELS, 64, COUNT, "JSON", "levels", "deeper is an attack")\n',
    "include/run/options.def": 'OPTION(reduce, "reduce", CHOICE, "exact", WORD(REDUCE_EXACT, "exact"), "", TRAIN, NONE, FIXED,\n'
                               '       "how")\n',
    "include/base/str.h": "#ifndef MPILORA_BASE_STR_H\n#define MPILORA_BASE_STR_H\n#endif\n",
    **{f"src/{folder}/README.md": "# A folder\n" for folder in ("base", "data", "model", "model/families", "report", "train")},
    "src/base/str.c": '#include "base/str.h"\n\nint str_one(void)\n{\n    return 1;\n}\n',
    "src/model/families/falcon.c": 'static const struct module modules[] = {\n    {"attn.qkv_proj", "attn_qkv", GROUP_ATTN_IN},\n'
                                   '    {"head", "output", GROUP_HEAD},\n};\n\n'
                                   "static enum err_code falcon_finish(struct arch *a, const struct source *s,\n"
                                   "                                   struct err *e)\n{\n    return ERR_OK;\n}\n\n"
                                   'const struct family family_falcon = {\n    .name = "falcon",\n};\n',
    "src/model/weights.c": '/* attn.qkv_proj of "falcon" */\nstatic const char *const words[] = {"output", "falconry", "falcon-split"};\n',
    "src/report/report.c": '#include "run/options.h"\n',
    "src/train/train.c": '#include "run/options.h"\n\nstatic int is_exact(const struct options *o, const char *name)\n{\n'
                         "    return o->reduce == REDUCE_EXACT && strcmp(name, o->set.command->name) == 0;\n}\n",
}


def function_of(lines):
    return "void f(void)\n{\n" + "    g();\n" * lines + "}\n"


# What is planted, and the line that must come: file -> (content, message).
BREACHES = {
    "a tab": ("src/base/a.c", "int\ta;\n", "src/base/a.c:1: a tab"),
    "space at the end": ("src/base/a.c", "int a; \n", "src/base/a.c:1: space at the end of the line"),
    "no newline at the end": ("src/base/a.c", "int a;\nint b;", "src/base/a.c:2: no newline at the end of the file"),
    "not UTF-8": ("src/base/a.c", b"/* \xff */\n", "src/base/a.c:1: not UTF-8"),
    "a long line": ("src/base/a.c", "/* " + "a" * 120 + " */\n", "src/base/a.c:1: 126 columns, more than 120"),
    "work left undone": ("src/base/a.c", "/* TO" + "DO */\n", "src/base/a.c:1: 'TO" + "DO' has no place in the repository"),
    "a path of a place of work": ("a.sh", "ls /wo" + "rk/x\n", "a.sh:1: '/wo" + "rk/' has no place in the repository"),
    "a long file": ("src/base/a.c", "int a;\n" * 601, "src/base/a.c:601: 601 lines, more than 600: split it by operation"),
    "a long function": ("src/base/a.c", function_of(81), "src/base/a.c:2: a function of 81 lines, more than 80"),
    "a layer above": ("src/base/a.c", '#include "math/kern.h"\n', "src/base/a.c:1: layer base must not include math/kern.h"),
    "data and model": ("src/data/a.c", '#include "model/arch.h"\n', "src/data/a.c:1: layer data must not include model/arch.h"),
    "report and model": ("src/report/a.c", '#include "model/arch.h"\n', "src/report/a.c:1: layer report must not include model/arch.h"),
    "report and ranks": ("src/report/a.c", '#include "ranks/dist.h"\n', "src/report/a.c:1: layer report must not include ranks/dist.h"),
    "report and train": ("src/report/a.h", '#include "train/stop.h"\n', "src/report/a.h:1: layer report must not include train/stop.h"),
    "MPI out of its file": ("src/train/a.c", "#include <mpi.h>\n", "src/train/a.c:1: <mpi.h> belongs in src/ranks/dist.c alone"),
    "an include guard": ("include/base/a.h", "#ifndef A_H\n#define A_H\n#endif\n",
                         "include/base/a.h:1: the include guard is not MPILORA_BASE_A_H"),
    "an option compared": ("src/train/a.c", 'int f(const struct options *x)\n{\n    return !strcmp(x->reduce, "fast");\n}\n',
                           "src/train/a.c:3: the option reduce is compared as text: give its row in options.def the words"),
    "an option of a member": ("src/train/a.c", 'int f(struct s *s)\n{\n    return strncmp("fast", words(s->options->reduce), 2);\n}\n',
                              "src/train/a.c:3: the option reduce is compared as text: give its row in options.def the words"),
    "a family's name": ("src/cli/a.c", 'int f(const char *x)\n{\n    return !strcmp(x, "falcon");\n}\n',
                        'src/cli/a.c:3: the name "falcon" belongs in src/model/families alone: ask the record (model/arch.h)'),
    "a tensor's name": ("src/model/a.c", 'const char *x = "layers.%d.attn.qkv_proj.weight";\n',
                        'src/model/a.c:1: the name "attn.qkv_proj" belongs in src/model/families alone: ask the record (model/arch.h)'),
    "a tensor's name in GGUF": ("src/run/a.h", '#define A "blk.0.attn_qkv"\n',
                                'src/run/a.h:1: the name "attn_qkv" belongs in src/model/families alone: ask the record '
                                "(model/arch.h)"),
    "a function of a family": ("src/model/families/a.c", "static void a_begin(void)\n{\n}\n",
                               "src/model/families/a.c:1: a family has const tables, and at most one function, NAME_finish()"),
    "two functions of a family": ("src/model/families/a.c", "void a_finish(void)\n{\n}\n\nvoid b_finish(void)\n{\n}\n",
                                  "src/model/families/a.c:5: a family has const tables, and at most one function, NAME_finish()"),
    "a table that is not const": ("src/model/families/a.c", "static int a[2] = {1, 2};\n",
                                  "src/model/families/a.c:1: a table of a family is not const"),
    "re-flowed comments": (".clang-format", "BasedOnStyle: LLVM\nReflowComments: true\n", ".clang-format:1: ReflowComments is not false"),
    "a changelog of another version": ("scripts/CHANGELOG.md", "# Changelog\n\n## [1.2.2] - 2026-11-29\n", "scripts/CHANGELOG.md:3: "
                                       "the first entry is not '## [1.2.3] - DATE' (or unreleased), the version of CMakeLists.txt"),
    "no changelog": ("scripts/CHANGELOG.md", "# Changelog\n", "scripts/CHANGELOG.md:1: the first entry is not '## [1.2.3] - DATE' "
                     "(or unreleased), the version of CMakeLists.txt"),
    "a recipe of another version": ("scripts/packaging/mpilora.def", "%labels\n    org.opencontainers.image.version 1.2.2\n",
                                    "scripts/packaging/mpilora.def:1: is not for version 1.2.3 of CMakeLists.txt"),
    "a recipe named after another version": ("scripts/packaging/easybuild/mpilora-1.2.2-foss.eb", "version = '1.2.3'\n",
                                             "scripts/packaging/easybuild/mpilora-1.2.2-foss.eb:1: its name is not that of version 1.2.3"),
    "an old table of limits": ("src/README.md", LIMITS.replace("64", "65"), "src/README.md:1: the table of limits is not that of "
                               "`include/base/limits.def`: scripts/check_style.py --fix writes it"),
    "a folder without README": ("src/report/deep/a.c", "int a;\n", "src/report/deep:1: a folder of sources has no README.md"),
    "no table of limits": ("src/README.md", "# About\n", "README.md:1: the marks around the table of limits stand in 0 .md files "
                           "and should in one"),
    "two tables of limits": ("docs/README.md", LIMITS, "src/README.md:1: the marks around the table of limits stand in 2 .md files and "
                             "should in one"),
    "a table without an end": ("src/README.md", LIMITS.replace("<!-- end of limits -->", ""),
                               "src/README.md:1: the mark after the table of limits is missing"),
    "an old table of options": ("src/cli/README.md", OPTIONS.replace("Option", "Opt"), "src/cli/README.md:1: the table of options is "
                                "not that of `mpilora --help-markdown`: scripts/check_style.py --fix writes it"),
    "an old table of models": ("README.md", FAMILIES + MODELS.replace("falcon", "hawk"), "README.md:4: the table of models is not that of "
                               "`mpilora models --json`: scripts/check_style.py --fix writes it"),
    "an old list of families": ("README.md", FAMILIES.replace("falcon", "hawk") + MODELS, "README.md:1: the table of families is not "
                                "that of `mpilora models --json`: scripts/check_style.py --fix writes it"),
}


class CheckStyle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for name, content in SOUND.items():
            self.plant(name, content)
        self.plant("build/mpilora", PROGRAM)
        (self.root / "build/mpilora").chmod(0o755)

    def tearDown(self):
        self.folder.cleanup()

    def plant(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def check(self, *arguments):
        done = subprocess.run([sys.executable, SCRIPT, "--root", self.root, "--mpilora", self.root / "build/mpilora", *arguments],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def test_a_sound_repository_passes(self):
        self.assertEqual(self.check(), (0, ["style: nothing to complain about"]))

    def test_each_breach_is_found(self):
        for what, (name, content, line) in BREACHES.items():
            with self.subTest(what):
                self.plant(name, content)
                self.assertEqual(self.check(), (1, [line]))
                (self.root / name).unlink()
                if name in SOUND:
                    self.plant(name, SOUND[name])

    def test_fix_writes_tables(self):
        self.plant("src/README.md", "# Before\n\n" + LIMITS.replace("64", "65") + "\nAfter\n")
        self.plant("src/cli/README.md", OPTIONS.replace("| Option |\n", ""))
        self.plant("README.md", FAMILIES.replace("`falcon`\n", "") + MODELS.replace("Falcon", "Hawk"))
        self.assertEqual(self.check("--fix")[0], 0)
        self.assertEqual((self.root / "src/README.md").read_text(), "# Before\n\n" + LIMITS + "\nAfter\n")
        self.assertEqual((self.root / "src/cli/README.md").read_text(), OPTIONS)
        self.assertEqual((self.root / "README.md").read_text(), FAMILIES + MODELS)
        self.assertEqual(self.check()[0], 0)


if __name__ == "__main__":
    unittest.main()
