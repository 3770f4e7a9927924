"""Ours and the peers on two snapshots of one table: what tables `diff`, `large` and `first` share."""

from __future__ import annotations

import json
import pathlib

from .bench import Bench
from .contest import Contestant
from .machine import python, require
from .measure import Measurement, measured
from .obmen import QUIET, Project, expect


class Snapshots:
    """A pair of snapshots, and the project that compares them."""

    def __init__(self, bench: Bench, project: str, rows: int, columns: int) -> None:
        self.bench = bench
        self.rows = rows
        self.folder, self.known = bench.generated("snapshots", f"snapshots-{rows}-{columns}", rows, columns)
        self.project = Project(bench, project, f"{project}-{rows}")

    def first_load(self, _round: int = 0) -> Measurement:
        """The first snapshot into an empty state: every row is new."""
        self.project.forget()
        self.project.put(self.folder / "first.parquet", "goods.parquet")
        rows = self.known["rows"]
        return self.project.run("goods", sources={"goods": rows}, read=rows, creates=rows, acked=rows, held=0, invalid=0)

    def changes(self, _round: int = 0) -> Measurement:
        """The second snapshot after the first: what changed is found and delivered."""
        self.project.put(self.folder / "second.parquet", "goods.parquet")
        counts = {name: self.known[name] for name in ("creates", "updates", "deletes")}
        sources = {"goods": self.known["second_rows"]}
        return self.project.run("goods", sources=sources, **counts, acked=sum(counts.values()), held=0, invalid=0)

    def no_changes(self, _round: int = 0) -> Measurement:
        """The second snapshot again."""
        return self.project.run("goods", unchanged=self.known["second_rows"], **QUIET)

    def peer(self, package: str, memory: str | None = None) -> Measurement:
        """The same comparison by a peer, both snapshots read."""
        require(package)
        room = self.bench.room("peer")
        files = [self.folder / "first.parquet", self.folder / "second.parquet"]
        run = measured(python("suite.peers.diff", package, *files, room, *([memory] if memory else [])))
        found = json.loads(run.output)
        for name in ("creates", "updates", "deletes"):
            expect(name, found[name], self.known[name])
        return run

    def ours(self, suffix: str = "") -> list[Contestant]:
        """First load, changes, no changes: in this order, since each goes on from the one before."""
        return [
            Contestant(f"Obmen, first load{suffix}", self.first_load, ours=True),
            Contestant(f"**Obmen, what changed{suffix}**", self.changes, ours=True, reference=True),
            Contestant(f"Obmen, nothing changed{suffix}", self.no_changes, ours=True),
        ]

    def described(self) -> str:
        """What is compared, in a sentence."""
        sizes = " and ".join(f"{_megabytes(self.folder / name)} MB" for name in ("first.parquet", "second.parquet"))
        known = self.known
        return (
            f"{_spaced(self.rows)} rows, Parquet (zstd), {sizes}. In the second snapshot {_spaced(known['updates'])} rows "
            f"are updated, {_spaced(known['creates'])} are new, {_spaced(known['deletes'])} are gone."
        )


def _megabytes(path: pathlib.Path) -> int:
    return round(path.stat().st_size / 1e6)


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")
