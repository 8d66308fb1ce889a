# Help, versions, mistakes and exit statuses: what a user meets before any work is done.
. "$SOURCE/tests/support/e2e.sh"
: "${MPILORA:?is the program}"
commands="train eval generate compare export inspect tokenize probe report"
python3 "$SOURCE/tests/support/make_tiny_model.py" "$work/model"
ranks() { mpirun -n "$1" --bind-to none "${@:2}"; }

# Help, without a launcher and under one: once, on stdout, with status 0.
check 0 "$MPILORA" --help
silent err
for command in $commands; do says out "^ +$command +[A-Z]"; done
check 0 "$MPILORA" help train
for command in $commands; do
    check 0 "$MPILORA" "$command" --help
    silent err
    says out "usage: mpilora $command"
done
check 0 "$MPILORA" train --model x --help --nonsense
says out '\-\-learning-rate X'
check 0 ranks 3 "$MPILORA" eval --help
[ "$(grep -c usage: "$work/out")" = 1 ] || fail "help was printed once a rank"

check 0 "$MPILORA" --version
silent err
says out '^mpilora [0-9]+\.[0-9]+\.[0-9]+$'
says out '^compiler: (GNU|Clang) [0-9.]+$'
for line in '^MPI: .*[0-9]' '^HDF5: 1\.' '^BLAS: .*OpenBLAS .* OpenMP ' '^ISA: (portable|avx2|avx512) \('; do says out "$line"; done

# Too little address space for OpenBLAS, which asks for its buffers without end, before main() begins. (A sanitizer's
# shadow needs more by itself.)
if ! grep -qaE '__(asan|tsan)_init' "$MPILORA"; then
    run timeout 100 sh -c 'ulimit -v 200000; exec "$0" --version' "$MPILORA"
    [ "$status" = 1 ] || fail "status $status, not 1, with little address space: $(tail -n 3 "$work/err")"
    says err '^mpilora: OpenBLAS gets no memory .*ulimit -v'
fi

# Mistakes: status 2, one line on stderr that names the mistake, and the nearest name.
mistake() { # mistake REGEX ARGUMENT...
    local pattern=$1
    shift
    check 2 "$MPILORA" "$@"
    silent out
    says err "^mpilora: .*$pattern"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "more than one line on stderr"
}
check 2 "$MPILORA"
says err 'usage:'
mistake 'did you mean train' trian
mistake "unknown command 'frobnicate'" frobnicate
mistake '--learning-rate' train --learning-rat 1
mistake 'did you mean --model' eval --modle x
mistake 'lora-rank' train --model m --data d --output o --lora-rank 0
mistake 'lora-rank' train --model m --data d --output o --lora-rank many
mistake 'lr-schedule' train --model m --data d --output o --lr-schedule cosin
mistake 'learning-rate' train --model m --data d --output o --learning-rate -1
mistake '--model' eval --data d
mistake 'PATH' inspect
mistake 'only one' tokenize --model "$work/model" --text a --decode 1
mistake 'only one' tokenize --model "$work/model"
mistake 'token id' tokenize --model "$work/model" --decode '1 two'
mistake '' train --model m --data d --output o extra

# Configuration files: unknown keys with file, line and nearest name; the command line wins.
printf 'model: m\nlearning-rat: 1e-3\n' >"$work/bad.yaml"
mistake "$work/bad.yaml:2.*learning-rate" train --config "$work/bad.yaml" --data d --output o
mistake 'absent.yaml' train --config "$work/absent.yaml" --data d --output o
printf 'model: %s\nmax_new_tokens: 3\n' "$work/nowhere" >"$work/good.yaml"
check 0 "$MPILORA" generate --config "$work/good.yaml" --model "$work/model" --prompt on

# Failures: status 1, with the name of the very file.
check 1 "$MPILORA" eval --model "$work/nowhere" --data "$work/good.yaml"
says err "^mpilora: .*$work/nowhere"
check 1 "$MPILORA" inspect "$work/nowhere"
says err "$work/nowhere"
check 1 "$MPILORA" generate --model "$SOURCE" --prompt a
says err "^mpilora: .*$SOURCE"
check 1 "$MPILORA" tokenize --model "$work/model" --file "$work/nowhere"
says err "$work/nowhere"
check 1 "$MPILORA" tokenize --model "$work/model" --decode 100000
check 1 bash -c '"$0" --help >/dev/full' "$MPILORA"
says err 'No space left'
check 1 bash -c '"$0" tokenize --model "$1" --text on >/dev/full' "$MPILORA" "$work/model"
says err 'No space left'

# Under mpirun an error is printed once, whatever the number of ranks, and its status comes through.
once() { # once STATUS REGEX ARGUMENT...
    local expected=$1 pattern=$2
    shift 2
    check "$expected" ranks 3 "$MPILORA" "$@"
    says err "^mpilora: .*$pattern"
    [ "$(grep -c '^mpilora: ' "$work/err")" = 1 ] || fail "an error was printed once a rank"
}
once 1 "$work/nowhere" eval --model "$work/nowhere" --data "$work/good.yaml"
once 2 'did you mean --model' eval --modle x
once 2 'did you mean train' trian
once 1 "$work/nowhere" inspect "$work/nowhere"
check 0 ranks 3 "$MPILORA" tokenize --model "$work/model" --text on
[ "$(wc -l <"$work/out")" = 1 ] || fail "a result was printed once a rank"
# What is not known of the environment is said once, whoever asks for it how often, on one rank and on two.
for launcher in "" "mpirun -n 2 --bind-to none"; do
    check 1 env MPILORA_ISA=nonsense $launcher "$MPILORA" train --model "$work/none" --data "$work/none" --output "$work/o"
    checks=$((checks + 1))
    [ "$(grep -c 'MPILORA_ISA=nonsense is ignored' "$work/err")" = 1 ] || fail "not once: $(cat "$work/err")"
done
passed
