"""How fast everything goes the first time."""

from __future__ import annotations

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..report import Requirement, Section, number
from ..snapshots import Snapshots

TITLE = "first load: read, hash, plan, deliver, remember"


def measure(bench: Bench) -> Section:
    """Snapshots of 1 and 5 million rows with ten columns; the larger one as table `diff` measured it, if it ran."""
    sizes = [bench.rows(1_000_000), bench.rows(5_000_000)]
    standings = [bench.first_loads.get(rows) or _first_load(bench, rows) for rows in sizes]
    section = Section("first", TITLE, ["Every row is new; the sink writes JSON lines and acknowledges all."])
    speed = [_rows_a_second(standing, rows) for standing, rows in zip(standings, sizes, strict=True)]
    shown = {id(standing): "" if rate is None else number(rate) for standing, rate in zip(standings, speed, strict=True)}
    section.add(standings, ("rows/s", lambda standing: shown[id(standing)]))
    section.requirements = [
        Requirement(f"first load of {rows / 1e6:g} M rows", "rows/s", rate, 300_000, 500_000, at_least=True)
        for rows, rate in zip(sizes, speed, strict=True)
    ]
    return section


def _first_load(bench: Bench, rows: int) -> Standing:
    snapshots = Snapshots(bench, "diff", rows, 10)
    name = f"Obmen, first load, {rows / 1e6:g} M"
    [standing] = contest("first", bench.rounds, [Contestant(name, snapshots.first_load, ours=True)])
    snapshots.project.forget()
    return standing


def _rows_a_second(standing: Standing, rows: int) -> float | None:
    return rows / standing.wall if standing.counts else None
