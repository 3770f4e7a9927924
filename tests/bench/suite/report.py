"""Markdown: tables of standings, and requirements with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .contest import Standing
from .measure import MEGABYTE

Column = tuple[str, Callable[[Standing], str]]


@dataclass
class Requirement:
    """A number that is promised. `floor` and `aim` are upper limits unless `at_least`; None where there is none."""

    subject: str
    unit: str
    measured: float | None
    floor: float | None
    aim: float | None = None
    at_least: bool = False

    def row(self) -> list[str]:
        """Its line in the table of requirements."""
        sign = "≥" if self.at_least else "≤"
        limits = ["" if limit is None else f"{sign} {number(limit)} {self.unit}" for limit in (self.floor, self.aim)]
        if self.measured is None:
            return [self.subject, *limits, "not measured", ""]
        return [self.subject, *limits, f"{number(self.measured)} {self.unit}", self.verdict()]

    def verdict(self) -> str:
        """`aim` or `floor`, the highest that is met, or `missed`."""
        for name, limit in (("aim", self.aim), ("floor", self.floor)):
            if limit is not None and (self.measured >= limit if self.at_least else self.measured <= limit):
                return name
        return "**missed**"


@dataclass
class Section:
    """The outcome of one table."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    requirements: list[Requirement] = field(default_factory=list)

    def add(self, standings: Sequence[Standing], *more: Column) -> None:
        """Adds a table of standings; `more` are columns of its own."""
        self.standings.extend(standings)
        self.tables.append(standings_table(standings, more))

    @property
    def bad(self) -> bool:
        """Whether anybody's result was wrong, or ours failed."""
        return any(standing.bad for standing in self.standings)

    def markdown(self) -> str:
        """The section as it is printed."""
        parts = [f"## {self.name}: {self.title}", *self.notes, *self.tables]
        if self.requirements:
            rows = [requirement.row() for requirement in self.requirements]
            parts.append(table(["requirement", "floor", "aim", "measured", "meets"], rows))
        return "\n\n".join(parts)


def standings_table(standings: Sequence[Standing], more: Sequence[Column] = ()) -> str:
    """Medians of CPU and wall time, highest peak, and what ours is of the peer's."""
    reference = next((standing for standing in standings if standing.contestant.reference), None)
    head = ["", "CPU s", "wall s", "peak MB", *(name for name, _ in more)]
    if reference is not None:
        head += ["CPU ours/theirs", "wall ours/theirs", "peak ours/theirs"]
    rows = []
    for standing in standings:
        if not standing.counts:
            rows.append([standing.contestant.name, standing.trouble or "did not run"] + [""] * (len(head) - 2))
            continue
        row = [standing.contestant.name, f"{standing.cpu:.2f}", f"{standing.wall:.2f}", f"{standing.peak / MEGABYTE:.0f}"]
        row += [show(standing) for _, show in more]
        if reference is not None:
            row += _ratios(reference, standing)
        rows.append(row)
    return table(head, rows)


def ratio(ours: Standing | None, theirs: Standing | None, what: str) -> float | None:
    """Median of ours divided by median of theirs; None where one of them has no runs."""
    if ours is None or theirs is None or not (ours.counts and theirs.counts):
        return None
    return getattr(ours, what) / max(getattr(theirs, what), 1e-9)


def value(standing: Standing | None, what: str) -> float | None:
    """`cpu`, `wall` or `peak` of a standing, if it has runs."""
    return getattr(standing, what) if standing is not None and standing.counts else None


def megabytes(standing: Standing | None) -> float | None:
    """Peak memory in MB."""
    return standing.peak / MEGABYTE if standing is not None and standing.counts else None


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others stand right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _ratios(reference: Standing, standing: Standing) -> list[str]:
    if standing.contestant.ours:
        return ["", "", ""]
    found = [ratio(reference, standing, what) for what in ("cpu", "wall", "peak")]
    return ["–" if one is None else f"{one:.2f}" for one in found]
