# Several adapters: eval, generate and compare use one after the other, on one base, as if each were alone; compare shows
# their answers beside the base's.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
cat >"$work/pairs.jsonl" <<'LINES'
{"prompt": "one node", "completion": " alpha"}
{"prompt": "two nodes", "completion": " beta"}
{"prompt": "<b>&\u001b[31m \"in\" 日本語", "completion": " on"}
{"prompt": "a job"}
LINES
head -n 3 "$work/pairs.jsonl" >"$work/answered.jsonl"
# One that knows the answers; one whose start is subtracted from the base; one of other modules and another rank.
known=$work/runs/known/one pissa=$work/runs/pissa/one other=$work/runs/other
check 0 train "$known" --data "$work/answered.jsonl" --max-steps 80 --batch-size 4 --lora-rank 8 --lora-dropout 0 --save-every 0
check 0 train "$pissa" --max-steps 3 --lora-init pissa
check 0 train "$other" --max-steps 3 --target-modules q_proj,down_proj --lora-rank 2
adapters="--adapter $known --adapter $pissa --adapter $other/adapter"
how="--model $model --threads 1"
short="$how --max-new-tokens 8"

# Each alone: nothing but its facts, and its answers.
number=0
for adapter in "$known" "$pissa" "$other/adapter"; do
    number=$((number + 1))
    check 0 "$MPILORA" eval $how --adapter "$adapter" --data "$work/held.jsonl" --json
    cp "$work/out" "$work/eval.$number"
    check 0 "$MPILORA" generate $short --adapter "$adapter" --prompt "one node"
    { [ $number = 1 ] || echo; echo "--- $adapter"; cat "$work/out"; } >>"$work/said"
    check 0 "$MPILORA" generate $short --adapter "$adapter" --data "$work/pairs.jsonl" --output "$work/answers.$number" --json
    cp "$work/out" "$work/counts.$number"
done
check 0 "$MPILORA" generate $short --data "$work/pairs.jsonl" --output "$work/answers.0"
same() { # WHAT: the last output, a list, has for each adapter what it gave alone
    checks=$((checks + 1))
    python3 - "$work" "$1" "$known" "$pissa" "$other/adapter" <<'PY' || fail "$1 of several: $(cat "$work/out")"
import json, sys
alone = [json.load(open(f"{sys.argv[1]}/{sys.argv[2]}.{i + 1}")) for i in range(3)]
assert json.load(open(sys.argv[1] + "/out")) == [{"adapter": a, **v} for a, v in zip(sys.argv[3:], alone)]
assert "adapter" not in alone[0] and len({str(v) for v in alone}) > 1
PY
}

check 0 "$MPILORA" eval $how $adapters --data "$work/held.jsonl" --json
same eval
check 0 ranks 2 "$MPILORA" eval $how $adapters --data "$work/held.jsonl"
[ "$(grep -E '^[^ ]' "$work/out")" = "$(printf '%s:\n' "$known" "$pissa" "$other/adapter")" ] ||
    fail "no block for each: $(cat "$work/out")"
[ "$(grep -c '^  loss: ' "$work/out")" = 3 ] || fail "no loss for each: $(cat "$work/out")"

check 0 "$MPILORA" generate $short $adapters --prompt "one node"
cmp "$work/said" "$work/out" || fail "other answers than each alone"
for count in 1 3; do
    check 0 ranks $count "$MPILORA" generate $short $adapters --data "$work/pairs.jsonl" --output "$work/all.$count" --json \
        --load broadcast
    same counts
    cmp "$work/all.1" "$work/all.$count" || fail "other answers on $count ranks"
done
python3 - "$work" "$known" "$pissa" "$other/adapter" <<'PY' || fail "the answers of several"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/all.1")]
wanted = [{"adapter": a, **json.loads(line)} for i, a in enumerate(sys.argv[2:]) for line in open(f"{sys.argv[1]}/answers.{i + 1}")]
assert rows == wanted, rows
PY

