"""The pattern of scripts/examples/scale-out, with its own files: one of each is killed under load.

    python3 tests/soak/scale_out.py PUSHLINE

HAProxy, three pushlines with a spool each, vmauth and two victoria-metrics. In the end every line of every push that
was answered with 200 has to be in a store. VictoriaMetrics keeps in memory for a moment what it has acknowledged, and
loses that when it is killed. So a witness stands between vmauth and the store that is killed, and notes the lines that
this store itself answered 2xx for: what is missing is its own loss only where it said in its last seconds that it had
it. Status 77: a program is missing.
"""

import gzip
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "scripts/examples/scale-out"
PUSHERS, SECONDS = 6, 24
# How long VictoriaMetrics may keep in memory what it has acknowledged: ten seconds were seen with 1.79.
STORE_MEMORY_S = 15
# How long it may take until a line that a store has can be found.
VISIBLE_S = 30
LINE = re.compile(rb"scale,job=scale,push=(\d+),pusher=(\d+) out=1 ")


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


class Witness:
    """Passes requests on to a store as they are, and notes when it answered 2xx for each push in them."""

    def __init__(self, port, store_port):
        self.store_port, self.acknowledged = store_port, {}
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                witness.pass_on(self)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads, request_queue_size = True, 64

            def handle_error(self, *_):
                pass  # A peer that is killed is what this is about.

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def pass_on(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        store = http.client.HTTPConnection("127.0.0.1", self.store_port, timeout=30)
        try:
            store.request("POST", request.path, body, dict(request.headers))
            answer = store.getresponse()
            text, now = answer.read(), time.time()
        except (OSError, http.client.HTTPException):
            # As the store does: no answer.
            request.close_connection = True
            return
        finally:
            store.close()
        if answer.status // 100 == 2:
            lines = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
            for push, pusher in LINE.findall(lines):
                self.acknowledged[int(pusher), int(push)] = now
        request.send_response(answer.status)
        if answer.status != 204:
            request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)


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
    """Every program, by its name; the files are the example's, with other ports, and a witness before store 0."""
    entry, auth, seen, *rest = ports
    lines, stores = rest[:3], rest[3:]
    for file in EXAMPLE.iterdir():
        text = file.read_text()
        for standard, port in zip((8427, 8428, 8429), (auth, seen, stores[1]), strict=True):
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
    return programs, lines, stores, Witness(seen, stores[0])


def found(answered, stores, excused):
    """What the stores have, once all that was answered is there but what is excused, or does not come in time: a line
    that a store has just taken cannot be found at once."""
    deadline = time.monotonic() + VISIBLE_S
    while True:
        points = stored(stores)
        if all(key in points or key in excused for key in answered) or time.monotonic() > deadline:
            return points
        time.sleep(0.5)


def run(pushline, folder):
    """What was answered 200 and when; what is stored; what the killed store had said in its last seconds to have."""
    ports = free_ports(8)
    programs, lines, stores, witness = begin(pushline, folder, ports)
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
        # What the witness heard a moment later, it was told before: the store answers again after 2 s.
        window = killed_at - STORE_MEMORY_S, killed_at + 1
        in_memory = {key for key, at in witness.acknowledged.items() if window[0] < at < window[1]}
        points = found(answered, stores, in_memory)
        for key in sorted((key for key in answered if key not in points and key not in in_memory), key=answered.get)[:5]:
            seen = witness.acknowledged.get(key)
            told = f"store 0 took it {killed_at - seen:.2f} s before it was killed" if seen else "store 0 never had it"
            print(f"scale-out: push {key}, answered {killed_at - answered[key]:.2f} s before that, is in no store; {told}")
        return answered, points, in_memory
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
        answered, points, in_memory = run(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder))
    missing = {key for key in answered if key not in points}
    own_loss, lost = missing & in_memory, missing - in_memory
    print(f"{len(answered):>8,}  pushes answered 200")
    print(f"{sum(count > 1 for count in points.values()):>8,}  stored as more than one point")
    print(f"{len(own_loss):>8,}  lost by the store that was killed, which had answered 2xx for them in its last seconds")
    print(f"{len(lost):>8,}  lost")
    return 1 if lost or len(answered) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
