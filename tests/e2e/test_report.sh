# The report of a small real study and of a run: every plot is there with its points drawn, the page needs nothing else.
. "$SOURCE/tests/support/e2e.sh"
: "${MPILORA:?is the program}"
ranks() { mpirun -n "$1" --bind-to none "${@:2}"; }
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/model"
python3 - "$work" <<'PYTHON'
import json, sys
for name, count in (("train", 24), ("eval", 6)):
    with open(f"{sys.argv[1]}/{name} <1>.jsonl", "w") as f:
        for i in range(count):
            print(json.dumps({"prompt": f"on {i % 6}", "completion": f" the {i % 6}"}), file=f)
PYTHON
cat >"$work/study.yaml" <<YAML
model: $work/model
data: ["$work/train <1>.jsonl"]
eval-data: ["$work/eval <1>.jsonl"]
max-steps: 6
batch-size: 6
lora-rank: 4
lora-alpha: 8
eval-every: 2
trace-every: 1
learning-rate: 0.01
rate.lora-init: [normal, constant, zero, b-normal]
rate.learning-rate: [0.003, 0.01]
rate.seed: [0, 1]
std.lora-init: both-normal
std.init-std-b: [0.01, 0.1, 1]
rank.lora-rank: [2, 4, 8]
rank.rslora: [false, true]
YAML

# page FOLDER|PAGE PLOT...: the page is well-formed where it is XML, draws what report.json says, and stands alone.
page() {
    python3 - "$@" <<'PYTHON' || fail "the page of $1"
import json, os, re, sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

folder, wanted = sys.argv[1], sys.argv[2:]
own = os.path.isdir(folder)  # else it is a page by itself
html = open(f"{folder}/report.html" if own else folder, encoding="utf-8").read()
curves = json.loads(re.search(r'<script type="application/json" id="curves">(.*?)</script>', html, re.S)[1])
figures = {f["plot"]: f for f in json.load(open(f"{folder}/report.json"))["figures"]} if own else {f["plot"]: f for f in curves}
svg = "{http://www.w3.org/2000/svg}"
plots = {}
for text in re.findall(r"<svg.*?</svg>", html, re.S):
    root = ET.fromstring(text)
    plots[root.get("id")] = root
for f in curves: # the script draws what report.json says
    assert f == figures[f["plot"]], f["plot"]
assert set(plots) == set(figures), (sorted(plots), sorted(figures))
for name in wanted:
    assert name in plots, f"no plot {name}: {sorted(plots)}"
for name, root in plots.items():
    assert root.find(svg + "title").text and root.find(svg + "desc").text, name
    width, height = map(float, root.get("viewBox").split()[2:])
    series = [g for g in root.iter(svg + "g") if g.get("data-series")]
    assert [g.get("data-series") for g in series] == [s["name"] for s in figures[name]["series"]], name
    for g, s in zip(series, figures[name]["series"]):
        finite = sum(y is not None for y in s["y"])
        drawn = int(g.get("data-points"))
        assert 0 < drawn <= finite, (name, s["name"], drawn, finite)
        marks = [p for p in g if p.get("class") == "mark"]
        points = re.findall(r"[ML]([-\d.]+) ([-\d.]+)", " ".join(p.get("d") for p in g if p.get("class") == "line"))
        assert len(points) == drawn and (not marks or len(marks) == drawn), (name, s["name"])
        assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in points), (name, points)

class Page(HTMLParser):
    def handle_starttag(self, tag, attributes):
        assert tag not in ("link", "img", "iframe", "object", "base", "meta") or dict(attributes).get("name") == "viewport" or \
            "charset" in dict(attributes), (tag, attributes)
        for key, value in attributes:
            assert key not in ("src", "href", "xlink:href", "srcset") and not key.startswith("on"), (tag, key)
Page().feed(html)
assert html.count('<div class="drawing">\n<svg') == len(plots), "a plot that a phone cannot scroll"
outside = re.sub(r'(xmlns=|createElementNS\()"http://www.w3.org/2000/svg"', "", html)
assert len(re.findall("<script", html)) == 2 and "innerHTML" not in html
assert not re.search(r"https?:|url\(|@import", outside), "a reference to something outside"
assert not re.search("fetch|XMLHttp|import\\(|eval\\(", outside), "the script loads something"
assert "<1>" not in html and "nan" not in re.sub(r"<[^>]*>", "", "".join(re.findall(r"<svg.*?</svg>", html, re.S)))
PYTHON
    checks=$((checks + 1))
}

check 0 ranks 2 "$MPILORA" study --config "$work/study.yaml" --output "$work/study"
check 0 "$MPILORA" report "$work/study"
says err "$work/study/report.html"
page "$work/study" loss eval-loss learning-rate offset offset-final gradient-a gradient-b output-ratio \
    output-ratio-largest singular rank rank-final
