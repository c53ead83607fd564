"""Pushes numbered lines for some minutes through pushline into a store that has bad days. At the end every line of a
push that got 200 must be in the store, every line of one that got 422 in the store or among the rejected ones, and no
line that was not pushed anywhere.

A push that got 503, or no answer, may be in the store or not.
"""
import collections
import http.client
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import stores

PUSHERS, LINES_MAX = 32, 40
# How many of a hundred pushes have a line that the store refuses.
BAD_PUSHES = 5
UNSURE, ACKNOWLEDGED, PARTLY = 1, 2, 3
OPTIONS = """[server]
listen = ["127.0.0.1:{port}"]
[output]
target = "{url}"
ack_timeout = "4s"
drain_timeout = "60s"
[output.http]
timeout = "1s"
[output.rejected]
file = "{folder}/rejected"
max_bytes = "1GiB"
[log]
level = "error"
"""


class Pusher:
    """Pushes over one connection, and remembers what it was told of each of its lines."""

    def __init__(self, name, port, bad):
        self.name, self.port, self.bad = name, port, bad
        self.told, self.told_at, self.answers = bytearray(), {}, collections.Counter()
        self.bad_numbers, self.faults = set(), []

    def run(self, stop):
        seeded, client = random.Random(self.name), http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        path = f"/metrics/job/soak/pusher/{self.name}"
        while not stop.is_set():
            numbers = range(len(self.told), len(self.told) + seeded.randint(1, LINES_MAX))
            self.told.extend([UNSURE] * len(numbers))
            body = "".join(f"soak_value {number} {stores.BASE_MS + number}\n" for number in numbers)
            bad = None
            if self.bad and seeded.randrange(100) < BAD_PUSHES:
                bad = seeded.choice(numbers)
                self.bad_numbers.add(bad)
                good = f"soak_value {bad} {stores.BASE_MS + bad}\n"
                body = body.replace(good, self.bad.format(pusher=self.name, number=bad, ms=stores.BASE_MS + bad))
            try:
                client.request("POST", path, body)
                answer = client.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                client.close()
                self.answers["no answer"] += 1
                stop.wait(0.1)
                continue
            self.answers[answer.status] += 1
            self.note(answer.status, numbers, bad, text)
            stop.wait(0.02 if answer.status != 503 else 0.2)

    def note(self, status, numbers, bad, text):
        if status == 200 and bad is not None:
            self.faults.append(f"a push with a bad line got 200: {self.name} {bad}")
        elif status not in (200, 422, 503):
            self.faults.append(f"{status}: {text[:200]}")
        told = {200: ACKNOWLEDGED, 422: PARTLY}.get(status, UNSURE)
        self.told[numbers.start:numbers.stop] = bytes([told]) * len(numbers)
        self.told_at[numbers.start] = time.monotonic()


def rejected_numbers(folder, store):
    """(pusher, number) of each line that was rejected, with the lines that nobody can have pushed."""
    rejected, foreign = collections.Counter(), []
    for name in ("rejected.1", "rejected"):
        path = folder / name
        for line in path.read_bytes().splitlines() if path.exists() else ():
            if line.startswith(b"#"):
                continue
            found = re.fullmatch(rb"(?:soak|soakint)(?:,bad=yes)?,job=soak,pusher=(\d+) value=(\d+) \d+", line)
            if found:
                rejected[int(found[1]), int(found[2])] += 1
            else:
                foreign.append(line[:100])
    return rejected, foreign


