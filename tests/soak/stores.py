"""Stores for a soak: one that misbehaves by a script, and real ones that are killed and started again.

Every line carries the name of its pusher and a number that nobody else has: `soak,job=soak,pusher=7 value=123 …`. A
store tells how often it has each of them.
"""
import collections
import gzip
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

PATIENCE_S = 60
LINE = re.compile(rb"soak(?:,bad=(yes))?,job=soak,pusher=(\d+) value=(\d+) (\d+)")
BASE_MS = 1_700_000_000_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, is_there):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if is_there():
                return
        except (OSError, http.client.HTTPException):
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"soak: {what} did not come")
        time.sleep(0.05)


class Taken:
    """How often each line is in a store."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.defaultdict(bytearray)
        self.foreign = []

    def add(self, pusher, number):
        with self.lock:
            counts = self.counts[pusher]
            if number >= len(counts):
                counts.extend(bytes(number + 100_000 - len(counts)))
            counts[number] = min(counts[number] + 1, 255)

    def add_line(self, line):
        """Takes a line; remembers one that nobody can have pushed."""
        found = LINE.fullmatch(line)
        if not found or int(found[4]) != (BASE_MS + int(found[3])) * 1_000_000:
            self.foreign.append(line[:100])
        else:
            self.add(int(found[2]), int(found[3]))

    def count(self, pusher, number):
        counts = self.counts.get(pusher, b"")
        return counts[number] if number < len(counts) else 0


class Scripted:
    """A store that answers by turns as stores do on a bad day. Lines with the tag `bad` are refused, by turns together
    with all others of their request (DataKit) or alone (InfluxDB 1)."""

    SECONDS = {
        "204": 4, "400 partial": 2, "413": 1, "400 whole": 2, "429": 1, "500": 0.5, "503": 1, "hang": 0.1,
        "cut": 0.3, "reset": 0.3, "reset after it took": 0.3, "early": 0.3, "401": 0.5, "dead": 1.5,
    }
    TOO_LARGE = 40

    def __init__(self):
        # Called once the operator has mended what a 401 tells of: pushline is told to look again.
        self.on_mended = None
        self.taken, self.turn, self.requests = Taken(), "204", collections.Counter()
        self.port, self.connections, self.lock = free_port(), set(), threading.Lock()
        self.is_partial, self.is_over = True, False
        self.listener = None

    def start(self):
        self.listen()
        threading.Thread(target=self.take_turns, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.port}/write?db=soak"

    def listen(self):
        def is_there():
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            return True
        # The one before may still be in the hands of its thread.
        wait_for("a free port", is_there)
        listener = self.listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def take_turns(self):
        random_order = random.Random(1)
        while not self.is_over:
            names = list(self.SECONDS)
            random_order.shuffle(names)
            for name in names:
                # Between two bad turns the store is well for a while, so that much gets through.
                for turn, seconds in (("204", 1), (name, self.SECONDS[name])):
                    self.begin(turn)
                    deadline = time.monotonic() + seconds
                    while time.monotonic() < deadline and not self.is_over:
                        time.sleep(0.02)
        self.begin("204")

    def begin(self, turn):
        before, self.turn = self.turn, turn
        if before == "401" and self.on_mended:
            self.on_mended()
        if turn.startswith("400"):
            self.is_partial = turn.endswith("partial")
        if turn == "dead":
            self.listener.close()
            # A blocked accept keeps the port until somebody comes.
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                pass
            with self.lock:
                for connection in self.connections:
                    self.close(connection)
        elif before == "dead":
            self.listen()

    @staticmethod
    def close(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def serve(self, connection):
        unread = b""
        try:
            while True:
                while b"\r\n\r\n" not in unread:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    unread += piece
                head, unread = unread.split(b"\r\n\r\n", 1)
                if self.turn == "early":
                    self.requests["413 before the body"] += 1
                    self.answer(connection, 413)
                    return
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                while len(unread) < length:
                    piece = connection.recv(1 << 20)
                    if not piece:
                        return
                    unread += piece
                body, unread = unread[:length], unread[length:]
                if b"gzip" in head:
                    body = gzip.decompress(body)
                if not self.act(connection, body.splitlines()):
                    return
        except OSError:
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)
            self.close(connection)

    def act(self, connection, lines):
        """Does what it is the turn of; returns whether the connection goes on."""
        turn = self.turn
        self.requests[turn] += 1
        bad = [line for line in lines if line.startswith(b"soak,bad=")]
        if turn in ("401", "429", "500", "503"):
            self.answer(connection, int(turn), "Retry-After: 1\r\n" if turn == "429" else "")
        elif turn == "413" and len(lines) > self.TOO_LARGE:
            self.answer(connection, 413)
        elif turn == "hang":
            while self.turn == "hang" and not self.is_over:
                time.sleep(0.01)
            time.sleep(1.2)
            return False
        elif turn == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return False
        elif turn == "dead":
            return False
        elif bad and not self.is_partial:
            self.answer(connection, 400, "", '{"error":"a bad line"}')
        else:
            for line in lines:
                if line not in bad:
                    self.taken.add_line(line)
            if turn == "cut":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut")
                return False
            if turn == "reset after it took":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return False
            if bad:
                self.answer(connection, 400, "", json.dumps({"error": f"partial write: bad dropped={len(bad)}"}))
            else:
                self.answer(connection, 204)
        return True

    @staticmethod
    def answer(connection, status, headers="", body=""):
        connection.sendall(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}".encode())

    def calm(self):
        """Is well from here on."""
        self.is_over = True

    def finish(self):
        return self.taken

    def describe(self):
        return {f"requests at the turn {turn}": count for turn, count in sorted(self.requests.items())}


class Real:
    """A real store, killed now and then while lines come, and started again at once."""

    KILL_EVERY_S = 8

    def __init__(self, folder):
        self.folder, self.port, self.rpc = folder, free_port(), free_port()
        self.process, self.kills, self.is_over, self.thread = None, [], False, None

    def start(self):
        self.spawn()
        self.prepare()
        self.thread = threading.Thread(target=self.kill_now_and_then, daemon=True)
        self.thread.start()

    def spawn(self):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the store", lambda: self.get(self.ALIVE) is not None)

    def kill_now_and_then(self):
        due = time.monotonic() + self.KILL_EVERY_S
        while not self.is_over:
            time.sleep(0.05)
            if time.monotonic() > due:
                self.kills.append(time.monotonic())
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                self.spawn()
                due = time.monotonic() + self.KILL_EVERY_S

    def get(self, path, data=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout=PATIENCE_S) as answer:
            return answer.read()

    def calm(self):
        self.is_over = True
        self.thread.join()

    def describe(self):
        return {"kills of the store": len(self.kills)}

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class InfluxDB(Real):
    """InfluxDB 1: what it has answered survives a kill."""

    ALIVE = "/ping"
    # It refuses what is not of the type of the field, and takes the other lines of the request.
    BAD = 'soakint_value{{pusher="{pusher}"}} {number} {ms}\n'
    keeps_what_it_answered_within_s = 0

    def command(self):
        config = self.folder / "influxdb.conf"
        config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{self.rpc}"
[meta]
dir = "{self.folder}/meta"
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
""")
        return ["influxd", "-config", config]

    def prepare(self):
        self.get("/query", urllib.parse.urlencode({"q": "CREATE DATABASE soak"}).encode())
        # In the shard of the lines: types of fields are a shard's.
        self.get("/write?db=soak", f"soakint value=1i {BASE_MS}000000".encode())

    def url(self):
        return f"http://127.0.0.1:{self.port}/write?db=soak"

    def finish(self):
        taken = Taken()
        query = {"db": "soak", "epoch": "ms", "chunked": "true", "q": "SELECT value FROM soak GROUP BY pusher"}
        for answer in self.get(f"/query?{urllib.parse.urlencode(query)}").splitlines():
            for series in json.loads(answer)["results"][0].get("series", ()):
                for ms, value in series["values"]:
                    if ms != BASE_MS + int(value):
                        taken.foreign.append(f"{series['tags']} {ms} {value}")
                    taken.add(int(series["tags"]["pusher"]), int(value))
        return taken


class VictoriaMetrics(Real):
    """VictoriaMetrics answers before it has lines on the disk: a kill loses those of the last seconds, whatever a client
    does."""

    ALIVE = "/health"
    BAD = None
    KILL_EVERY_S = 45
    keeps_what_it_answered_within_s = 15

    def command(self):
        return ["victoria-metrics", f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-search.maxUniqueTimeseries=1000", "-loggerLevel=ERROR"]

    def prepare(self):
        pass

    def url(self):
        return f"http://127.0.0.1:{self.port}/write"

    def finish(self):
        self.get("/internal/force_flush")
        taken = Taken()
        for line in self.get("/api/v1/export?match[]=soak_value").splitlines():
            series = json.loads(line)
            for value, ms in zip(series["values"], series["timestamps"]):
                if ms != BASE_MS + int(value):
                    taken.foreign.append(f"{series['metric']} {ms} {value}")
                taken.add(int(series["metric"]["pusher"]), int(value))
        return taken
