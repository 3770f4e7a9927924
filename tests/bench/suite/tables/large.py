"""Fifty million rows in the memory that five million take."""

from __future__ import annotations

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..report import Requirement, Section, megabytes
from ..snapshots import Snapshots

TITLE = "what changed between two snapshots, 4 columns, ten times the rows"


def measure(bench: Bench) -> Section:
    """Ours on N and 10 N rows, DuckDB capped on 10 N."""
    tenth = Snapshots(bench, "large", bench.rows(5_000_000), 4)
    whole = Snapshots(bench, "large", bench.rows(50_000_000), 4)
    small = contest("large", bench.rounds, tenth.ours(f", {tenth.rows / 1e6:g} M"))
    capped = Contestant("DuckDB, memory_limit 512MiB", lambda _: whole.peer("duckdb", "512MiB"))
    big = contest("large", bench.rounds, [*whole.ours(f", {whole.rows / 1e6:g} M"), capped])
    section = Section("large", TITLE, [tenth.described(), whole.described()])
    section.add(small)
    section.add(big)
    section.requirements = [
        Requirement("peak memory, first load", "MB", megabytes(big[0]), 512),
        Requirement("peak memory, what changed", "MB", megabytes(big[1]), 512),
        Requirement("CPU of ten times the rows, first load", "×", _growth(small[0], big[0]), 12, 10),
        Requirement("CPU of ten times the rows, what changed", "×", _growth(small[1], big[1]), 12, 10),
    ]
    return section


def _growth(small: Standing, big: Standing) -> float | None:
    return big.cpu / small.cpu if small.counts and big.counts else None
