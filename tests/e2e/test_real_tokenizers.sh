# The tokenizers of well-known models give the ids that the `tokenizers` library gave: Llama 2 and 3, Qwen3, Gemma 3,
# gpt-oss, DeepSeek V3. Their files are downloaded once; without a network this is skipped.
. "$SOURCE/tests/support/e2e.sh"

program=$(dirname "$MPILORA")/tests/unit_data_sentencepiece
[ -x "$program" ] || fail "$program is not built"
status=0
folder=$("$SOURCE/scripts/fetch_tokenizers.sh" 2>"$work/log" | tail -n 1) || status=$?
[ "$status" != 4 ] || skip "$(tail -n 1 "$work/log")"
[ "$status" = 0 ] || fail "fetch_tokenizers.sh: status $status: $(tail -n 1 "$work/log")"
MPILORA_TOKENIZERS=$folder check 0 "$program"
says out "6 real tokenizers"
passed
