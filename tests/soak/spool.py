"""scripts/soak --spool: pushline with a spool is killed at random moments, and nothing is lost.

Under load, the process is killed with SIGKILL again and again and begun anew, while the store takes lines, is busy,
hangs or is away, and the disk of the spool is full now and then. In the end every line of every push that was answered
with 200 has to be in the store; lines that came twice are counted, and lines that nobody pushed are a fault.
"""

import contextlib
import http.client
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import moody_store  # noqa: E402

PUSHERS, LINES_MAX = 12, 30
DISK_BYTES = 12 << 20
OPTIONS = """[server]
listen = ["127.0.0.1:{port}"]
[output]
target = "http://127.0.0.1:{store}/write"
[output.http]
timeout = "2s"
[spool]
dir = "{spool}"
max_bytes = "64MiB"
after = "200ms"
"""
LINE = re.compile(rb"spool,at=(\d+),job=soak,push=(\d+),pusher=(\d+) value=1 \d+")


class Ledger:
    """What was answered with 200, and what the store has."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answered, self.pushed, self.stored = {}, {}, set()
        self.counts, self.faults = {}, []

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def begin(self, push, lines):
        with self.lock:
            self.pushed[push] = lines

    def answer(self, push, lines):
        with self.lock:
            self.answered[push] = lines

    def line(self, line):
        found = LINE.fullmatch(line)
        with self.lock:
            if not found:
                self.faults.append(f"a line that nobody pushed: {line[:80]!r}")
                return
            at, number, pusher = map(int, found.groups())
            if at >= self.pushed.get((pusher, number), 0):
                self.faults.append(f"a line that nobody pushed: {line[:80]!r}")
            key = "lines stored" if (pusher, number, at) not in self.stored else "lines stored twice"
            self.counts[key] = self.counts.get(key, 0) + 1
            self.stored.add((pusher, number, at))

    def lost(self):
        """Lines of pushes that were answered with 200, and are not in the store."""
        return [
            (*push, at)
            for push, lines in self.answered.items()
            for at in range(lines)
            if (*push, at) not in self.stored
        ]


def push(port, pusher, ledger, stop):
    """Ordinary pushes, one after the other; one that fails is not pushed again."""
    seeded, client, number = random.Random(pusher), None, 0
    while not stop.is_set():
        client = client or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        lines = seeded.randint(1, LINES_MAX)
        body = "".join(f'spool_value{{at="{at}"}} 1\n' for at in range(lines))
        number += 1
        ledger.begin((pusher, number), lines)
        try:
            client.request("PUT", f"/metrics/job/soak/pusher/{pusher}/push/{number}", body)
            status = client.getresponse()
            status.read()
            status = status.status
        except (OSError, http.client.HTTPException):
            client.close()
            client = None
            ledger.count("pushes without an answer")
            stop.wait(0.02)
            continue
        ledger.count(f"pushes answered {status}")
        if status == 200:
            ledger.answer((pusher, number), lines)
        elif status == 503:
            stop.wait(0.01)
        else:
            ledger.faults.append(f"push {pusher}/{number} was answered {status}")


def change_moods(store, ledger, stop, seeded):
    """Good days and bad days."""
    while not stop.is_set():
        mood = seeded.choices(moody_store.MOODS, [5, 2, 2, 3])[0]
        store.be(mood)
        ledger.count(f"times that the store {'was ' if mood in ('busy', 'away') else ''}{mood}")
        stop.wait(seeded.uniform(0.2, 3))
    store.be("takes")


def fill_disk(disk, ledger, stop, seeded):
    """Takes all the room that there is, now and then, for a moment."""
    filler = disk / "filler"
    while not stop.wait(seeded.uniform(2, 6)):
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(64 << 10))
        ledger.count("times that the disk was full")
        stop.wait(seeded.uniform(0.3, 1.5))
        filler.unlink(missing_ok=True)
    filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder):
    """A file system of its own for the spool; none, with a word, where this machine does not let us."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        print(f"soak: the disk is never full, as it cannot be mounted: {mounted.stderr.strip()}")
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


class Pushline:
    """The process, and the ones after it."""

    def __init__(self, binary, config, port, log):
        self.binary, self.config, self.port, self.log = binary, config, port, log
        self.process = None

    def start(self):
        with self.log.open("a") as errors:
            self.process = subprocess.Popen([self.binary, "--config", self.config], stderr=errors)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("/-/healthy")
                return
            except OSError:
                time.sleep(0.005)
        self.process.kill()
        sys.exit(f"soak: pushline did not start:\n{self.log.read_text()[-2000:]}")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def figure(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.get("/metrics"), re.MULTILINE)[1])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def disturb(kills, binary, folder, seed):
    seeded, ledger, stop = random.Random(seed), Ledger(), threading.Event()
    store = moody_store.MoodyStore(ledger.line)
    port = free_port()
    with small_disk(folder) as disk:
        spool = (disk or folder) / "spool"
        config = folder / "pushline.toml"
        config.write_text(OPTIONS.format(port=port, store=store.port, spool=spool))
        pushline = Pushline(binary, config, port, folder / "log")
        pushline.start()
        work = [(push, (port, pusher, ledger)) for pusher in range(PUSHERS)]
        weather = [(change_moods, (store, ledger))]
        if disk:
            weather.append((fill_disk, (disk, ledger)))
        threads = [threading.Thread(target=one, args=(*given, stop)) for one, given in work]
        threads += [
            threading.Thread(target=one, args=(*given, stop, random.Random(seed + at)))
            for at, (one, given) in enumerate(weather)
        ]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(seeded.uniform(0.02, 1.2))
            if pushline.process.poll() is not None:
                ledger.faults.append(f"pushline ended by itself with {pushline.process.returncode}")
            pushline.kill()
            ledger.count("kills")
            pushline.start()
        stop.set()
        for thread in threads:
            thread.join()
        settle(pushline, ledger)
    return ledger, (folder / "log").read_text()


def settle(pushline, ledger):
    """Waits until the store has everything, then ends the process."""
    deadline = time.monotonic() + 120
    while pushline.figure("pushline_spool_lines") or pushline.figure("pushline_queue_batches"):
        if time.monotonic() > deadline:
            ledger.faults.append("the spool is not empty after 120 s with a store that takes all")
            break
        time.sleep(0.1)
    ledger.count("records lost to damage", int(pushline.figure("pushline_spool_damaged_records_total")))
    pushline.process.terminate()
    if status := pushline.process.wait(30):
        ledger.faults.append(f"pushline ended with {status} after SIGTERM")


def run(kills, binary):
    seed = random.randrange(1 << 30)
    print(f"soak: seed {seed}")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        ledger, log = disturb(kills, binary, pathlib.Path(folder), seed)
    lost = ledger.lost()
    ledger.counts["lines answered 200"] = sum(ledger.answered.values())
    ledger.counts["lines lost"] = len(lost)
    ledger.counts.setdefault("lines stored twice", 0)
    for what, count in sorted(ledger.counts.items()):
        print(f"{count:>12,}  {what}")
    print(f"{len(ledger.faults):>12,}  faults")
    for text in ledger.faults[:20]:
        print(f"soak: {text}")
    for line in lost[:20]:
        print(f"soak: line {line} was answered 200 and is not in the store")
    for line in [line for line in log.splitlines() if "panic" in line][:5]:
        print(f"soak: {line}")
    if not ledger.answered or not ledger.counts.get("kills"):
        sys.exit("soak: nothing was tried")
    return 1 if ledger.faults or lost or "panic" in log else 0