def check(pushers, taken, rejected, store):
    """What is wrong, and what was counted."""
    faults, counts = [], collections.Counter()
    kills, within_s = getattr(store, "kills", []), getattr(store, "keeps_what_it_answered_within_s", 0)
    for pusher in pushers:
        faults += pusher.faults
        told_at = 0
        for number, told in enumerate(pusher.told):
            told_at = pusher.told_at.get(number, told_at)
            in_store, in_rejected = taken.count(pusher.name, number), rejected[pusher.name, number]
            what = f"line {number} of pusher {pusher.name}"
            counts["lines pushed"] += 1
            counts["lines in the store"] += in_store > 0
            counts["lines rejected"] += in_rejected > 0
            counts["lines in the store more than once"] += in_store > 1
            if in_rejected > 1:
                faults.append(f"{what} was rejected {in_rejected} times")
            # More bad lines in one block than requests may be spent on: what was still together went together.
            counts["good lines rejected together with bad ones"] += in_rejected > 0 and number not in pusher.bad_numbers
            if in_rejected and told == ACKNOWLEDGED:
                faults.append(f"{what} got 200 and was rejected")
            if in_store and number in pusher.bad_numbers:
                faults.append(f"{what} is bad and is in the store")
            if told == UNSURE:
                counts["lines of pushes that got no 200 or 422"] += 1
            elif not in_store and not in_rejected:
                if any(-within_s < told_at - kill < 1 for kill in kills) and within_s:
                    counts["lines that the store had answered and lost when it was killed"] += 1
                else:
                    counts["lines LOST"] += 1
                    faults.append(f"{what} got {'200' if told == ACKNOWLEDGED else '422'} and is nowhere")
        extra = [number for number, count in enumerate(taken.counts[pusher.name]) if count and number >= len(pusher.told)]
        faults += [f"line {number} of pusher {pusher.name} was never pushed" for number in extra]
    faults += [f"nobody pushed {line}" for line in taken.foreign]
    return faults, counts


def listening(port, process):
    def is_there():
        if process.poll() is not None:
            raise SystemExit(f"soak: pushline ended with {process.returncode}")
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/-/healthy")
        return client.getresponse().status == 200
    stores.wait_for("pushline", is_there)


def soak(minutes, binary, folder, store):
    port, config = stores.free_port(), folder / "pushline.toml"
    store.start()
    config.write_text(OPTIONS.format(port=port, url=store.url(), folder=folder))
    process = subprocess.Popen([binary, "--config", config])
    store.on_mended = lambda: process.send_signal(signal.SIGHUP)
    stop = threading.Event()
    try:
        listening(port, process)
        bad = getattr(store, "BAD", 'soak_value{{bad="yes"}} {number} {ms}\n')
        pushers = [Pusher(name, port, bad) for name in range(PUSHERS)]
        threads = [threading.Thread(target=pusher.run, args=(stop,)) for pusher in pushers]
        for thread in threads:
            thread.start()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.1)
        # The store is well again before the end, which has a time; pushes go on until the process is gone.
        store.calm()
        process.send_signal(signal.SIGTERM)
        status = process.wait(90)
        stop.set()
        for thread in threads:
            thread.join()
        taken = store.finish()
    finally:
        stop.set()
        process.kill()
        getattr(store, "stop", lambda: None)()
    rejected, foreign = rejected_numbers(folder, store)
    faults, counts = check(pushers, taken, rejected, store)
    faults += [f"nobody pushed what was rejected: {line}" for line in foreign]
    if status:
        faults.append(f"pushline ended with {status} after SIGTERM")
    for pusher in pushers:
        counts.update({f"pushes answered {status}": count for status, count in pusher.answers.items()})
    if not counts["pushes answered 200"]:
        faults.append("no push got 200")
    counts["lines LOST"] += 0
    counts.update(store.describe())
    return faults, counts


def run(minutes, binary):
    """Each store in turn; returns the exit status."""
    is_good = True
    for make, needs in ((lambda _: stores.Scripted(), None), (stores.InfluxDB, "influxd"),
                        (stores.VictoriaMetrics, "victoria-metrics")):
        name = getattr(make, "__name__", "").replace("<lambda>", "a store by a script")
        if needs and not shutil.which(needs):
            print(f"\n== {name}: SKIPPED, there is no {needs}")
            continue
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            faults, counts = soak(minutes, binary, Path(folder), make(Path(folder)))
        print(f"\n== {name}, {minutes:g} minutes")
        for what, count in sorted(counts.items()):
            print(f"{count:>12,}  {what}")
        print(f"{len(faults):>12,}  faults")
        for text in faults[:20]:
            print(f"soak: {text}")
        is_good = is_good and not faults
    return 0 if is_good else 1
