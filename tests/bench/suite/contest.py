"""Paired runs: everybody once, then everybody again, so that a busy minute of the machine hits all alike."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .measure import MEGABYTE, Failed, Measurement, Wrong


@dataclass
class Contestant:
    """One line of a table: who, and how one checked run of it is made (the argument is the round, from 0)."""

    name: str
    run: Callable[[int], Measurement]
    ours: bool = False  # ours must succeed; a peer may fail
    reference: bool = False  # the run of ours that the peers are compared with


@dataclass
class Standing:
    """A contestant's runs, and what ended them early."""

    contestant: Contestant
    runs: list[Measurement] = field(default_factory=list)
    trouble: str | None = None
    wrong: bool = False

    @property
    def bad(self) -> bool:
        """Whether the suite has failed by it: a wrong result of anybody, or no result of ours."""
        return self.wrong or (self.contestant.ours and self.trouble is not None)

    @property
    def cpu(self) -> float:
        """Median CPU seconds."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def wall(self) -> float:
        """Median wall seconds."""
        return statistics.median(run.wall for run in self.runs)

    @property
    def peak(self) -> int:
        """Highest peak memory of all runs, in bytes."""
        return max(run.peak for run in self.runs)

    @property
    def counts(self) -> bool:
        """Whether there is something to compare."""
        return bool(self.runs) and self.trouble is None


def contest(title: str, rounds: int, contestants: Sequence[Contestant]) -> list[Standing]:
    """Runs all contestants `rounds` times in turn. One that failed or was wrong does not run again."""
    standings = [Standing(contestant) for contestant in contestants]
    for number in range(rounds):
        for standing in standings:
            if standing.trouble is not None:
                continue
            name = standing.contestant.name
            try:
                run = standing.contestant.run(number)
                standing.runs.append(run)
                said = f"{run.cpu:.2f} s CPU, {run.wall:.2f} s wall, {run.peak / MEGABYTE:.0f} MB"
            except Wrong as wrong:
                standing.trouble, standing.wrong = f"WRONG RESULT: {wrong}", True
                said = standing.trouble
            except Failed as failed:
                standing.trouble = str(failed)
                said = standing.trouble
            print(f"{title} {number + 1}/{rounds}  {name}: {said}", file=sys.stderr, flush=True)
    return standings