holds '[c["verdict"] for c in v["claims"]][:2] == ["held", "held"] and v["claims"][4]["verdict"] == "held"' \
    "$work/study/report.json"
holds 'v["claims"][2]["checks"][0]["verdict"] == "held" and v["claims"][3]["checks"][0]["verdict"] == "held"' \
    "$work/study/report.json"
# Behind the last of the 6 steps nothing has passed through the model: no influence is drawn there.
holds 'all(max(s["x"]) < 6 for f in v["figures"] if f["plot"].startswith("output-ratio") for s in f["series"])' \
    "$work/study/report.json"
holds 'len(v["cells"]) == 24 and all(c["status"] == "done" for c in v["cells"])' "$work/study/report.json"
python3 -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert len(rows) == 24 and all(float(r["final_eval_loss"]) > 0 and r["steps"] == "6" for r in rows)
' "$work/study/report.csv" || fail "report.csv"
check 0 python3 "$SOURCE/tests/support/read_metrics_csv.py" "$work/study"
says out '^144 rows'

# Cells that are gone are said to be missing, and the rest is reported as before.
first=$(find "$work/study/cells" -mindepth 1 -maxdepth 1 -name 'zero-*' | head -n 1)
rm -r "$first"
check 0 "$MPILORA" report "$work/study"
page "$work/study" loss learning-rate singular
holds 'sum(c["status"] == "not done" for c in v["cells"]) == 1' "$work/study/report.json"
grep -q '23 of 24' "$work/study/report.html" || fail "the page does not say what is missing"

# A run by itself, with and without a trace.
check 0 "$MPILORA" report "$(find "$work/study/cells" -mindepth 1 -maxdepth 1 -name 'normal-*' | head -n 1)"
check 0 "$MPILORA" train --model "$work/model" --data "$work/train <1>.jsonl" --output "$work/run" --max-steps 4 --batch-size 6
check 0 "$MPILORA" report "$work/run"
page "$work/run" loss learning-rate gradient-norm speed phases
python3 -c '
import json, sys
for row in map(json.loads, open(sys.argv[1])):
    assert abs(sum(row["phases"].values()) - row["seconds"]) < 0.01 * row["seconds"] + 1e-4, row
    assert row["phases"]["base_gemm"] > 0 and row["phases"]["attention"] > 0, row
' "$work/run/metrics.jsonl" || fail "the phases of a step do not add up to its time"

# Its curves are those of metrics.jsonl, number by number.
python3 - "$work/run" <<'PYTHON' || fail "the curves of a run"
import json, re, sys
rows = [json.loads(line) for line in open(f"{sys.argv[1]}/metrics.jsonl")]
html = open(f"{sys.argv[1]}/report.html", encoding="utf-8").read()
curves = json.loads(re.search(r'id="curves">(.*?)</script>', html, re.S)[1])
wanted = {("loss", "training"): "loss", ("learning-rate", "learning rate"): "learning_rate",
          ("gradient-norm", "gradient norm"): "grad_norm", ("speed", "tokens per second"): "tokens_per_second"}
for (plot, name), key in wanted.items():
    series = next(s for f in curves if f["plot"] == plot for s in f["series"] if s["name"] == name)
    assert series["x"] == [row["step"] for row in rows], (plot, series)
    assert all(abs(y - row[key]) <= 1e-12 * abs(row[key]) for y, row in zip(series["y"], rows, strict=True)), (plot, series)
shares = re.findall(r'<td>([a-z_]+)</td><td class="number">([\d.]+) s</td>', html)
for phase, seconds in shares:
    mean = sum(row["phases"][phase] for row in rows) / len(rows)
    assert abs(float(seconds) - mean) <= 5.1e-5, (phase, seconds, mean)
assert len(shares) == len(rows[0]["phases"])
PYTHON
checks=$((checks + 1))

# Several runs in one page: a curve for each, the options that differ, the numbers at the end.
check 0 ranks 2 "$MPILORA" train --model "$work/model" --data "$work/train <1>.jsonl" --eval-data "$work/eval <1>.jsonl" \
    --output "$work/other" --max-steps 6 --batch-size 6 --lora-rank 4 --learning-rate 3e-3
cp -r "$work/run" "$work/<img> & run"
check 0 "$MPILORA" report "$work/run" "$work/other" "$work/<img> & run" --output "$work/several.html"
says err 'several.html is written'
page "$work/several.html" loss learning-rate gradient-norm speed
python3 - "$work" <<'PYTHON' || fail "the page of several runs"
import json, re, sys
html = open(f"{sys.argv[1]}/several.html", encoding="utf-8").read()
curves = {f["plot"]: f for f in json.loads(re.search(r'id="curves">(.*?)</script>', html, re.S)[1])}
assert [s["name"] for s in curves["loss"]["series"]] == ["run", "other", "<img> & run"]
for folder, series in zip(("run", "other"), curves["loss"]["series"]):
    assert series["y"] == [json.loads(line)["loss"] for line in open(f"{sys.argv[1]}/{folder}/metrics.jsonl")], folder