# Interrupted while the second adapter is at work, and gone on with on other ranks. Other adapters are other work.
for i in $(seq 10); do cat "$work/data.jsonl"; done >"$work/many.jsonl"
check 0 "$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/whole.jsonl"
"$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/cut.jsonl" >/dev/null 2>&1 &
process=$!
background="$background $process"
is_at_second() { grep -q "^{\"adapter\": \"$pissa\"" "$work/cut.jsonl.part"; }
until_true $process is_at_second
kill -KILL $process 2>/dev/null
wait $process 2>/dev/null
[ ! -e "$work/cut.jsonl" ] || fail "it was done before it was killed: give it more to do"
check 1 "$MPILORA" generate $short --adapter "$known" --adapter "$other" --data "$work/many.jsonl" --output "$work/cut.jsonl"
says err 'holds answers to other data, or of another model, adapter or other options'
check 0 ranks 2 "$MPILORA" generate $short $adapters --data "$work/many.jsonl" --output "$work/cut.jsonl"
says err 'going on after the first [0-9]+ answers'
cmp "$work/whole.jsonl" "$work/cut.jsonl" || fail "other answers after a kill"

# compare: the base and each adapter, as generate says, on any number of ranks.
check 0 "$MPILORA" compare $short $adapters --data "$work/pairs.jsonl" --json --html "$work/page.html"
cp "$work/out" "$work/compared.json"
python3 - "$work" "$known" "$pissa" "$other/adapter" <<'PY' || fail "compare --json: $(cat "$work/out")"
import json, sys
v = json.load(open(sys.argv[1] + "/out"))
rows = [[json.loads(line) for line in open(f"{sys.argv[1]}/answers.{i}")] for i in range(4)]
assert [m["adapter"] for m in v["models"]] == [None] + sys.argv[2:]
assert v["examples"] == 4 and v["expected"] == 3
for m, r in zip(v["models"], rows):
    assert m["exact"] == sum(x["exact"] is True for x in r) and m["exact_match"] == m["exact"] / 3, m
assert v["models"][1]["exact"] == 3 > v["models"][0]["exact"]
for i, p in enumerate(v["prompts"]):
    assert {k: p[k] for k in ("example", "prompt", "expected")} == {k: rows[0][i][k] for k in ("example", "prompt", "expected")}
    assert p["answers"] == [{k: r[i][k] for k in ("answer", "exact")} for r in rows], p
PY
check 0 ranks 3 "$MPILORA" compare $short $adapters --data "$work/pairs.jsonl" --json --load broadcast
cmp "$work/compared.json" "$work/out" || fail "another comparison on 3 ranks"
check 0 "$MPILORA" compare $short --temperature 1.5 --seed 3 --adapter "$known" --prompt "one node" --json
holds 'v["prompts"][0]["expected"] is v["prompts"][0]["answers"][1]["exact"] is None and "exact_match" not in v["models"][0]'
cp "$work/out" "$work/drawn.json"
check 0 "$MPILORA" generate $short --temperature 1.5 --seed 3 --adapter "$known" --prompt "one node"
holds "v['prompts'][0]['answers'][1]['answer'] + '\n' == open('$work/out').read()" "$work/drawn.json"

