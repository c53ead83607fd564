"""Starts a real consumer on loopback, feeds it the golden vectors through pushline, and queries every value back:
run.py influxdb|victoriametrics"""

import base64
import functools
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PUSHLINE = TARGET / "debug/pushline"
PATIENCE_S = 60

# Times from here on are those of a push: they differ between the store and the copy for the comparison.
PUSH_TIME_NS = 1_710_000_000_000_000_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return answer.read().decode()


def wait_for(what, is_there):
    """Waits for an event, not for a time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if is_there():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.05)


def vectors():
    """The golden pushes that succeed with the default options: path, headers, body."""
    for file in sorted((ROOT / "tests/golden").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            case = json.loads(line)
            is_framed = "framed" in case or "Content-Length" in case["headers"]
            if not is_framed and case["status"] == 200 and case["method"] in ("PUT", "POST") and not case["options"]:
                body = base64.b64decode(case["body_b64"]) if "body_b64" in case else case["body"].encode()
                path = urllib.parse.quote(case["path"].encode("latin-1"), safe="/%?=&+@:;,!$'()*~-._")
                yield path, case["headers"], body * case.get("repeat", 1)


class Pushline:
    """A process with this output; its lines are also kept in a file."""

    def __init__(self, environment, stdout):
        self.port = free_port()
        environment = dict(os.environ, PUSHLINE_SERVER_LISTEN=f"127.0.0.1:{self.port}", **environment)
        self.process = subprocess.Popen([PUSHLINE], env=environment, stdout=stdout, stderr=subprocess.DEVNULL)
        wait_for("pushline", lambda: get(f"http://127.0.0.1:{self.port}/-/healthy"))

    def push(self, path, headers, body):
        headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
        headers.setdefault("Content-Type", "text/plain")
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method="POST")
        try:
            urllib.request.urlopen(request, timeout=PATIENCE_S).close()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} got {error.code}: {error.read().decode()}") from None

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0


def unescape(text):
    return re.sub(r"\\([,= ])", r"\1", text)


def written(path):
    """(measurement, tags, field, time) → the values that pushline wrote for it."""
    points = {}
    for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        head, fields, timestamp = re.split(r"(?<!\\) ", line)
        measurement, *tags = re.split(r"(?<!\\),", head)
        pairs = [tuple(map(unescape, re.split(r"(?<!\\)=", tag))) for tag in tags]
        for field in re.split(r"(?<!\\),", fields):
            key, value = re.split(r"(?<!\\)=", field)
            place = unescape(measurement), frozenset(pairs), unescape(key), int(timestamp)
            points.setdefault(place, []).append(float(value))
    return points


def influxdb(folder):
    http, rpc = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
max-values-per-tag = 0
[http]
bind-address = "127.0.0.1:{http}"
log-enabled = false
""")
    base = f"http://127.0.0.1:{http}"
    server = subprocess.Popen(["influxd", "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("InfluxDB", lambda: urllib.request.urlopen(f"{base}/ping").status == 204)
        query = urllib.parse.urlencode({"q": "CREATE DATABASE golden WITH DURATION INF"})
        urllib.request.urlopen(f"{base}/query", query.encode()).read()
        # The lines go to the store; the same pushes to a second pushline are the copy for the comparison.
        rejected, lines = folder / "rejected", folder / "lines"
        pushline = Pushline({"PUSHLINE_OUTPUT_TARGET": f"{base}/write?db=golden&precision=ns",
                             "PUSHLINE_OUTPUT_REJECTED_FILE": str(rejected)}, subprocess.DEVNULL)
        copy = Pushline({"PUSHLINE_OUTPUT_TARGET": f"file:{lines}"}, subprocess.DEVNULL)
        five_minutes(base)
        count = feed(pushline, copy)
        assert not rejected.exists(), f"InfluxDB refused lines: {rejected.read_text()}"
        want = {}
        for (measurement, tags, field, timestamp), values in written(lines).items():
            place = measurement, tags, field, timestamp if timestamp < PUSH_TIME_NS else None
            want.setdefault(place, []).extend(values)
        return count, want, influxdb_points(base)
    finally:
        server.terminate()
        server.wait()


def five_minutes(influxdb):
    """What the README promises a newcomer, word by word, with the addresses of here."""
    page = (ROOT / "README.md").read_text()
    section = page.split("## Five minutes to InfluxDB")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh.*?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    own = f"127.0.0.1:{free_port()}"
    places = {"127.0.0.1:8086": influxdb.removeprefix("http://"), "127.0.0.1:9091": own,
              "cargo run --release --": f"exec {PUSHLINE}"}
    serve, look = (functools.reduce(lambda text, place: text.replace(*place), places.items(), block) for block in blocks)
    environment = dict(os.environ, PUSHLINE_SERVER_LISTEN=own)
    server = subprocess.Popen(["sh", "-ec", serve], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("pushline", lambda: get(f"http://{own}/-/healthy"))
        found = subprocess.run(["sh", "-ec", look], check=True, capture_output=True, text=True).stdout
        series = json.loads(found)["results"][0]["series"][0]
        assert (series["name"], series["columns"]) == ("backup", ["time", "duration_seconds", "instance", "job"]), found
        assert series["values"][0][1:] == [42.5, "db1", "backup"], found
        print("influxdb: the README's five minutes end in a point")
    finally:
        server.terminate()
        server.wait()


def influxdb_points(base):
    query = urllib.parse.urlencode({"db": "golden", "epoch": "ns", "q": "SELECT * FROM /.*/ GROUP BY *"})
    points = {}
    for series in json.loads(get(f"{base}/query?{query}"))["results"][0]["series"]:
        tags = frozenset((key, value) for key, value in series["tags"].items() if value != "")
        for row in series["values"]:
            for key, value in zip(series["columns"][1:], row[1:]):
                if value is not None:
                    named = row[0] if row[0] < PUSH_TIME_NS else None
                    points.setdefault((series["name"], tags, key, named), []).append(float(value))
    return points


def victoriametrics(folder):
    http = free_port()
    server = subprocess.Popen(
        ["victoria-metrics", f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{http}",
         "-retentionPeriod=100y", "-maxLabelsPerTimeseries=1000", "-maxLabelValueLen=65536"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{http}"
    try:
        wait_for("VictoriaMetrics", lambda: get(f"{base}/health"))
        pushline = Pushline({"PUSHLINE_OUTPUT_TARGET": f"{base}/write"}, subprocess.DEVNULL)
        lines = folder / "lines"
        copy = Pushline({"PUSHLINE_OUTPUT_TARGET": f"file:{lines}"}, subprocess.DEVNULL)
        count = feed(pushline, copy)
        want = {}
        for (measurement, tags, field, timestamp), values in written(lines).items():
            # The time of a push differs between the two, so only times that samples named are compared.
            named = timestamp // 1_000_000 if timestamp < PUSH_TIME_NS else None
            # VictoriaMetrics keeps nothing of 1970 and no label whose name is longer than 256 bytes.
            if timestamp < 31_536_000_000_000_000 or any(len(name) > 256 for name, _ in tags):
                continue
            want.setdefault((f"{measurement}_{field}", tags, named), []).extend(values)
        total = sum(map(len, want.values()))
        wait_for("every row", lambda: rows(base, "vm_rows_inserted_total") >= total)
        assert rows(base, "vm_rows_invalid_total") == 0, "VictoriaMetrics refused a line"
        get(f"{base}/internal/force_flush")
        return count, want, victoriametrics_points(base)
    finally:
        server.terminate()
        server.wait()


def restarted_over_tcp(folder):
    """An orderly restart of VictoriaMetrics while pushline writes to it over TCP: what is older than output.replay is
    not sent again."""
    http, influx = free_port(), free_port()
    base = f"http://127.0.0.1:{http}"

    def start():
        flags = [f"-storageDataPath={folder}/tcp", f"-httpListenAddr=127.0.0.1:{http}",
                 f"-influxListenAddr=127.0.0.1:{influx}", "-retentionPeriod=100y"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(["victoria-metrics", *flags], **quiet)
        wait_for("VictoriaMetrics", lambda: get(f"{base}/health"))
        return server

    server = start()
    try:
        replay_s = 1
        pushline = Pushline({"PUSHLINE_OUTPUT_TARGET": f"tcp://127.0.0.1:{influx}",
                             "PUSHLINE_OUTPUT_REPLAY": f"{replay_s}s"}, subprocess.DEVNULL)
        for number in range(100):
            pushline.push(f"/metrics/job/old{number}", {}, b"restart_old 1\n")
        wait_for("every old row", lambda: rows(base, "vm_rows_inserted_total") == 100)
        time.sleep(2 * replay_s)
        server.terminate()
        server.wait()
        server = start()
        pushline.push("/metrics/job/new", {}, b"restart_new 1\n")
        wait_for("the new row", lambda: rows(base, "vm_rows_inserted_total") > 0)
        pushline.end()
        again = rows(base, "vm_rows_inserted_total") - 1
        assert again == 0, f"{again} rows that are older than {replay_s} s came again after a restart"
        print("victoriametrics: restarted in order, it gets nothing over TCP that is older than output.replay")
    finally:
        server.terminate()
        server.wait()


def rows(base, name):
    found = re.findall(rf'^{name}{{type="influx"}} (\S+)', get(f"{base}/metrics"), re.MULTILINE)
    return sum(map(float, found))


def victoriametrics_points(base):
    query = urllib.parse.urlencode({"match[]": '{__name__!=""}', "start": "0", "end": "9223372036"})
    points = {}
    for line in get(f"{base}/api/v1/export?{query}").rstrip("\n").split("\n"):
        series = json.loads(line)
        name = series["metric"].pop("__name__")
        tags = frozenset(series["metric"].items())
        for value, millis in zip(series["values"], series["timestamps"]):
            named = millis if millis * 1_000_000 < PUSH_TIME_NS else None
            points.setdefault((name, tags, named), []).append(float(value))
    return points


def feed(*targets):
    count = 0
    for vector in vectors():
        for pushline in targets:
            pushline.push(*vector)
        count += 1
    for pushline in targets:
        pushline.end()
    return count


def is_close(found, want):
    """VictoriaMetrics keeps decimal significands of fewer digits."""
    return found == want or math.isclose(found, want, rel_tol=1e-9)


def main():
    consumer = sys.argv[1]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pushline-consumer-"))
    try:
        count, want, found = {"influxdb": influxdb, "victoriametrics": victoriametrics}[consumer](folder)
        missing = []
        for place, values in want.items():
            there = found.get(place, [])
            # Points of one series, field and time are one point to the store: the last one stays.
            if not any(is_close(value, sent) for value in there for sent in values):
                missing.append((place, values, there))
        for place, values, there in missing[:20]:
            print(f"missing {place}: sent {values}, found {there}")
        assert not missing, f"{len(missing)} of {len(want)} points are missing"
        if consumer == "victoriametrics":
            restarted_over_tcp(folder)
        print(f"{consumer}: {count} golden pushes, {len(want)} points queried back, no line refused")
        print("1 passed, 0 failed")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()
