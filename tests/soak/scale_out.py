"""The pattern of scripts/examples/scale-out, with its own files: one of each is killed under load.

    python3 tests/soak/scale_out.py PUSHLINE

HAProxy, three pushlines with a spool each, vmauth and two victoria-metrics. In the end every line of every push that
was answered with 200 has to be in a store. VictoriaMetrics keeps in memory for a moment what it has acknowledged: what
it loses of its last seconds when it is killed is its own loss, and is told apart. Status 77: a program is missing.
"""

import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "scripts/examples/scale-out"
PUSHERS, SECONDS = 6, 24
# How long VictoriaMetrics may keep in memory what it has acknowledged.
STORE_MEMORY_S = 10


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


class Program:
    """A process that can be killed and begun anew."""

    def __init__(self, command, port, environment=None, folder=None):
        self.command, self.port, self.folder = command, port, folder
        self.environment = dict(os.environ, **(environment or {}))
        self.start()

    def start(self):
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command, env=self.environment, cwd=self.folder, stdin=quiet, stdout=quiet, stderr=quiet
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"scale-out: {self.command[0]} did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()


def push(port, pusher, answered, stop):
    """Each push is one line with a series of its own; `answered` has when it was answered with 200."""
    number = 0
    while not stop.is_set():
        number += 1
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            client.request("PUT", f"/metrics/job/scale/pusher/{pusher}/push/{number}", "scale_out 1\n")
            status = client.getresponse().status
        except (OSError, http.client.HTTPException):
            stop.wait(0.05)
            continue
        finally:
            client.close()
        if status == 200:
            answered[pusher, number] = time.time()
        else:
            stop.wait(0.02)


def stored(ports):
    """What the stores have: each push, and how many points it is."""
    points = {}
    for port in ports:
        get(port, "/internal/force_flush")
        for line in get(port, "/api/v1/export?match[]=scale_out").splitlines():
            series = json.loads(line)
            key = int(series["metric"]["pusher"]), int(series["metric"]["push"])
            points[key] = points.get(key, 0) + len(set(series["timestamps"]))
    return points


def waiting(port):
    """Lines that wait in a pushline's spool, and pushes in its queue."""
    names = ("pushline_spool_lines ", "pushline_queue_batches ")
    return sum(float(line.split()[1]) for line in get(port, "/metrics").splitlines() if line.startswith(names))


def begin(pushline, folder, ports):
    """Every program, by its name; the files are the example's, with other ports."""
    entry, auth, *rest = ports
    lines, stores = rest[:3], rest[3:]
    for file in EXAMPLE.iterdir():
        text = file.read_text()
        for standard, port in zip((8427, 8428, 8429), (auth, *stores), strict=True):
            text = text.replace(f":{standard}/", f":{port}/")
        (folder / file.name).write_text(text)
    credential = folder / "auth"
    credential.touch(mode=0o600)
    credential.write_text("basic pushline:secret\n")
    programs = {}
    for at, port in enumerate(stores):
        flags = [f"-storageDataPath={folder}/vm-{at}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
        programs[f"store {at}"] = Program(["victoria-metrics", *flags], port)
    flags = [f"-auth.config={folder}/vmauth.yml", f"-httpListenAddr=127.0.0.1:{auth}"]
    programs["vmauth"] = Program(["vmauth", *flags], auth)
    for at, port in enumerate(lines):
        own = {"PUSHLINE_SERVER_LISTEN": f"127.0.0.1:{port}", "PUSHLINE_SPOOL_DIR": f"{folder}/spool-{at}"}
        programs[f"pushline {at}"] = Program([pushline, "--config", folder / "pushline.toml"], port, own, folder)
    own = {"PUSH_PORT": str(entry)} | {f"PUSHLINE_{at + 1}": str(port) for at, port in enumerate(lines)}
    programs["haproxy"] = Program(["haproxy", "-f", folder / "haproxy.cfg"], entry, own)
    return programs, lines, stores


def run(pushline, folder):
    ports = free_ports(7)
    programs, lines, stores = begin(pushline, folder, ports)
    answered, stop, killed_at = {}, threading.Event(), 0
    pushers = [threading.Thread(target=push, args=(ports[0], at, answered, stop)) for at in range(PUSHERS)]
    for thread in pushers:
        thread.start()
    try:
        for name in ("pushline 1", "vmauth", "store 0", "haproxy"):
            time.sleep(SECONDS / 6)
            programs[name].kill()
            killed_at = time.time() if name == "store 0" else killed_at
            print(f"scale-out: {name} is killed, {len(answered)} pushes are answered 200 so far")
            time.sleep(SECONDS / 12)
            programs[name].start()
        time.sleep(SECONDS / 6)
        stop.set()
        for thread in pushers:
            thread.join()
        deadline = time.monotonic() + 60
        while any(waiting(port) for port in lines):
            if time.monotonic() > deadline:
                sys.exit("scale-out: a spool is not empty after 60 s with all stores there")
            time.sleep(0.1)
        return answered, stored(stores), killed_at
    finally:
        stop.set()
        for program in programs.values():
            program.kill()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    for program in ("haproxy", "vmauth", "victoria-metrics"):
        if not shutil.which(program):
            print(f"there is no {program}")
            return 77
    with tempfile.TemporaryDirectory(prefix="scale-out-") as folder:
        answered, points, killed_at = run(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
    missing = {key: at for key, at in answered.items() if key not in points}
    own_loss = {key for key, at in missing.items() if killed_at - STORE_MEMORY_S < at < killed_at + 0.5}
    lost = set(missing) - own_loss
    print(f"{len(answered):>8,}  pushes answered 200")
    print(f"{sum(count > 1 for count in points.values()):>8,}  stored as more than one point")
    print(f"{len(own_loss):>8,}  acknowledged by the killed store in its last seconds, and lost by it")
    print(f"{len(lost):>8,}  lost")
    for key in sorted(lost, key=missing.get)[:3]:
        print(f"scale-out: push {key} was answered {killed_at - missing[key]:.1f} s before the store was killed")
    return 1 if lost or len(answered) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
