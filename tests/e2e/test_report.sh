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

# page FOLDER PLOT...: report.html is well-formed where it is XML, draws what report.json says, and stands alone.
page() {
    python3 - "$@" <<'PYTHON' || fail "the page of $1"
import json, re, sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

folder, wanted = sys.argv[1], sys.argv[2:]
html = open(f"{folder}/report.html", encoding="utf-8").read()
figures = {f["plot"]: f for f in json.load(open(f"{folder}/report.json"))["figures"]}
svg = "{http://www.w3.org/2000/svg}"
plots = {}
for text in re.findall(r"<svg.*?</svg>", html, re.S):
    root = ET.fromstring(text)
    plots[root.get("id")] = root
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
        assert tag not in ("script", "link", "img", "iframe", "object", "base"), tag
        for key, value in attributes:
            assert key not in ("src", "href", "xlink:href", "srcset") and not key.startswith("on"), (tag, key)
Page().feed(html)
outside = re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", html)
assert not re.search(r"https?:|url\(|@import", outside), "a reference to something outside"
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

printf '{"step": 9, "loss"\n' >>"$work/run/metrics.jsonl"
check 1 "$MPILORA" report "$work/run"
says err "metrics.jsonl:5"
check 2 "$MPILORA" report "$work/model"
check 2 "$MPILORA" report
passed
