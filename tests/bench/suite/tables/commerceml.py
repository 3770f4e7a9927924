"""A document of CommerceML of a gigabyte, read and written."""

from __future__ import annotations

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..measure import Measurement
from ..obmen import Project
from ..report import Requirement, Section, megabytes, number

TITLE = "a large CommerceML document"


def measure(bench: Bench) -> Section:
    """Whole runs: what else a run does is in their time, so reader and writer alone are faster."""
    folder, known = bench.generated("offers_xml", "offers-xml", bench.rows(1_000_000_000))
    project = Project(bench, "commerceml")
    project.put(folder / "offers0_1.xml", "offers0_1.xml")
    offers = known["offers"]
    sources = {name: known[name] for name in ("offers", "prices", "stock")}

    def count(_round: int) -> Measurement:
        project.forget()
        return project.run("count", sources={"offers": offers}, creates=1, acked=1)

    def copy(_round: int) -> Measurement:
        project.forget()
        return project.run("copy", sources=sources, creates=offers, acked=offers)

    steps = [Contestant("read and count", count, ours=True), Contestant("read, compare, write", copy, ours=True)]
    standings = contest("commerceml", bench.rounds, steps)
    read = _speed(standings[0], known["bytes"])
    written = _speed(standings[1], standings[1].runs[0].delivered) if standings[1].counts else None
    shown = {id(standings[0]): read, id(standings[1]): written}
    note = f"`offers0_1.xml` of {number(known['bytes'] / 1e6)} MB: {offers} offers with two prices and three stocks each."
    section = Section("commerceml", TITLE, [note])
    section.add(standings, ("MB/s", lambda standing: number(shown[id(standing)])))
    section.requirements = [
        Requirement("reading, within a run", "MB/s", read, 100, at_least=True),
        Requirement("writing, within a run that reads and compares too", "MB/s", written, 200, at_least=True),
        Requirement("peak memory, reading", "MB", megabytes(standings[0]), 512),
        Requirement("peak memory, writing", "MB", megabytes(standings[1]), 512),
    ]
    return section


def _speed(standing: Standing, size: int) -> float | None:
    return size / 1e6 / standing.wall if standing.counts else None
