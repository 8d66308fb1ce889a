# Data in every form, mixed: what inspect shows is what is trained, on any number of ranks; the chat template's options.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
python3 - >"$work/mixed.jsonl" <<'PY'
import json
for i in range(6):
    for line in ({"text": f"a text {i}"}, {"prompt": f"one {i}", "completion": f" two {i}"},
                 {"messages": [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": f"a {i}", "weight": 0},
                               {"role": "user", "content": "more"}, {"role": "assistant", "content": f"b {i}"}]},
                 {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": f"c {i}"}]},
                 {"instruction": "say", "input": f"{i}", "output": f"said {i}"},
                 {"conversations": [{"from": "human", "value": f"h {i}"}, {"from": "gpt", "value": f"g {i}"}]}):
        print(json.dumps(line))
PY
more="--data $work/mixed.jsonl --batch-size 7 --micro-batch-tokens 128 --max-length 128 --max-steps 4"
check 0 train "$work/one" $more
says err "mixed.jsonl: examples by form: 6 text, 6 completion, 6 messages, 6 prompt_messages, 6 alpaca, 6 sharegpt"
grep -qE "^chat-date: \"?$(date +%Y)-" "$work/one/config.yaml" || fail "config.yaml does not have the day"
for n in 2 3; do
    check 0 ranks $n "$MPILORA" train $options $more --output "$work/on-$n"
    same_run "$work/one" "$work/on-$n"
done

# inspect shows what probe, and so training, gets.
check 1 "$MPILORA" inspect "$work/mixed.jsonl" --model "$model" --html "$work/none/page.html"
says err '\-\-html .*/none/page.html: there is no folder .*/none$'
check 0 "$MPILORA" probe --model "$model" --data "$work/mixed.jsonl" --lora-rank 2 --output "$work/probe.h5" --threads 1
check 0 "$MPILORA" inspect "$work/mixed.jsonl" --model "$model" --examples 36 --json --html "$work/page.html"
holds 'v["examples"] == 36 and len(v["shown"]) == 36 and v["warnings"] == [] and set(v["forms"].values()) == {6}'
holds 'sum(map(sum, [x["supervised"] for x in v["shown"]])) == v["supervised_tokens"]'
holds 'v["shown"][2]["place"].endswith("mixed.jsonl:3") and v["shown"][2]["form"] == "messages"'
for i in 0 1 2 3 4 5; do
    for what in tokens supervised; do
        h5dump -y -w 0 -d "/examples/$i/$what" "$work/probe.h5" | sed -n '/DATA {/,/}/p' | tr -cd '0-9,\n' | tr -d '\n' >"$work/theirs"
        python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["shown"][int(sys.argv[2])][sys.argv[3]], sep=",", end="")' \
            "$work/out" $i $what >"$work/ours"
        checks=$((checks + 1))
        cmp "$work/ours" "$work/theirs" || fail "example $i, $what: $(cat "$work/ours") and $(cat "$work/theirs")"
    done
done
check 0 "$MPILORA" inspect "$work/mixed.jsonl" --model "$model" --examples 4
says out '^--- .*mixed.jsonl:4: prompt_messages, [0-9]+ tokens, 4 of them trained$'
says out '^\[\[c 0<\|im_end\|>\]\]$'
says out '^\[\[b 0<\|im_end\|>\]\]$'
says out '^a 0<\|im_end\|>$'
grep -q '<mark>c 0&lt;|im_end|&gt;</mark>' "$work/page.html" || fail "the page does not mark the answer"
check 0 "$MPILORA" inspect "$work/mixed.jsonl" --model "$model" --examples 4 --train-on all
says out '^<\|im_start\|>\[\[system$'
head -n 5 "$work/mixed.jsonl" >"$work/five.jsonl"
check 0 "$MPILORA" inspect "$work/mixed.jsonl" --model "$model" --examples 0 --eval-data "$work/five.jsonl" --json
holds 'v["shared_with_eval_data"] == 5'
says err '^warning: 5 of the examples of --eval-data stand in .*mixed.jsonl, too|5 of the examples of --eval-data'
check 0 ranks 2 "$MPILORA" train $options $more --max-steps 1 --eval-data "$work/five.jsonl" --output "$work/shared"
says err '^warning: 5 of 5 examples of --eval-data are also in --data: '
cat "$work/five.jsonl" "$work/five.jsonl" >"$work/twice.jsonl"
check 0 ranks 2 "$MPILORA" train $options $more --max-steps 1 --data "$work/twice.jsonl" --output "$work/twice"
says err 'mixed.jsonl: 10 of 46 examples repeat an earlier one \(the first: .*twice.jsonl:1, as .*mixed.jsonl:1\)$'
check 0 "$MPILORA" inspect "$work/twice.jsonl" --model "$model" --examples 0 --json
holds '"5 of 10 examples repeat an earlier one" in v["warnings"][0]'