# For people: as wide as the terminal, of which a wide character takes two columns; 80 in a file. Nothing acts on it.
fits() { # COLUMNS: the last table
    checks=$((checks + 1))
    python3 - "$work/out" "$1" <<'PY' || fail "a table of $1 columns: $(cat "$work/out")"
import re, sys, unicodedata
text = open(sys.argv[1], encoding="utf-8", newline="").read().replace("\r\n", "\n")
lines = re.sub("\033\\[(1|32|0)m", "", text).removesuffix("\n").split("\n")
for line in lines:
    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
    assert columns <= int(sys.argv[2]) or " of 3 answers " in line, line
    assert line == line.rstrip() and line.isprintable(), line
rules = [line for line in lines if re.fullmatch("-+(  -+)*", line)]
assert len({len(r) for r in rules}) <= 2 and all(len(r) > int(sys.argv[2]) - 4 for r in rules), rules
PY
}
check 0 "$MPILORA" compare $short $adapters --data "$work/pairs.jsonl"
says out '^known/one \(exact\)  *pissa/one *$|^base model  *known/one \(exact\)'
says out "^$known: 3 of 3 answers are exact \\(100.0 %\\)$"
says out '^prompt    .*<b>&\\u001b\[31m "in" 日本語$'
fits 80
long=$(yes 'many words' | head -n 400 | tr '\n' ' ')
check 0 "$MPILORA" compare $how --max-new-tokens 60 --temperature 9 --adapter "$known" --prompt "$long"
says out 'lines are not shown\]$'
[ "$(grep -c 'many words' "$work/out")" -lt 13 ] || fail "a long prompt is shown whole"
for columns in 40 140; do
    check 0 script -qec "stty cols $columns; '$MPILORA' compare $short $adapters --data '$work/pairs.jsonl' 2>/dev/null" /dev/null
    fits $columns
    cp "$work/out" "$work/table.$columns"
done
grep -qE 'base model.*known/one.*pissa/one.*adapter' "$work/table.140" || fail "a wide terminal is not used"
grep -qE '^.{0,4}known/one \(exact\).{0,5}$' "$work/table.40" || fail "models beside each other without room"
grep -q "$(printf '\033\\[32m')" "$work/out" || fail "an exact answer is not green on a terminal"
! grep -q "$(printf '\033\\[31m')" "$work/out" || fail "a prompt sets the terminal's colour"

# The page: all text escaped, nothing from outside, light and dark.
python3 - "$work" <<'PY' || fail "the page"
import html.parser, json, sys
page = open(sys.argv[1] + "/page.html", encoding="utf-8").read()
v = json.load(open(sys.argv[1] + "/compared.json"))
class Reader(html.parser.HTMLParser):
    open, seen, texts = [], set(), []
    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        assert not {"src", "href", "style"} & dict(attributes).keys(), attributes
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "pre":
            self.texts.append("")
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, data):
        if self.open[-1:] == ["pre"]:
            self.texts[-1] += data
reader = Reader()
reader.feed(page)
assert not reader.open and not {"b", "script", "link", "img"} & reader.seen, reader.seen
assert "://" not in page and "prefers-color-scheme:dark" in page and "color-scheme:light dark" in page
given = lambda p: [p["prompt"]] + ([p["expected"]] if p["expected"] is not None else [])
plain = lambda text: "".join("\ufffd" if c < " " and c not in "\n\t" else c for c in text)
assert reader.texts == ["\n" + plain(t) for p in v["prompts"] for t in given(p) + [a["answer"] for a in p["answers"]]], reader.texts
assert page.count("<mark>exact</mark>") == sum(m["exact"] for m in v["models"])
PY

# Prompts of another form than those that an adapter was trained on: a checkpoint and an export know them.
printf '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "b"}]}\n' a b c >"$work/chat.jsonl"
check 0 train "$work/chatty" --data "$work/chat.jsonl" --max-steps 1 --max-length 128
for adapter in "$work/chatty" "$work/chatty/adapter"; do
    check 0 "$MPILORA" generate $short --adapter "$adapter" --prompt "one node"
    says err "$adapter was trained on prompts in the chat template, and these are without it: --chat gives it that form"
    check 0 "$MPILORA" generate $short --adapter "$adapter" --prompt "one node" --chat
    ! grep -q 'was trained on' "$work/err" || fail "it complains of the right form: $(cat "$work/err")"
    check 0 "$MPILORA" eval $how --adapter "$adapter" --data "$work/held.jsonl"
    says err "$adapter was trained on prompts in the chat template, and these are without it"
    check 0 "$MPILORA" eval $how --adapter "$adapter" --data "$work/chat.jsonl"
    ! grep -q 'was trained on' "$work/err" || fail "it complains of the right form: $(cat "$work/err")"
