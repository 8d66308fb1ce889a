# Sourced by the benchmarks after common.sh: their options, the program, ratios.
python=python3 model='' turns=3 threads=$cores

# A path that is meant from where the script was called, seen from here; anything else as it is.
as_called() {
    if [ -e "$OLDPWD/$1" ] && [[ $1 != /* ]]; then echo "$OLDPWD/$1"; else echo "$1"; fi
}

# parse_options "NAMES" "FLAGS" ARGUMENT...: --NAME VALUE sets the variable NAME, --FLAG sets it to its own option. --help
# prints the comment at the top of the script.
parse_options() {
    local names=" python model turns threads $1 " flags=" $2 " name
    shift 2
    while [ $# -gt 0 ]; do
        name=${1#--}
        case "$1" in
        --help)
            sed -n '2,/^[^#]/s/^# \{0,1\}//p' "scripts/${0##*/}"
            exit 0 ;;
        --[a-z]*)
            if [[ $flags == *" $name "* ]]; then
                printf -v "$name" %s "$1"
            elif [[ $names == *" $name "* ]] && [ $# -ge 2 ]; then
                printf -v "$name" %s "$(as_called "$2")"
                shift
            else
                echo "${0##*/}: $1: no such option, or no value (--help)" >&2
                exit 2
            fi ;;
        *)
            echo "${0##*/}: $1: not an option (--help)" >&2
            exit 2 ;;
        esac
        shift
    done
}

# needs_python MODULE...: of the Python that --python names.
needs_python() {
    "$python" -c 'import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]' "$@" 2>/dev/null || {
        echo "${0##*/}: $python lacks one of: $*; name another with --python" >&2
        exit 1
    }
}

# Sets `mpilora`: the program that MPILORA names, or one built from here; and `model`, unless it is given.
prepare() {
    mpilora=${MPILORA:-build/mpilora}
    if [ -z "${MPILORA:-}" ]; then
        scripts/deps.sh
        targets=mpilora build build
    fi
    model=${model:-$(scripts/fetch_model.sh smollm2)}
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
}

# turn NUMBER NAME COMMAND...: runs one side's part of a turn; its last line, JSON, goes to $work/NAME, and
# what stands first in it to the reader.
turn() {
    local number=$1 name=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" || {
        tail -n 20 "$work/out" "$work/err" >&2
        echo "${0##*/}: this failed: $*" >&2
        exit 1
    }
    tail -n 1 "$work/out" >>"$work/$name"
    printf 'turn %d  %-8s %.230s\n' "$number" "$name" "$(tail -n 1 "$work/out")"
}
