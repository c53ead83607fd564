"""What the spool costs: while the store is away, while it is drained, and while all is well; and what is lost in a crash.

The store that is away is a port that nobody listens on. Folders are in the target folder, on a real disk: where
/tmp is memory, a sync costs nothing.
"""

import contextlib
import pathlib
import shutil
import statistics
import tempfile
import time

import crash
import programs
from delivery import contest
from pushes import cpu_us, per_second, ratio
from servers import NullStore, OverHttp, Server, VmAgent, free_port
from table import Row, skipped

WELL_ROUNDS, WELL_SECONDS = 8, 2
QUIET_S = 60
FULL_BYTES = 256 << 20
STARTS = 10
PATIENCE_S = 120


@contextlib.contextmanager
def folder():
    place = programs.HERE / "target/spools"
    place.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix="spool-", dir=place))
    try:
        yield path
    finally:
        shutil.rmtree(path)


class Spooling(OverHttp):
    """pushline with a spool."""

    def __init__(self, built, url, path, max_bytes="4GiB"):
        self.spool = path
        path.mkdir(exist_ok=True)
        super().__init__(built, url, more={"PUSHLINE_SPOOL_DIR": str(path), "PUSHLINE_SPOOL_MAX_BYTES": max_bytes})

    def figure(self, name):
        lines = self.get("/metrics").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


class Synced(Server):
    """pushline whose lines go to a file, each push answered after a sync."""

    def __init__(self, built, path):
        self.port = free_port()
        environment = {
            "PUSHLINE_SERVER_LISTEN": self.address,
            "PUSHLINE_OUTPUT_TARGET": f"file:{path}",
            "PUSHLINE_OUTPUT_FSYNC": "true",
        }
        super().__init__([built.pushline], environment)


class Away:
    """A store that is not there."""

    def __init__(self):
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}/write"


def spool(built):
    return [*away(built), *draining(built), *well(built)]


def away(built):
    synced = Row("store away: 200-byte pushes, 64 connections ÷ file and fsync", [], [0.8], [1])
    beside = Row("the same ÷ vmagent, which does not sync", [], [0.3], [1])
    with folder() as path:
        store = Away()
        servers = [Spooling(built, store.url, path / "spool"), Synced(built, path / "lines")]
        if programs.is_there(VmAgent.program):
            servers.append(VmAgent(store, path / "agent"))
        reports = contest(built, servers, "small", 64)
        own, file, *other = servers
        with own.running():
            spooled = own.figure("pushline_spool_lines")
        if spooled != own.samples:
            raise SystemExit(f"bench: the spool has {spooled:.0f} lines, not {own.samples:.0f}")
        for server in servers:
            server.process.kill()
    rates = [per_second(reports[server]) for server in servers]
    synced.figures = [ratio(reports[own], reports[file])]
    if other:
        beside.figures = [ratio(reports[own], reports[other[0]])]
    else:
        beside = skipped(beside, f"no {VmAgent.program}")
    cpu = [cpu_us(reports[server]) for server in servers]
    return [
        Row("store away: spool / file and fsync / vmagent", rates, unit="requests/s"),
        Row("the same: CPU of the server", cpu, unit="µs/request"),
        synced,
        beside,
    ]


def draining(built):
    """How fast a full spool goes into a store, beside pushes that go there straight."""
    with folder() as path:
        port = free_port()
        server = Spooling(built, f"http://127.0.0.1:{port}/write", path / "spool")
        fill(built, server)
        with server.running():
            waiting = server.figure("pushline_spool_lines")
            null = NullStore(built, port)
            drained, seconds = rate(null, waiting)
        server.end()
        null.end()
    null = NullStore(built)
    server = OverHttp(built, null.url())
    server.load(built, "node100k", 16, 1)
    straight = []
    for _ in range(4):
        before = null.counts()["bytes"]
        report = server.load(built, "node100k", 16, 3)
        straight.append((null.counts()["bytes"] - before) / report["seconds"])
    server.end()
    null.end()
    straight, drained = statistics.median(straight) / (1 << 20), drained / seconds / (1 << 20)
    return [
        Row("draining into a null store / straight into it", [drained, straight], unit="MiB/s"),
        Row("draining ÷ straight", [drained / straight], [0.6], [0.9]),
    ]


