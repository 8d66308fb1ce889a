# `watch`: pictures of runs at several moments, as a person sees them (tests/golden/watch), and live in a terminal. With
# UPDATE=1 the pictures are written anew: look at them.
. "$SOURCE/tests/support/e2e.sh"
unset COLUMNS NO_COLOR LC_ALL LC_CTYPE
export LANG=C.UTF-8 TERM=xterm-256color
golden=$SOURCE/tests/golden/watch
mkfifo "$work/hold" "$work/ready"
command python3 -S "$SOURCE/tests/support/make_watched.py" "$work" <"$work/hold" >"$work/ready" &
background=$!
exec 8>"$work/hold" # closed at the end, which ends it
read -r _ <"$work/ready" || fail "no runs were made"
cd "$work" || exit 1

# picture NAME COMMAND...: what it prints is the picture of that name.
picture() {
    check 0 "${@:2}"
    [ -z "${UPDATE:-}" ] || cp out "$golden/$1.txt"
    diff "$golden/$1.txt" out >&2 || fail "another picture than $1.txt"
}

before=$(find runs -printf '%p %T@ %s\n' | sort)
for columns in 40 60 80 120; do
    picture "running-$columns" env COLUMNS=$columns "$MPILORA" watch runs/2-running --once
    picture "folder-$columns" env COLUMNS=$columns "$MPILORA" watch runs --once
done
for columns in 40 80 120; do
    picture "pairs-$columns" env COLUMNS=$columns "$MPILORA" watch pairs/dpo --once
    picture "pairs-folder-$columns" env COLUMNS=$columns "$MPILORA" watch pairs --once
done
picture ascii-80 env LANG=C "$MPILORA" watch runs/2-running
for moment in 1-starting 3-silent 4-dead 5-stopped 6-finished 7-failed; do
    picture "$moment" "$MPILORA" watch "runs/$moment"
done
printf 'a note\nwarning: the disk is \033[31mslow\nstep 3\nmpilora: the end\n' >log.txt
check 0 "$MPILORA" watch runs/2-running --log log.txt
says out 'warning: the disk is \\u001b\[31mslow'
says out '^ +mpilora: the end'
checks=$((checks + 1))
[ "$(find runs -printf '%p %T@ %s\n' | sort)" = "$before" ] || fail "watching changed something"

check 2 "$MPILORA" watch "$work"
says err 'this is not the folder of a run'
check 2 "$MPILORA" watch
mkdir empty
check 2 "$MPILORA" watch empty
says err 'empty: this is not the folder of a run, nor one with runs in it: it is empty$'
check 2 "$MPILORA" watch log.txt
says err ': it is a file$'
check 2 "$MPILORA" watch absent
says err 'absent: there is no such folder'
ln -s loop loop
check 1 "$MPILORA" watch loop
says err 'cannot open loop: Too many levels of symbolic links'
check 1 "$MPILORA" watch runs/2-running --log absent.txt
check 2 "$MPILORA" watch runs --log log.txt

# Live, in a terminal of its own: what is shown follows the file, the keys and the window.
python3 - "$MPILORA" <<'PYTHON' || fail "in a terminal"
import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, time
sys.path.insert(0, os.environ["SOURCE"] + "/tests/support")

program = sys.argv[1]


class Terminal:
    def __init__(self, columns, rows, *words, environment=None):
        self.main, self.other = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.other)
        # A session of its own, of which this is the terminal: Ctrl-C and changes of size become signals.
        start = lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.process = subprocess.Popen([program, "watch", *words, "--interval", "0.1"], stdin=self.other, stdout=self.other,
                                        stderr=self.other, preexec_fn=start, env=os.environ | (environment or {}))

    def resize(self, columns, rows):
        self.columns, self.rows, self.bytes = columns, rows, b""
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.main], [], [], left)[0]:
            self.bytes += os.read(self.main, 65536)

    def screen(self):
        """The lines of the last whole picture."""
        pictures = re.findall(r"\x1b\[H(.*?)\x1b\[J", self.bytes.decode("utf-8", "ignore"), re.S)
        return re.sub(r"\x1b\[[0-9;]*[mK]", "", pictures[-1]).split("\r\n") if pictures else []

    def until(self, what, *words):
        """Reads on until the picture has these words, which are 20 seconds away at most."""
        end = time.monotonic() + 20
        while not all(re.search(word, "\n".join(self.screen())) for word in words):
            assert time.monotonic() < end, (what, words, self.screen())
            self.read(0.05)
        screen = self.screen()
        assert len(screen) <= self.rows and all(len(line) <= self.columns for line in screen), (what, screen)

    def send(self, keys):
        os.write(self.main, keys)

    def ends(self, status):
        end = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end"
            self.read(0.05)
        self.read(0.05)
        assert self.process.returncode == status, self.process.returncode
        assert self.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), self.bytes[-60:]
        assert termios.tcgetattr(self.other) == self.before, "the terminal is not as it was"