assert [s["name"] for s in curves["eval-loss"]["series"]] == ["other"] and "<img>" not in html
differ = dict(re.findall(r'<tr data-option="([\w-]+)"><td>[\w-]+</td>(.*?)</tr>', html, re.S))
assert set(differ) == {"eval-data", "max-steps", "learning-rate", "lora-rank"}, list(differ)
machines = dict(re.findall(r'<tr data-machine="([\w ]+)"><td>[\w ]+</td>(.*?)</tr>', html, re.S))
assert set(machines) <= {"Ranks", "Threads of a rank"}, machines
assert re.findall(r">([^<]*)</td>", machines["Ranks"]) == ["1", "2", "1"], machines
assert re.findall(r">([^<]*)</td>", differ["max-steps"]) == ["4", "6", "4"], differ
last = [json.loads(open(f"{sys.argv[1]}/{f}/metrics.jsonl").read().splitlines()[-1]) for f in ("run", "other")]
row = re.search(r"<td>Last training loss</td>(.*?)</tr>", html)[1]
assert re.findall(r">([^<]*)</td>", row)[:2] == [f"{v['loss']:.4f}" for v in last], row
assert f'class="number best">{last[1]["eval_loss"]:.4f}<' in html
PYTHON
checks=$((checks + 1))
check 0 "$MPILORA" report "$work/run" --output "$work/several.html" # a page replaces a page, and nothing else
check 2 "$MPILORA" report "$work/run" "$work/other" --output "$work/study.yaml"
says err 'is no page'
check 1 "$MPILORA" report "$work/run" --output "$work/absent/page.html"
check 2 "$MPILORA" report "$work/run" "$work/model"
says err "$work/model: this is "

# In a folder of others, it says where the page can go.
as_user=
[ "$(id -u)" != 0 ] || as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
cp "$MPILORA" "$work/mpilora"
chmod 755 "$work"
chmod 555 "$work/run"
check 1 $as_user "$work/mpilora" report "$work/run"
says err "$work/run cannot be written to .Permission denied.: --output FILE.html writes the page elsewhere"
# One that cannot be read is not taken for something else.
mkdir "$work/closed"
chmod 0 "$work/closed"
for command in report watch inspect; do
    check 1 $as_user "$work/mpilora" $command "$work/closed"
    says err "cannot open $work/closed: Permission denied"
done
chmod 755 "$work/run" "$work/closed"
check 2 "$MPILORA" report "$work/absent"
says err 'absent: there is no such folder'

# --follow: the page is new after each change, says that it loads itself again, and stays as it is at the end.
python3 - "$MPILORA" "$work/run" <<'PYTHON' || fail "a page that follows its run"
import fcntl, json, re, signal, subprocess, sys, time
program, run = sys.argv[1:]


def until(what, true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def html():
    return open(f"{run}/report.html", encoding="utf-8").read()


def points():
    return len(json.loads(re.search(r'id="curves">(.*?)</script>', html(), re.S)[1])[0]["series"][0]["x"])


for ends in ("run", "signal"):
    lock = open(f"{run}/.lock", "r+")
    fcntl.lockf(lock, fcntl.LOCK_EX)
    follower = subprocess.Popen([program, "report", run, "--follow", "--interval", "0.2"], stderr=subprocess.PIPE, text=True)
    until("a page that loads itself again", lambda: 'data-reload="1"' in html() and '<noscript><meta http-equiv="refresh"' in html())
    before = points()
    with open(f"{run}/metrics.jsonl", "a") as f:
        f.write('{"step": %d, "loss": 1.5, "seconds": 0.1}\n' % (before + 1))
    until("a new point", lambda: points() == before + 1)
    assert follower.poll() is None
    if ends == "signal":
        follower.send_signal(signal.SIGINT)
    lock.close()
    assert follower.wait(30) == (0 if ends == "run" else -signal.SIGINT), follower.returncode
    assert "reload=" not in html() and "http-equiv" not in html(), "the last page loads itself again"
    assert "report.html, report.csv, metrics.csv and report.json are written" in follower.stderr.read()
PYTHON
checks=$((checks + 1))

printf '{"step": 9, "loss"\n' >>"$work/run/metrics.jsonl"
check 1 "$MPILORA" report "$work/run"
says err "metrics.jsonl:7"
check 2 "$MPILORA" report "$work/model"
check 2 "$MPILORA" report
passed
