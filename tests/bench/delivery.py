"""What delivery over HTTP costs: into a store that takes everything at once, and beside vmagent into VictoriaMetrics.

vmagent acknowledges a push before it has delivered it; pushline answers once the store has.
"""

import tempfile

import programs
from pushes import cpu_us, per_second, ratio
from servers import NullStore, OverHttp, ToNothing, VictoriaMetrics, VmAgent
from table import Row, skipped

ROUNDS = 4
SECONDS = 3
WARM_UP_SECONDS = 1


def store(built):
    """Lines into a store that is never the one to wait for, beside the same into /dev/null."""
    null = NullStore(built)
    servers = OverHttp(built, null.url()), ToNothing(built)
    reports = contest(built, servers, "node100k", 16)
    for server in servers:
        server.end()
    own, other = servers
    taken = null.counts()["lines"]
    null.end()
    if taken != own.samples:
        raise SystemExit(f"bench: the store got {taken} lines, not {own.samples:.0f}")
    lines = built.describe("node100k")["lines"]
    figures = [lines * per_second(reports[server]) for server in servers]
    return [
        Row("100 KB pushes, 16 connections: HTTP without gzip / /dev/null", figures, unit="lines/s"),
        Row("the same, HTTP ÷ /dev/null", [ratio(reports[own], reports[other])], [0.6], [0.8]),
    ]


def vmagent(built):
    """Beside vmagent, both into one VictoriaMetrics."""
    small = Row("200-byte pushes, 64 connections, delivered ÷ vmagent's acknowledged", [], [0.8], [1.2])
    cpu = Row("CPU per sample, 100 KB pushes, no gzip ÷ vmagent", [], [0.5], [0.35], "less")
    packed = Row("the same with gzip", [], [1.2], [0.8], "less")
    peak = Row("RSS at most in that load ÷ vmagent", [], [0.25], [0.1], "less")
    rows = small, cpu, packed, peak
    if not programs.is_there(VmAgent.program):
        return [skipped(row, f"no {VmAgent.program}") for row in rows]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = VictoriaMetrics(f"{folder}/store")
        with store.running():
            url = f"http://{store.address}/write"
            servers = OverHttp(built, url), VmAgent(store, f"{folder}/agent")
            own, other = servers
            reports = contest(built, servers, "small", 64)
            small.figures = [ratio(reports[own], reports[other])]
            acknowledged = [per_second(reports[server]) for server in servers]
            reports = contest(built, servers, "node100k", 16)
            cpu.figures = [cpu_us(reports[own]) / cpu_us(reports[other])]
            peak.figures = [own.status_mib("VmHWM") / other.status_mib("VmHWM")]
            peaks = [server.status_mib("VmHWM") for server in servers]
            own.end()
            own = OverHttp(built, url, gzip="true")
            packed_reports = contest(built, (own, other), "node100k", 16)
            packed.figures = [cpu_us(packed_reports[own]) / cpu_us(packed_reports[other])]
            samples = built.describe("node100k")["samples"]
            seconds = [cpu_us(reports[servers[0]]), cpu_us(packed_reports[own]), cpu_us(reports[other])]
            own.end()
            other.end()
    return [
        Row("200-byte pushes, 64 connections: pushline / vmagent", acknowledged, unit="requests/s"),
        small,
        Row("CPU per million samples: no gzip / gzip / vmagent", [it / samples for it in seconds], unit="s"),
        cpu,
        packed,
        Row("RSS at most: pushline / vmagent", peaks, unit="MiB"),
        peak,
    ]


def contest(built, servers, body, connections, rounds=ROUNDS, seconds=SECONDS):
    """The reports of each server, turn and turn about."""
    reports = {server: [] for server in servers}
    for server in servers:
        server.load(built, body, connections, WARM_UP_SECONDS)
    for turn in range(rounds):
        for server in reversed(servers) if turn % 2 else servers:
            reports[server].append(server.load(built, body, connections, seconds))
    return reports