# Preference pairs: inspect shows both sides; without an objective they are refused.
cat >"$work/pairs.jsonl" <<'END'
{"prompt": "one", "chosen": " two", "rejected": " 2 or 3"}
{"prompt": [@user, "q"}], "chosen": [@assistant, "good"}], "rejected": [@assistant, "worse"}]}
{"prompt": "one", "chosen": " two", "rejected": " two"}
END
sed -i 's/@\([a-z]*\),/{"role": "\1", "content":/g' "$work/pairs.jsonl"
check 0 "$MPILORA" inspect "$work/pairs.jsonl" --model "$model" --json --html "$work/pairs.html"
holds 'v["forms"] == {"preference": 1, "preference_messages": 1} and v["bad_lines"] == 1'
holds 'v["first_bad_line"].endswith("pairs.jsonl:3: \"chosen\" and \"rejected\" are the same: there is nothing to prefer")'
holds 'sum(sum(x[k]["supervised"]) for x in v["shown"] for k in ("chosen", "rejected")) == v["supervised_tokens"]'
holds 'v["shown"][0]["chosen"]["text"].startswith("one two") and v["shown"][0]["rejected"]["text"].startswith("one 2 or 3")'
check 0 "$MPILORA" inspect "$work/pairs.jsonl" --model "$model"
says out '^rejected:$'
says out '^\[\[worse<\|im_end\|>\]\]$'
grep -q '<h3>rejected</h3>' "$work/pairs.html" || fail "the page does not show the rejected side"
head -n 1 "$work/pairs.jsonl" >"$work/pair.jsonl"
check 1 "$MPILORA" train --model "$model" --data "$work/pair.jsonl" --output "$work/none"
says err 'pair.jsonl:1: .*, --columns completion=chosen,unused=rejected trains on the chosen answers alone$'
# Pairs of sharegpt, as published sets have them; what is refused names the command that mends it.
cat >"$work/published.jsonl" <<'END'
{"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "no"}}
{"prompt": [{"role": "user", "content": "q"}], "chosen": "fine", "rejected": "bad"}
END
prefer="--model $model --threads 1 --lora-rank 2 --max-length 64 --max-steps 1 --objective dpo"
check 0 "$MPILORA" train $prefer --data "$work/published.jsonl" --output "$work/published"
check 0 "$MPILORA" inspect "$work/published.jsonl" --model "$model" --json
holds 'v["forms"] == {"preference_messages": 2} and v["bad_lines"] == 0'
holds 'all("q" in x[k]["text"] for x in v["shown"] for k in ("chosen", "rejected")) and "good" in v["shown"][0]["chosen"]["text"]'
if command -v jq >/dev/null; then
    while read -r line; do
        echo "$line" >"$work/broken.jsonl"
        check 1 "$MPILORA" train $prefer --data "$work/broken.jsonl" --output "$work/none"
        cure=$(sed -n "s/.*: \(jq -c '.*'\) FILE > NEW .*/\1/p" "$work/err")
        [ -n "$cure" ] || fail "no cure of $line: $(cat "$work/err")"
        eval "$cure" "$work/broken.jsonl" >"$work/mended.jsonl"
        check 0 "$MPILORA" train $prefer --data "$work/mended.jsonl" --output "$work/mended" --resume never --overwrite
    done <<'END'
{"prompt": "q", "chosen": ["good", "better"], "rejected": ["bad"]}
{"prompt": [{"role": "user", "content": "q"}], "chosen": "good", "rejected": ["bad"]}
{"prompt": "q", "chosen": {"role": "assistant", "content": "good"}, "rejected": {"role": "assistant", "content": "bad"}}
{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "chosen": "good", "rejected": "bad"}
{"instruction": "q", "input": "i", "chosen": "good", "rejected": "bad"}
{"system": "S", "question": "q", "chosen": "good", "rejected": "bad"}
END
fi
check 2 "$MPILORA" inspect "$model" --model "$model"
says err 'can only be used with a data file'
check 2 "$MPILORA" train $options $more --train-on-prompt --output "$work/none"
says err 'train-on-prompt.*--train-on'

# The template: another file, its variables, its day, on a resume too.
cat >"$work/t.jinja" <<'JINJA'
{{ strftime_now('%d %b %Y') }} {{ mood }}
{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endif %}{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}
JINJA
own="--chat-template $work/t.jinja --chat-date 2024-02-29"
check 0 "$MPILORA" tokenize --model "$model" --chat --text Hi $own --chat-template-kwargs '{"mood": "calm"}' --json
python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])))' "$work/out" >"$work/ids"
check 0 "$MPILORA" tokenize --model "$model" --decode "$(cat "$work/ids")"
says out '^29 Feb 2024 calm$'
says out '^<\|im_start\|>user:Hi<\|im_end\|>$|^<\|im_start\|>user:Hi<\|im_end\|><\|im_start\|>assistant:$'
echo '{"messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"}]}' | tr -d '\n' >"$work/system.jsonl"
check 0 "$MPILORA" inspect "$work/system.jsonl" --model "$model" $own --json
lost="have a system message that the chat template does not print (the first: $work/system.jsonl:1)"
holds '"1 of 1 examples '"$lost"'" in v["warnings"]'
echo '{"messages": [{"role": "user", "content": "load?"}, {"role": "assistant", "content": "", "tool_calls": [{"type": "function",
    "function": {"name": "load", "arguments": "{}"}}]}]}' | tr -d '\n' >"$work/call.jsonl"
