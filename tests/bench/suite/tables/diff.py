"""What changed between two snapshots of 5 million rows with ten columns."""

from __future__ import annotations

from ..bench import Bench
from ..contest import Contestant, contest
from ..report import Requirement, Section, megabytes, ratio
from ..snapshots import Snapshots

TITLE = "what changed between two snapshots, 10 columns"


def measure(bench: Bench) -> Section:
    """Ours at `memory: 512MB`, DuckDB with and without that cap, Polars."""
    snapshots = Snapshots(bench, "diff", bench.rows(5_000_000), 10)
    peers = [
        Contestant("DuckDB, memory_limit 512MiB", lambda _: snapshots.peer("duckdb", "512MiB")),
        Contestant("DuckDB, no limit", lambda _: snapshots.peer("duckdb")),
        Contestant("Polars, streaming", lambda _: snapshots.peer("polars")),
    ]
    standings = contest("diff", bench.rounds, [*snapshots.ours(), *peers])
    first, changed, _, capped, free, _ = standings
    bench.first_loads[snapshots.rows] = first
    section = Section("diff", TITLE, [snapshots.described()])
    section.add(standings)
    section.requirements = [
        Requirement("CPU, ours / DuckDB capped", "×", ratio(changed, capped, "cpu"), 1),
        Requirement("CPU, ours / DuckDB without a cap", "×", ratio(changed, free, "cpu"), None, 1),
        Requirement("peak memory, first load", "MB", megabytes(first), 512),
        Requirement("peak memory, what changed", "MB", megabytes(changed), 512),
    ]
    return section