def fill(built, server):
    while True:
        server.load(built, "node100k", 16, 0.2)
        with server.running():
            if server.figure("pushline_spool_bytes") >= FULL_BYTES:
                return


def rate(null, lines):
    """Bytes that came and in how many seconds, from the first to the last of so many lines."""
    begun = at = None
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            counts = null.counts()
        except OSError:
            continue
        now = time.monotonic()
        if begun is None and counts["lines"]:
            begun, at = now, counts["bytes"]
        if counts["lines"] >= lines:
            return counts["bytes"] - at, now - begun
        time.sleep(0.01)
    raise SystemExit(f"bench: of {lines:.0f} spooled lines only {counts['lines']:.0f} came")


def well(built):
    """A spool that nothing goes to."""
    null = NullStore(built)
    with folder() as path:
        servers = Spooling(built, null.url(), path / "spool"), OverHttp(built, null.url())
        reports = contest(built, servers, "small", 64, WELL_ROUNDS, WELL_SECONDS)
        own, other = servers
        before = written(own, path)
        own.load(built, "small", 64, QUIET_S)
        after = written(own, path)
        for server in servers:
            server.end()
    null.end()
    return [
        Row("all is well: 200-byte pushes, 64 connections, a spool ÷ none", [ratio(reports[own], reports[other])], [0.97], [1]),
        Row(f"bytes written to the folder in {QUIET_S} s of that", [after - before], [0], [0], "less"),
    ]


def written(server, path):
    """Bytes that the process has had written to any disk, and what its folder has grown by: one of the two would
    show a byte that went there."""
    told = pathlib.Path(f"/proc/{server.process.pid}/io").read_text().splitlines()
    to_disk = next(int(line.split()[1]) for line in told if line.startswith("write_bytes:"))
    return to_disk + sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def starting(built):
    """A first push to a spool that an earlier run has left full, beside one that goes to an empty spool."""
    with folder() as path:
        store = Away()
        server = Spooling(built, store.url, path / "full", "512MiB")
        fill(built, server)
        server.end()
        times = {"full": [], "empty": []}
        for number in range(STARTS):
            places = {"full": path / "full", "empty": path / f"empty-{number}"}
            places["empty"].mkdir()
            for name in sorted(places, reverse=number % 2 == 0):
                own = {
                    "PUSHLINE_OUTPUT_TARGET": store.url,
                    "PUSHLINE_SPOOL_DIR": str(places[name]),
                    "PUSHLINE_SPOOL_MAX_BYTES": "512MiB",
                }
                times[name].append(built.figures("start", built.pushline, 1, environment=own)["median_ms"])
    full, empty = (statistics.median(times[name]) for name in ("full", "empty"))
    return [
        Row("start to first answered push, 256 MiB in the spool / empty", [full, empty], unit="ms"),
        Row("the same, ratio", [full / empty], [2], [1.2], "less"),
    ]


def outage(built):
    """The store is away, and the agent is killed meanwhile: pushline beside vmagent."""
    row = Row("store away 30 s, agent killed in the middle: pushline's lost lines", [], [0], [0], "less")
    if not programs.is_there(VmAgent.program):
        return [skipped(row, f"no {VmAgent.program}")]
    with folder() as path:
        own, other = crash.run(built.pushline, path)
    row.figures = [own.lost]
    return [
        Row("the same, acknowledged: pushline / vmagent", [own.acknowledged, other.acknowledged], unit="lines"),
        row,
        Row("the same, lost: pushline / vmagent", [own.lost, other.lost], unit="lines"),
        Row("the same, stored twice: pushline / vmagent", [own.doubled, other.doubled], unit="lines"),
    ]