check 0 train "$work/call" $more --data "$work/call.jsonl" --max-steps 1
says err '^warning: .*1 of 37 examples have "tool_calls" that the chat template does not print \(the first: .*/call.jsonl:1\)$'
check 0 train "$work/own" $more $own --max-steps 2
check 0 train "$work/own" $more --chat-template "$work/t.jinja" --max-steps 3 # the day is that of the first start
says err '^  mpilora generate --model .* --chat-template [^ ]*t.jinja( --chat-[^ ]* [^ ]*)* --adapter .*own --chat --prompt TEXT$'
grep -qE '^chat-date: "?2024-02-29' "$work/own/config.yaml" || fail "the day is another after a resume"
echo "changed" >>"$work/t.jinja"
check 1 train "$work/own" $more $own --max-steps 4
says err 'tokenizer'
echo 'x{% for %}' >"$work/t.jinja"
check 1 train "$work/none" $more $own
says err 't.jinja: line 1, column'
check 1 ranks 2 sh -c 'rank=${OMPI_COMM_WORLD_RANK-$PMI_RANK} && cd "$1" && mkdir "r$rank" && cd "r$rank" && shift &&
    echo "{{ messages[0].content }} $rank" >t.jinja && exec "$@"' sh "$work" \
    "$MPILORA" train $options $more --chat-template t.jinja --output "$work/none"
says err 'tokenizer'

# Nothing to learn is not a matter of --max-length.
echo '{"messages": [{"role": "user", "content": "one two three four"}]}' >"$work/user.jsonl"
check 1 train "$work/user" --data "$work/user.jsonl" --max-length 8
says err 'no supervised token: no message has the role "assistant"'

# A template that takes long to fail is not tried on every line of the data.
python3 - "$work" <<'PY'
import json, sys
with open(sys.argv[1] + "/many.jsonl", "w") as out:
    for i in range(4000):
        out.write(json.dumps({"messages": [{"role": "user", "content": str(i)}, {"role": "assistant", "content": "b"}]}) + "\n")
with open(sys.argv[1] + "/long.jinja", "w") as out:
    out.write("{% for a in range(9999) %}{% for b in range(20) %}{% endfor %}{% endfor %}{{ raise_exception('no') }}")
PY
run timeout 100 "$MPILORA" train --model "$model" --data "$work/many.jsonl" --chat-template "$work/long.jinja" --output "$work/long"
[ "$status" = 1 ] || fail "status $status, not 1: $(tail -n 3 "$work/err")"
says err 'many.jsonl:1: .*long.jinja: line 1, column [0-9]+: no$'
# Where bad lines are skipped it is, and a line says so after some seconds; a wish to stop is heard soon.
"$MPILORA" train --model "$model" --data "$work/many.jsonl" --chat-template "$work/long.jinja" --skip-bad-lines \
    --output "$work/long" --threads 1 >"$work/out" 2>"$work/err" </dev/null &
background=$!
until_true $background grep -q '^reading ' "$work/err"
kill -INT $background
wait $background
says err '^reading .*many.jsonl: [0-9]+ % after [0-9]+ s, [0-9]+ lines, of which [0-9]+ bad; the first: .*many.jsonl:1: .*: no$'
says err '^mpilora: stopped by a signal before the first step'
passed