def line(step):
    return '{"step": %d, "loss": 1.25, "epoch": %.4f, "seconds": 2}\n' % (step, step / 200)


run = "runs/2-running/metrics.jsonl"
t = Terminal(100, 40, "runs/2-running")
t.until("the start", "step 150 of 400", "q quits", "8:20 left", "│")
assert b"\x1b[32m" in t.bytes
t.read(0.3)
seen = len(t.bytes)
t.read(0.7)
assert len(t.bytes) == seen, "it draws although nothing has changed"
os.truncate(run, open(run).read().rindex("\n") + 1)  # the half line, as a run does it that goes on
with open(run, "a") as f:
    f.write(line(151))
    f.flush()
    t.until("a new line", "step 151 of 400", "loss 1.2500")
    t.resize(60, 20)
    t.until("a smaller window", "step 151 of 400", "q quits")
    t.resize(40, 5)
    t.until("a tiny window", "step 151 of 400", "q quits")
    t.resize(100, 12)
    t.until("a flat window", "step 151 of 400", "q quits")
    t.resize(140, 50)
    t.until("a large window", "step 151 of 400", "─{110}")
    f.write(line(152)[:9])
    f.flush()
    t.read(0.3)
    f.write(line(152)[9:])
    f.flush()
    t.until("a line in two pieces", "step 152 of 400")
t.send(b"\x1a")  # Ctrl-Z: its own screen goes, and comes back
end = time.monotonic() + 20
while not t.bytes.endswith(b"\x1b[?1049l"):
    assert time.monotonic() < end
    t.read(0.05)
t.bytes = b""
time.sleep(0.2)
t.process.send_signal(signal.SIGCONT)
t.until("after a rest", "step 152 of 400")
t.send(b"q")
t.ends(0)

t = Terminal(100, 40, "runs", environment={"NO_COLOR": "1"})
t.until("a folder", "> 1-starting", "8-名前", "another run")
t.send(b"\x1b[B")
t.until("down", "> 2-running", "step 152 of 400")
t.send(b"\t")
t.until("tab", "> 3-silent", "process 4242 on node1")
t.send(b"\x1b[Ak")  # two keys that are read at once
t.until("up", "> 1-starting")
assert not re.search(rb"\x1b\[\d+m", t.bytes), "colours in spite of NO_COLOR"
os.rename("runs/1-starting", "elsewhere")
t.until("a run that is gone", "> 2-running")
os.rename("elsewhere", "runs/1-starting")
t.until("a run that is back", "1-starting")
t.process.send_signal(signal.SIGTERM)
t.ends(-signal.SIGTERM)

t = Terminal(100, 40, "runs/4-dead")
t.until("a dead run", "seems dead", "process 77 on node9")
t.send(b"\x03")
t.ends(-signal.SIGINT)
PYTHON
checks=$((checks + 1))
exec 8>&-

# A real run, whose length follows from its epochs: 9 examples in batches of 4 are 3 steps an epoch.
. "$SOURCE/tests/support/train.sh"
check 0 "$MPILORA" train --model "$model" --data "$work/held.jsonl" --output "$work/real" --epochs 2 --batch-size 4 \
    --lora-rank 2 --threads 1
check 0 "$MPILORA" watch "$work/real"
says out ' finished$'
says out 'step 6 of 6 .*100 %  epoch 2.00'
says out 'slowest: rank 0 on '
passed
