"""What is measured inside one process: body to lines, beside the yardsticks of the machine."""

import re
import subprocess

import programs
from table import Row, skipped

SECONDS = 4
FAMILIES = ("node", "hist")


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
    ns = sum(figures[f"{family}.ns_per_sample"] * figures[f"{family}.samples"] for family in FAMILIES)
    return ns / sum(both(figures, "samples")) / 1000


def text(built):
    figures = converted(built, "text")
    return [
        Row("yardstick: memcpy, node / hist", both(figures, "copy_gb_per_s"), unit="GB/s"),
        Row("yardstick: memchr newline walk, node / hist", both(figures, "walk_gb_per_s"), unit="GB/s"),
        Row("the same", both(figures, "walk_ns_per_sample"), unit="ns/sample"),
        Row("text to lines, node / hist", both(figures, "ns_per_sample"), unit="ns/sample"),
        Row("text to lines ÷ newline walk, node / hist", both(figures, "share_of_walk"), [0.12, 0.10], [0.20, 0.16]),
        Row("CPU seconds per million samples, text", [cpu_s_per_million(figures)], [0.08], [0.055], "less"),
    ]


def protobuf(built):
    figures = converted(built, "protobuf")
    return [
        Row("protobuf to lines, node / hist", both(figures, "ns_per_sample"), unit="ns/sample"),
        Row("CPU seconds per million samples, protobuf", [cpu_s_per_million(figures)], [0.12], [0.085], "less"),
    ]


def instructions(built):
    """Callgrind's count of more pushes less that of fewer: neither start nor bodies count."""
    row = Row("instructions per sample, text, node / hist", [], [1100, 1100], [850, 850], "less")
    free = Row("instructions per sample, protobuf, node / hist", [], better="less")
    if not programs.is_there("valgrind", "valgrind"):
        return [skipped(row, "no valgrind"), skipped(free, "no valgrind")]
    row.figures = [per_sample(built, "text", family) for family in FAMILIES]
    free.figures = [per_sample(built, "protobuf", family) for family in FAMILIES]
    return [row, free]


def per_sample(built, notation, family):
    few, many = 2, 6
    samples = built.figures("describe", notation, family)["samples"]
    counts = [callgrind([built.tool, "repeat", notation, family, str(pushes)]) for pushes in (few, many)]
    return (counts[1] - counts[0]) / (many - few) / samples


def callgrind(command):
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
                         check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr)[1])
