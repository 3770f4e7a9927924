"""What a thousand changes cost beside N rows: time and memory must not grow with N."""

from __future__ import annotations

import json
import os

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..machine import python, require
from ..measure import Measurement, measured
from ..obmen import Project, expect
from ..report import Requirement, Section, megabytes, value

TITLE = "a thousand changed prices in goods ⋈ prices ⋈ stock"
CHANGED = 1000


def measure(bench: Bench) -> Section:
    """Three tables of N rows each in PostgreSQL, read by a cursor; N offers are remembered."""
    default = "100000,1000000" if bench.quick else "1000000,10000000,30000000"
    sizes = [int(rows) for rows in os.environ.get("OBMEN_BENCH_SIZES", default).split(",")]
    section = Section("delta", TITLE, ["DuckDB and Polars compute everything anew from Parquet: what it costs to remember nothing."])
    changed = []
    for rows in sizes:
        with bench.postgres.filled("trade_schema", rows):
            standings = _standings(bench, rows)
        section.add(standings)
        changed.append(standings[1])
    largest = f"{sizes[-1] / 1e6:g} M rows"
    section.requirements = [
        Requirement(f"{CHANGED} changes, {largest}", "s", value(changed[-1], "wall"), 3, 1),
        Requirement(f"peak memory, {largest}", "MB", megabytes(changed[-1]), 256),
        Requirement(f"CPU with {largest} / with {sizes[0] / 1e6:g} M", "×", _growth(changed), 1.5, 1.1),
    ]
    return section


def _standings(bench: Bench, rows: int) -> list[Standing]:
    offers = Offers(bench, rows)
    size = f"{rows / 1e6:g} M"
    first = contest("delta", 1, [Contestant(f"Obmen, first load, {size}", offers.first_load, ours=True)])
    steps = [
        Contestant(f"**Obmen, {CHANGED} changes, {size}**", offers.changes, ours=True, reference=True),
        Contestant(f"DuckDB anew, {size}", lambda _: offers.anew("duckdb")),
        Contestant(f"Polars anew, {size}", lambda _: offers.anew("polars")),
    ]
    standings = first + contest("delta", bench.rounds, steps)
    offers.project.forget()
    return standings


class Offers:
    """The tables, the pipeline over them, and the same query for the peers."""

    def __init__(self, bench: Bench, rows: int) -> None:
        self.bench = bench
        self.rows = rows
        self.project = Project(bench, "delta")

    def first_load(self, _round: int) -> Measurement:
        """All three tables are mirrored, all offers delivered."""
        self.project.forget()
        return self.project.run("offers", creates=self.rows, acked=self.rows)

    def changes(self, number: int) -> Measurement:
        """Prices nobody has touched before are raised, and the pipeline runs."""
        first = number * CHANGED + 1
        self.bench.postgres.sql(
            "UPDATE obmen_bench.prices SET price = price + 1, updated_at = clock_timestamp()::timestamp"
            f" WHERE goods_id IN (SELECT md5(i::text)::uuid FROM generate_series({first}, {first + CHANGED - 1}) i)"
        )
        return self.project.run("offers", creates=0, updates=CHANGED, deletes=0, acked=CHANGED, held=0)

    def anew(self, package: str) -> Measurement:
        """Everything again."""
        require(package)
        folder, known = self.bench.generated("trade_tables", f"trade-tables-{self.rows}", self.rows)
        run = measured(python("suite.peers.join", package, folder))
        expect("offers", json.loads(run.output)["offers"], known["offers"])
        return run


def _growth(changed: list[Standing]) -> float | None:
    return changed[-1].cpu / changed[0].cpu if changed[0].counts and changed[-1].counts else None
