"""What is waited for every day: runs that find nothing, and `validate`."""

from __future__ import annotations

import re
import shutil

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..measure import Measurement
from ..obmen import QUIET, Project
from ..report import Requirement, Section, value
from ..snapshots import Snapshots

TITLE = "a run that finds nothing, and validate"
VALIDATIONS = 20  # a call is so short that the machine's noise needs many
PIPELINES = 100  # beside the one there is
PRICE = re.compile(rb",(\d)(\d*\.\d\d),RUB")


def measure(bench: Bench) -> Section:
    """Offers with children prices and stock; a project of one pipeline, and of 101."""
    offers = bench.rows(500_000)
    trade = Trade(bench, offers)
    steps = [
        Contestant("first load", trade.first_load, ours=True),
        Contestant("nothing changed", trade.no_changes, ours=True),
        Contestant("one price changed", trade.one_change, ours=True),
    ]
    runs = contest("small", bench.rounds, steps)
    table = Snapshots(bench, "diff", offers, 10)
    table_steps = [
        Contestant("table, first load", table.first_load, ours=True),
        Contestant("table, other rows", table.changes, ours=True),
        Contestant("table, nothing changed", table.no_changes, ours=True),
    ]
    alone = contest("small", bench.rounds, table_steps)
    one, many = Project(bench, "small", "validate-1"), Project(bench, "small", "validate-101")
    _multiply(many)
    validations = [
        Contestant("validate, 1 pipeline", lambda _: one.call("validate"), ours=True),
        Contestant(f"validate, {PIPELINES + 1} pipelines", lambda _: many.call("validate"), ours=True),
    ]
    checks = contest("small", VALIDATIONS, validations)
    rows = sum(trade.known[name] for name in ("goods", "prices", "stock"))
    described = [f"{offers} offers, {rows - offers} prices and stocks, CSV.", f"`table`: {offers} rows × 10 columns, Parquet."]
    section = Section("small", TITLE, described)
    section.add(runs + alone)
    section.add(checks, ("wall ms", lambda standing: f"{standing.wall * 1000:.1f}"))
    section.requirements = [
        Requirement("table, nothing changed", "s", value(alone[2], "wall"), 2),
        Requirement("offers with their parts, nothing changed", "s", value(runs[1], "wall"), 2),
        Requirement("validate, 1 pipeline", "ms", _milliseconds(checks[0]), 50),
    ]
    return section


class Trade:
    """The trade base, and the runs over it in their order."""

    def __init__(self, bench: Bench, offers: int) -> None:
        self.folder, self.known = bench.generated("trade", f"trade-{offers}", offers)
        self.project = Project(bench, "small")

    def first_load(self, _round: int) -> Measurement:
        """Everything is new."""
        self.project.forget()
        for name in ("goods", "prices", "stock"):
            self.project.put(self.folder / f"{name}.csv", f"{name}.csv")
        return self.project.run("offers", sources=self.known, creates=self.known["goods"], acked=self.known["goods"])

    def no_changes(self, _round: int) -> Measurement:
        """The same files."""
        return self.project.run("offers", sources=self.known, unchanged=self.known["goods"], **QUIET)

    def one_change(self, _round: int) -> Measurement:
        """The price in the first row is another one."""
        prices = self.project.data / "prices.csv"
        copy = prices.with_name(".prices.copy")
        shutil.copyfile(prices, copy)
        with copy.open("r+b") as file:
            changed = PRICE.sub(_next_price, file.read(4096), count=1)
            file.seek(0)
            file.write(changed)
        copy.replace(prices)
        return self.project.run("offers", sources=self.known, creates=0, updates=1, deletes=0, acked=1)


def _next_price(found: re.Match[bytes]) -> bytes:
    """Another price of the same length."""
    return b",%d%b,RUB" % (int(found[1]) % 9 + 1, found[2])


def _multiply(project: Project) -> None:
    text = (project.pipelines / "offers.yaml").read_text(encoding="utf-8")
    for number in range(PIPELINES):
        copy = text.replace("pipeline: offers", f"pipeline: offers_{number}", 1)
        (project.pipelines / f"offers_{number}.yaml").write_text(copy, encoding="utf-8")


def _milliseconds(standing: Standing) -> float | None:
    seconds = value(standing, "wall")
    return None if seconds is None else seconds * 1000
