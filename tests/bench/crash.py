"""pushline with a spool and vmagent through one outage: their store goes away in order for 30 s, and both are killed
with -9 in the middle of it and started again at once. Each line is a point of its own, so what is lost and what is
stored twice can be counted.
"""

import atexit
import dataclasses
import http.client
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request

import programs
from servers import free_port

PUSHERS, PAUSE_S = 4, 0.002
AT_FIRST_S, AWAY_S, AFTERWARDS_S = 4, 30, 4
PATIENCE_S = 90
BASE_MS = 1_700_000_000_000


@dataclasses.dataclass
class Outcome:
    """Of the lines of one agent."""

    acknowledged: int
    lost: int
    doubled: int


class Process:
    """A process that can be ended, killed and begun anew on the same port."""

    def __init__(self, port, command, environment=()):
        self.port, self.command = port, command
        self.environment = dict(os.environ, **dict(environment))
        self.begin()

    def begin(self):
        self.process = subprocess.Popen(self.command, env=self.environment, **programs.QUIET)
        atexit.register(self.process.kill)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return get(self.port, "/metrics")
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"bench: {self.command[0]} did not start") from None
            time.sleep(0.02)

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Agent(Process):
    """An agent, who pushes to it, and which lines it acknowledged."""

    def __init__(self, name, port, path, command, environment=()):
        self.name, self.path = name, path
        self.acknowledged, self.lock, self.is_over = set(), threading.Lock(), threading.Event()
        super().__init__(port, command, environment)
        self.pushers = [threading.Thread(target=self.push, args=(at,)) for at in range(PUSHERS)]

    def push(self, pusher):
        number = 0
        while not self.is_over.wait(PAUSE_S):
            number += 1
            body = f'{self.name}{{pusher="{pusher}"}} {number} {BASE_MS + number}\n'
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                client.request("POST", self.path, body)
                status = client.getresponse().status
            except (OSError, http.client.HTTPException):
                continue
            finally:
                client.close()
            if status // 100 == 2:
                with self.lock:
                    self.acknowledged.add((pusher, number))

    def outcome(self, store_port):
        """Once all that it acknowledged is stored, or nothing more comes."""
        deadline, missing = time.monotonic() + PATIENCE_S, None
        while True:
            points = stored(store_port, self.name)
            before, missing = missing, len(self.acknowledged - points.keys())
            # What an agent keeps it sends within its longest pause, which is a minute.
            if not missing or before == missing and time.monotonic() > deadline:
                doubled = sum(count > 1 for count in points.values())
                return Outcome(len(self.acknowledged), missing, doubled)
            time.sleep(1)


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def stored(port, name):
    """How many points the store has of each line."""
    get(port, "/internal/force_flush")
    points = {}
    names = f"%7B__name__%3D~%22{name}.%2A%22%7D"
    for line in get(port, f"/api/v1/export?match[]={names}").splitlines():
        series = json.loads(line)
        for value in series["values"]:
            key = int(series["metric"]["pusher"]), int(value)
            points[key] = points.get(key, 0) + 1
    return points


def run(pushline, folder):
    """What became of the lines of pushline and of vmagent."""
    port = free_port()
    flags = [f"-storageDataPath={folder}/store", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    store = Process(port, ["victoria-metrics", *flags])
    (folder / "spool").mkdir()
    own = {"PUSHLINE_OUTPUT_TARGET": f"http://127.0.0.1:{port}/write", "PUSHLINE_SPOOL_DIR": f"{folder}/spool"}
    own["PUSHLINE_SERVER_LISTEN"] = f"127.0.0.1:{free_port()}"
    pushline = Agent("pushline", int(own["PUSHLINE_SERVER_LISTEN"].split(":")[1]), "/metrics/job/crash", [pushline], own)
    at = free_port()
    flags = [f"-httpListenAddr=127.0.0.1:{at}", f"-remoteWrite.url=http://127.0.0.1:{port}/api/v1/write"]
    vmagent = Agent("vmagent", at, "/api/v1/import/prometheus", ["vmagent", *flags, f"-remoteWrite.tmpDataPath={folder}/agent"])
    agents = pushline, vmagent
    pushers = [pusher for agent in agents for pusher in agent.pushers]
    for pusher in pushers:
        pusher.start()
    time.sleep(AT_FIRST_S)
    store.end()
    time.sleep(AWAY_S / 2)
    for agent in agents:
        agent.kill()
        agent.begin()
    time.sleep(AWAY_S / 2)
    store.begin()
    time.sleep(AFTERWARDS_S)
    for agent in agents:
        agent.is_over.set()
    for pusher in pushers:
        pusher.join()
    outcomes = [agent.outcome(port) for agent in agents]
    for process in (*agents, store):
        process.kill()
    return outcomes
