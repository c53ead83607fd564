"""What is measured over HTTP: pushline beside Debian's servers, in interleaved rounds."""

import contextlib
import statistics
import tempfile

import programs
from servers import Direct, Old, Pushgateway, Pushline, VictoriaMetrics
from table import Row, number, skipped

ROUNDS = 5
WARM_UP_SECONDS = 1
SECONDS = 3
GATE_ROUNDS = 4
GATE_SECONDS = 1.5
GATE_CONNECTIONS = (1, 16, 64, 256)


class Contest:
    """Servers under the same load, turn and turn about."""

    def __init__(self, built, servers, body, connections):
        self.reports = {server: [] for server in servers}
        for server in servers:
            server.load(built, body, connections, WARM_UP_SECONDS)
        for turn in range(ROUNDS):
            # Every second round goes backwards, so that none always comes after the same other.
            for server in reversed(servers) if turn % 2 else servers:
                self.reports[server].append(server.load(built, body, connections, SECONDS))

    def ratio(self, server, other):
        """Answered pushes of one to those of the other: the median of the ratios of each round."""
        return ratio(self.reports[server], self.reports[other])

    def rows(self, what, names):
        reports = self.reports.values()
        own = next(iter(reports))
        return [
            Row(f"{what}: pushline / {names}", list(map(per_second, reports)), unit="requests/s"),
            Row("the same: CPU of the server", list(map(cpu_us, reports)), unit="µs/request"),
            Row(
                "the same: fewest / most answers of a connection in a round, pushline", spread(own)
            ),
        ]


@contextlib.contextmanager
def ended(*servers):
    """Ends them in order, each with its own confirmation."""
    yield servers
    for server in servers:
        server.end()


def pushgateway(built):
    times = Row("200-byte pushes, 16 connections ÷ prometheus-pushgateway", [], [10], [15])
    unchecked = Row("the same ÷ prometheus-pushgateway without consistency check", [], [1.3], [2])
    if not programs.is_there(Pushgateway.program):
        return [skipped(row, f"no {Pushgateway.program}") for row in (times, unchecked)]
    servers = Pushline(built), Pushgateway(), Pushgateway("--push.disable-consistency-check")
    with ended(*servers) as (own, checking, trusting):
        contest = Contest(built, servers, "small", 16)
        times.figures = [contest.ratio(own, checking)]
        unchecked.figures = [contest.ratio(own, trusting)]
    rows = contest.rows(
        "200-byte pushes, 16 connections", "prometheus-pushgateway / without consistency check"
    )
    return [*rows, times, unchecked]


def victoriametrics(built):
    small = Row("200-byte pushes, 64 connections ÷ victoria-metrics", [], [0.8], [1.3])
    large = Row("100 KB pushes, 16 connections, samples ÷ victoria-metrics", [], [3.5], [6])
    if not programs.is_there(VictoriaMetrics.program):
        return [skipped(row, f"no {VictoriaMetrics.program}") for row in (small, large)]
    return against_victoriametrics(built, small, "small", 64) + against_victoriametrics(
        built, large, "node100k", 16
    )


def against_victoriametrics(built, row, body, connections):
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        servers = Pushline(built), VictoriaMetrics(folder)
        with ended(*servers) as (own, other):
            contest = Contest(built, servers, body, connections)
            row.figures = [contest.ratio(own, other)]
    size = built.describe(body)["body_bytes"]
    rows = contest.rows(
        f"{number(size)}-byte pushes, {connections} connections", "victoria-metrics"
    )
    samples = [
        built.describe(body)["samples"] * per_second(reports)
        for reports in contest.reports.values()
    ]
    return [*rows, Row("the same in samples", samples, unit="samples/s"), row]


def gate(built):
    """The cost of a push that is nearly nothing but its request, with tiny_http and without."""
    with ended(Pushline(built), Direct(built)) as servers:
        own, direct = small_pushes(built, servers)
    connections = " / ".join(map(str, GATE_CONNECTIONS))
    ratios = dict(zip(GATE_CONNECTIONS, map(ratio, own, direct)))
    return [
        *gate_rows(f"200-byte pushes, {connections} connections", "pushline", own),
        *gate_rows(f"without tiny_http, {connections} connections", "it", direct),
        Row(
            "pushline ÷ the same without tiny_http, requests, 16 / 64 connections",
            [ratios[16], ratios[64]],
            [0.85, 0.85],
            [0.95, 0.95],
        ),
        Row("the same, 1 / 256 connections", [ratios[1], ratios[256]]),
    ]


def small_pushes(built, servers):
    """For each server the reports of all rounds, for each number of connections."""
    reports = {server: [[] for _ in GATE_CONNECTIONS] for server in servers}
    for server in servers:
        server.load(built, "small", 16, WARM_UP_SECONDS)
    for turn in range(GATE_ROUNDS):
        order = list(reversed(servers) if turn % 2 else servers)
        for at, connections in enumerate(GATE_CONNECTIONS):
            for server in order:
                report = server.load(built, "small", connections, GATE_SECONDS)
                reports[server][at].append(report)
    return [reports[server] for server in servers]


def against(built):
    """The binary beside another one, which --against names: usually the one before a change."""
    small = Row(
        "200-byte pushes, 1 / 16 / 64 / 256 connections, requests ÷ the other binary",
        [],
        [1] * 4,
        [1.15] * 4,
    )
    cpu = Row("CPU per 100 KB push, 16 connections ÷ the other binary", [], [0.8], [0.6], "less")
    peak = Row("RSS at most, 64 connections pushing 1 MB", [], [64], [40], "less", "MiB")
    if built.old is None:
        return [skipped(row, "no --against") for row in (small, cpu, peak)]
    with ended(Pushline(built), Old(built)) as servers:
        small.figures = list(map(ratio, *small_pushes(built, servers)))
    with ended(Pushline(built), Old(built)) as servers:
        contest = Contest(built, servers, "node100k", 16)
        cpu.figures = [cpu_us(contest.reports[servers[0]]) / cpu_us(contest.reports[servers[1]])]
        large = contest.rows("100 KB pushes, 16 connections", "the other binary")
    with ended(Pushline(built), Old(built)) as servers:
        for server in servers:
            server.load(built, "node", 64, SECONDS)
        own, its = (server.status_mib("VmHWM") for server in servers)
        peak.figures = [own]
    return [small, cpu, *large, peak, Row("the same of the other binary", [its], unit="MiB")]


def gate_rows(what, server, loads):
    """One figure for each number of connections."""
    return [
        Row(what, list(map(per_second, loads)), unit="requests/s"),
        Row(f"the same: CPU of {server}", list(map(cpu_us, loads)), unit="µs/request"),
        Row(
            "the same: fewest answers of a connection in a round",
            [spread(reports)[0] for reports in loads],
        ),
        Row(
            "the same: most answers of a connection in a round",
            [spread(reports)[1] for reports in loads],
        ),
    ]


def ratio(reports, others):
    """Answered pushes of one to those of the other: the median of the ratios of each round."""
    pairs = zip(reports, others)
    return statistics.median(per_second([own]) / per_second([its]) for own, its in pairs)


def per_second(reports):
    """Answered pushes, the median of the rounds."""
    return statistics.median(report["answered"] / report["seconds"] for report in reports)


def cpu_us(reports):
    """CPU time of the server for one push."""
    pushes = sum(report["answered"] + report["late"] for report in reports)
    return sum(report["cpu_s"] for report in reports) / pushes * 1e6


def spread(reports):
    """The fewest and the most answers that a connection got in a round: a starved one shows."""
    return [min(report["fewest"] for report in reports), max(report["most"] for report in reports)]
