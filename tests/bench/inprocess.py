"""What is measured inside one process: body to lines, beside the yardsticks of the machine."""

import os
import re
import subprocess

import programs
from table import Row, skipped

SECONDS = 4
WORST_SECONDS = 0.3
FAMILIES = ("node", "hist")
# Beside another tool: how often each runs, and how many pushes it converts then.
TURNS = 20
PUSHES = 500


def both(figures, name):
    return [figures[f"{family}.{name}"] for family in FAMILIES]


def converted(built, notation):
    figures = {}
    for family in FAMILIES:
        told = built.figures("convert", notation, family, SECONDS)
        figures |= {name.removeprefix(f"{notation}."): value for name, value in told.items()}
    return figures


def cpu_s_per_million(figures):
    """Of both families together."""
    ns = sum(
        figures[f"{family}.ns_per_sample"] * figures[f"{family}.samples"] for family in FAMILIES
    )
    return ns / sum(both(figures, "samples")) / 1000


def text(built):
    figures = converted(built, "text")
    return [
        Row("yardstick: memcpy, node / hist", both(figures, "copy_gb_per_s"), unit="GB/s"),
        Row(
            "yardstick: memchr newline walk, node / hist",
            both(figures, "walk_gb_per_s"),
            unit="GB/s",
        ),
        Row(
            "the same: newline walk, node / hist",
            both(figures, "walk_ns_per_sample"),
            unit="ns/sample",
        ),
        Row("text to lines, node / hist", both(figures, "ns_per_sample"), unit="ns/sample"),
        Row(
            "text to lines ÷ newline walk, node / hist",
            both(figures, "share_of_walk"),
            [0.12, 0.10],
            [0.20, 0.16],
        ),
        Row(
            "CPU seconds per million samples, text",
            [cpu_s_per_million(figures)],
            [0.08],
            [0.055],
            "less",
        ),
    ]


def protobuf(built):
    figures = converted(built, "protobuf")
    return [
        Row("protobuf to lines, node / hist", both(figures, "ns_per_sample"), unit="ns/sample"),
        Row(
            "CPU seconds per million samples, protobuf",
            [cpu_s_per_million(figures)],
            [0.12],
            [0.085],
            "less",
        ),
    ]


def against(built):
    """Body to lines beside another bench tool, which --against-tool names; node and hist of each."""
    rows = [
        Row(f"{notation} to lines, node / hist, CPU ÷ the other tool", [], [1.03] * 2, [0.95] * 2, "less")
        for notation in ("text", "protobuf")
    ]
    if built.old_tool is None:
        return [skipped(row, "no --against-tool") for row in rows]
    for row, notation in zip(rows, ("text", "protobuf")):
        row.figures = [conversions(built, notation, family) for family in FAMILIES]
    return rows


def conversions(built, notation, family):
    """The ratio of the CPU time of both tools, of the runs that were disturbed least."""
    tools = [built.tool, built.old_tool]
    seconds = {tool: [] for tool in tools}
    for turn in range(TURNS):
        for tool in reversed(tools) if turn % 2 else tools:
            seconds[tool].append(cpu_s([tool, "repeat", notation, family, str(PUSHES)]))
    own, its = (sum(sorted(seconds[tool])[: TURNS // 5]) for tool in tools)
    return own / its


def cpu_s(command):
    """The CPU time of a command that succeeds and says nothing."""
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise ChildProcessError(f"{command} ended with {status}")
    return usage.ru_utime + usage.ru_stime


def instructions(built):
    """Callgrind's count of more pushes less that of fewer: neither start nor bodies count."""
    row = Row("instructions per sample, text, node / hist", [], [1100, 1100], [850, 850], "less")
    free = Row("instructions per sample, protobuf, node / hist", [], better="less")
    if not programs.is_there("valgrind"):
        return [skipped(row, "no valgrind"), skipped(free, "no valgrind")]
    row.figures = [per_sample(built, "text", family) for family in FAMILIES]
    free.figures = [per_sample(built, "protobuf", family) for family in FAMILIES]
    return [row, free]


def per_sample(built, notation, family):
    few, many = 2, 6
    samples = built.describe(family, notation)["samples"]
    counts = [
        callgrind([built.tool, "repeat", notation, family, str(pushes)]) for pushes in (few, many)
    ]
    return (counts[1] - counts[0]) / (many - few) / samples


def callgrind(command):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return int(re.search(r"Collected : (\d+)", run.stderr)[1])


def parsers(built):
    """Other parsers of Rust: those that find every sample of the bodies."""
    figures = {}
    for family in FAMILIES:
        figures |= built.figures("parsers", family, SECONDS)
    names = [name.removeprefix("node.times.") for name in figures if name.startswith("node.times.")]
    names = [name for name in names if f"hist.times.{name}" in figures]
    fastest = [min(figures[f"{family}.times.{name}"] for name in names) for family in FAMILIES]
    return [
        *(
            Row(f"only parsing, node / hist: {name}", both(figures, f"ns.{name}"), unit="ns/sample")
            for name in names
        ),
        Row("times the fastest other parser, node / hist", fastest, [8, 8], [12, 12]),
        Row(
            "times prometheus-parse, node / hist",
            both(figures, "times.prometheus-parse"),
            [20, 20],
            [30, 30],
        ),
    ]


def worst(built):
    """The 20 most expensive bodies, in nanoseconds a byte, and how many times the usual byte."""
    figures = built.figures("worst", WORST_SECONDS)
    usual = max(figures.pop("usual_text"), figures.pop("usual_protobuf"))
    worst_first = sorted(figures.items(), key=lambda case: -case[1])[:20]
    return [
        Row("usual body, text or protobuf", [usual], unit="ns/byte"),
        *(
            Row(f"worst: {name.replace('_', ' ')}", [ns, ns / usual], unit="ns/byte, times the usual")
            for name, ns in worst_first
        ),
        Row("worst ÷ usual", [worst_first[0][1] / usual], [60], [30], "less"),
    ]


def allocations(built):
    """In steady state, reallocations included. What one sample more costs, and one push."""
    figures = built.figures(tool="allocations")
    # A few more for a table that grows with the families of a push are not one for each sample.
    per_sample = {
        notation: [round(figures[f"{notation}.{family}.per_sample"], 3) for family in FAMILIES]
        for notation in ("text", "protobuf")
    }
    own = figures["server.per_push"] - figures["tiny_http.per_push"]
    return [
        Row(
            "allocations per sample, text, node / hist", per_sample["text"], [0, 0], [0, 0], "less"
        ),
        Row(
            "allocations per sample, protobuf, node / hist",
            per_sample["protobuf"],
            [0, 0],
            [0, 0],
            "less",
        ),
        *(
            Row(
                f"allocations per 200-byte push, body to lines, {notation}",
                [figures[f"{notation}.small.per_push"]],
                [1],
                [0],
                "less",
            )
            for notation in ("text", "protobuf")
        ),
        Row(
            "allocations per 200-byte push, the whole server less tiny_http's own",
            [own],
            [1],
            [0],
            "less",
        ),
        Row(
            "allocations per 200-byte push, the whole server / tiny_http alone",
            [figures["server.per_push"], figures["tiny_http.per_push"]],
        ),
    ]
