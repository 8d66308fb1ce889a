# Installed below a root of its own, moved, and used from there by an ordinary user: program, job scripts, manual pages,
# completions.
. "$SOURCE/tests/support/e2e.sh"
. "$SOURCE/tests/support/train.sh"
command -v cmake >/dev/null || skip "cmake is not installed"

check 0 env DESTDIR="$work/stage" cmake --install "$(dirname "$MPILORA")" --prefix /usr/local
mkdir "$work/new place"
mv "$work/stage/usr/local" "$work/new place/mpilora"
rm -r "$work/stage"
prefix="$work/new place/mpilora" share="$work/new place/mpilora/share"
! grep -rIlF -e "$work/stage" -e "$(dirname "$MPILORA")" -e "$SOURCE" "$prefix" >&2 || fail "a path of the build is in there"
for page in README.md CHANGELOG.md LICENSE; do
    [ -s "$share/doc/mpilora/$page" ] || fail "$page is not installed"
done

# As an ordinary user, from copies of the job scripts.
as_user=
[ "$(id -u)" != 0 ] || as_user="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=$work/home"
mkdir "$work/home"
chmod 777 "$work/home"
chmod -R a+rX "$work"
cd "$work/home" || fail "no folder"
check 0 $as_user "$prefix/bin/mpilora" jobs mine
says err "^mine holds the job scripts, for $prefix/bin/mpilora; see jobs/README.md there"
check 0 $as_user env -u MPILORA bash -c 'cd mine && exec jobs/local.sh 1 "$@"' - $options --max-steps 2 --output "$work/home/run"
[ -e run/adapter/adapter_model.safetensors ] || fail "no adapter"
for script in "$SOURCE"/jobs/*; do
    [ "${script##*/}" = env.sh ] || diff -r "$script" "mine/jobs/${script##*/}" >&2 || fail "$script is not as in the sources"
done
check 0 bash -n mine/jobs/env.sh
check 2 "$prefix/bin/mpilora" jobs mine
says err 'mine is not an empty folder'
check 2 "$MPILORA" jobs other
says err 'is not installed: its job scripts are in the folder jobs of its sources'
[ ! -e other ] || fail "a folder was made"

# A page for the program and for each of its commands, in the language of man.
commands=$("$MPILORA" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 14 ] || fail "commands: $commands"
for name in '' $commands; do
    page=$share/man/man1/mpilora${name:+-$name}.1
    [ -s "$page" ] || fail "no page $page"
    command -v groff >/dev/null || continue
    check 0 groff -man -ww -b -z -Tutf8 "$page"
    silent err
done
for option in $("$MPILORA" train --help | sed -n 's/^  --\(\[no-\]\)\{0,1\}\([a-z0-9-]*\).*/\2/p'); do
    grep -qF -- "${option//-/\\-}\\fR" "$share/man/man1/mpilora-train.1" || fail "no --$option in the page of train"
done
check 2 "$MPILORA" --help-man trian
says err "unknown command 'trian'"

# What the shells offer.
cat >"$work/complete.sh" <<'SH'
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_mpilora
printf '%s\n' "${COMPREPLY[@]}"
SH
offers() { # offers EXPECTED WORD...: of bash, on one line
    local expected=$1
    shift
    check 0 bash "$work/complete.sh" "$share/bash-completion/completions/mpilora" "$@"
    [ "$(paste -sd' ' "$work/out")" = "$expected" ] || fail "bash offers after '$*': $(paste -sd' ' "$work/out")"
}
touch "$work/home/one two.jsonl"
offers train mpilora tr
offers "--dtype" mpilora train --dty
offers "f32 bf16" mpilora train --dtype ''
offers "kaiming-uniform" mpilora train --lora-init k
offers "--no-shuffle" mpilora train --no-shu
offers "one two.jsonl" mpilora train --data one
offers "run" mpilora inspect ru
offers "" mpilora train --seed ''
if command -v fish >/dev/null; then
    check 0 fish --no-config -c "source '$share/fish/vendor_completions.d/mpilora.fish'
        complete -C 'mpilora tr'; complete -C 'mpilora train --lora-init k'; complete -C 'mpilora train --data one'"
    [ "$(cut -f 1 "$work/out" | paste -sd' ')" = "train kaiming-uniform one two.jsonl" ] || fail "fish: $(cat "$work/out")"
fi
if command -v zsh >/dev/null; then
    check 0 zsh -n "$share/zsh/site-functions/_mpilora"
fi
check 2 "$MPILORA" completion tcsh
says err "bash, zsh and fish, not for 'tcsh'"

# The module files lead from where they lie to the program.
for file in "$share"/mpilora/modulefiles/mpilora/*; do
    up=$(grep -oE '(\.\./)+' "$file")
    [ -x "$share/mpilora/modulefiles/mpilora/$up/bin/mpilora" ] || fail "$file leads elsewhere: $up"
done

# And a real module command, Lmod's or that of Environment Modules, loads and unloads them.
modules=
for init in /usr/share/lmod/lmod/init/bash /usr/share/modules/init/bash; do [ ! -e "$init" ] || modules=$init; done
if [ -n "$modules" ]; then
    cat >"$work/load.sh" <<'SH'
. "$1" && module use "$2/mpilora/modulefiles" && module load mpilora || exit
realpath "$(command -v mpilora)" "$MPILORA"
! command -v man >/dev/null || { man -w mpilora-train && man -w man; } || exit
mpilora selftest --threads 1 || exit
module unload mpilora
case :$PATH:$MANPATH:${MPILORA-none}: in *"$2"* | *mpilora/*) echo "still there: $PATH $MANPATH $MPILORA" ;; esac
SH
    check 0 env -u MPILORA -u MANPATH -u MODULEPATH $as_user bash "$work/load.sh" "$modules" "$share"
    [ "$(grep -cxF "$prefix/bin/mpilora" "$work/out")" = 2 ] || fail "another program: $(cat "$work/out")"
    says out '^in all +(fine|slow)$'
    ! grep 'still there' "$work/out" || fail "unloading leaves something behind"
else
    echo "no module command (lmod, environment-modules): the module files were not loaded"
fi
passed
