"""What pushline takes of a host: memory, disk, time to start."""

import subprocess
import time

from pushes import ended, spread
from servers import Pushline
from table import Row

LARGE_SECONDS = 6
IDLE_S = 2
STARTS = 20


def memory(built):
    with ended(Pushline(built)) as (server,):
        # What the first pushes take belongs to it.
        server.load(built, "small", 1, 0.1)
        with server.running():
            time.sleep(IDLE_S)
            idle = server.status_mib("VmRSS")
        report = server.load(built, "node", 64, LARGE_SECONDS)
        loaded = server.status_mib("VmHWM")
        with server.running():
            time.sleep(IDLE_S)
            after = server.status_mib("VmRSS")
    per_second = report["answered"] / report["seconds"]
    return [
        Row("RSS idle", [idle], [8], [5], "less", "MiB"),
        Row("RSS at most, 64 connections pushing 1 MB", [loaded], [64], [40], "less", "MiB"),
        Row("RSS idle after that", [after], unit="MiB"),
        Row("1 MB pushes, 64 connections", [per_second], unit="requests/s"),
        Row(
            "the same in samples",
            [per_second * built.describe("node")["samples"]],
            unit="samples/s",
        ),
        Row("the same: fewest / most answers of a connection", spread([report])),
    ]


def size(built):
    def row(what, binary, gate, aim):
        kind = "static" if is_static(binary) else "NOT static"
        return Row(f"binary, stripped, {kind}, {what}", [binary.stat().st_size / (1 << 20)], [gate], [aim], "less", "MiB")

    return [row("with TLS", built.pushline, 5.5, 4.5), row("without TLS", built.without_tls(), 3.2, 2.8)]


def is_static(binary):
    """A static program names no interpreter and no library."""
    told = subprocess.run(
        ["readelf", "--program-headers", "--dynamic", binary], capture_output=True, text=True
    ).stdout
    return "INTERP" not in told and "NEEDED" not in told


def start(built):
    figures = built.figures("start", built.pushline, STARTS)
    return [
        Row(
            f"start to first answered push, median of {STARTS}",
            [figures["median_ms"]],
            [20],
            [10],
            "less",
            "ms",
        ),
        Row("the same, slowest", [figures["slowest_ms"]], unit="ms"),
    ]