done
check 0 "$MPILORA" compare $short $adapters --prompt "one node" --chat
[ "$(grep -c 'trained on prompts without the chat template, and these are in it: leave out --chat' "$work/err")" = 3 ] ||
    fail "not said of each: $(cat "$work/err")"
two="--adapter $known --adapter $work/chatty --data $work/held.jsonl"
for command in "compare $short" "generate $short --output $work/two.jsonl" "eval $how"; do
    check 0 "$MPILORA" $command $two
    grep 'was trained on' "$work/err" >"$work/told"
    [ "$(grep -c 'chatty was trained on prompts in the chat template, and these are without it$' "$work/told")" = 1 ] &&
        [ "$(wc -l <"$work/told")" = 1 ] ||
        fail "$command, of two adapters: $(cat "$work/err")"
done
check 0 "$MPILORA" inspect "$work/chatty/adapter" --json
holds 'v["prompts"] == "chat"'

# Mistakes. An adapter that cannot be used is known before anything is answered.
check 2 "$MPILORA" compare $how --adapter "$known"
says err 'give --prompt TEXT, or --data FILE$'
check 2 "$MPILORA" compare $how --adapter "$known" --prompt a --data "$work/pairs.jsonl"
check 2 "$MPILORA" compare $how --adapter "$known" --data "$work/pairs.jsonl" --chat
check 2 "$MPILORA" compare $how --prompt a
says err 'compare needs --adapter PATH'
check 1 "$MPILORA" compare $how $adapters --adapter "$work/none" --prompt a
says err '\-\-adapter .*/none: no such file or folder'
mkdir "$work/empty"
for command in "compare --prompt a" "generate --prompt a" "generate --data $work/pairs.jsonl --output $work/no.jsonl" \
    "eval --data $work/held.jsonl"; do
    check 2 ranks 2 "$MPILORA" $command $how $adapters --adapter "$work/empty"
    says err 'empty holds no adapter'
    silent out
done
[ ! -e "$work/no.jsonl.part" ] || fail "answers of a command that was refused"
check 1 "$MPILORA" compare $short --adapter "$known" --prompt a --html "$work/none/page.html"
says err '\-\-html .*none/page.html: there is no folder .*/none$'
silent out
check 1 "$MPILORA" compare $short --adapter "$known" --prompt a --html "$work/empty"
says err '\-\-html .*: this is a folder'
cp "$work/pairs.jsonl" "$work/before"
check 2 "$MPILORA" compare $short --adapter "$known" --prompt a --html "$work/pairs.jsonl"
says err '--html .*pairs.jsonl: this exists and is no page, which could be replaced: give another name'
cmp "$work/before" "$work/pairs.jsonl" || fail "data was replaced by a page"
cp "$work/page.html" "$work/before"
check 0 "$MPILORA" compare $short --adapter "$known" --prompt a --html "$work/page.html"
! cmp -s "$work/before" "$work/page.html" || fail "a page was not replaced"
cp "$work/before" "$work/page.html"
for command in eval generate compare; do
    check 2 "$MPILORA" $command $how --adapter "" --data "$work/pairs.jsonl"
    says err '^mpilora: --adapter: the value is empty: give a PATH, or leave the option out$'
done
check 0 "$MPILORA" train --model "$model" --data "$work/data.jsonl" --output "$work/last" --max-steps 1 --threads 1 \
    --adapter "$known" --adapter "$other" --base-name "A title"
says err '^the adapter calls its base "A title", by which PEFT alone cannot find it'
says err '\-\-adapter is given twice: the last value, .*/other, is used, not .*/known/one'
holds 'v["r"] == 2' "$work/last/adapter/adapter_config.json"
passed
