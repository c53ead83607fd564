"""Rows of figures with their gates and aims → one table in Markdown."""

import dataclasses
import math


@dataclasses.dataclass
class Row:
    """One measure: figures, gates and aims side by side, for each thing that it names."""

    measure: str
    figures: list
    gates: list = dataclasses.field(default_factory=list)
    aims: list = dataclasses.field(default_factory=list)
    # What a better figure is: "more" or "less".
    better: str = "more"
    unit: str = ""
    # Why it could not be measured.
    skipped: str = ""

    def met(self):
        """What each figure reaches."""
        return [self._reached(*three) for three in zip(self.figures, self.gates, self.aims)]

    def is_missed(self):
        return "MISSED" in self.met()

    def _reached(self, figure, gate, aim):
        def is_reached(bound):
            return figure >= bound if self.better == "more" else figure <= bound

        return "aim" if is_reached(aim) else "gate" if is_reached(gate) else "MISSED"

    def cells(self):
        if self.skipped:
            return [
                self.measure,
                f"skipped: {self.skipped}",
                joined(self.gates),
                joined(self.aims),
                "skipped",
            ]
        met = self.met()
        verdict = met[0] if len(set(met)) == 1 else " / ".join(met)
        figures = f"{joined(self.figures)} {self.unit}".strip()
        return [self.measure, figures, joined(self.gates), joined(self.aims), verdict]


def skipped(row, why):
    """The same row without figures."""
    return dataclasses.replace(row, figures=[], skipped=why)


def joined(numbers):
    return " / ".join(map(number, numbers))


def number(value):
    """Three significant digits, grouped."""
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def render(rows):
    lines = [["measure", "here", "gate", "aim", "met"], *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)
