"""The product: a copy of a project of `projects/`, its runs, and what their reports must say."""

from __future__ import annotations

import json
import pathlib
import shutil
from dataclasses import replace

from .bench import Bench
from .measure import Measurement, Wrong, measured

PROJECTS = pathlib.Path(__file__).parent.parent / "projects"

# What a run that found nothing to do reports.
QUIET = {"creates": 0, "updates": 0, "deletes": 0, "acked": 0, "held": 0, "invalid": 0}


class Project:
    """`projects/NAME` copied to `ROOM/pipelines`; connections find `../data` and `../out` beside it."""

    def __init__(self, bench: Bench, name: str, room: str | None = None) -> None:
        self.bench = bench
        self.room = bench.room(room or name)
        self.pipelines = self.room / "pipelines"
        self.data = self.room / "data"
        self.out = self.room / "out"
        self.state = self.room / "state"
        shutil.copytree(PROJECTS / name, self.pipelines)
        self.data.mkdir()

    def forget(self) -> None:
        """Back to before the first run."""
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)

    def put(self, file: pathlib.Path, name: str) -> None:
        """Makes `file` the file `name` of `data`, by rename, as an exporting program does."""
        new = self.data / f".{name}.new"
        new.unlink(missing_ok=True)
        new.hardlink_to(file)
        new.replace(self.data / name)

    def command(self, *arguments: str) -> list[str]:
        """The command line of one call."""
        folders = ["--project", str(self.pipelines), "--state", str(self.state)]
        return [self.bench.obmen, *folders, "--quiet", "--output", "json", *arguments]

    def call(self, *arguments: str) -> Measurement:
        """One measured call of any command."""
        return measured(self.command(*arguments), environment=self.bench.postgres.environment)

    def run(self, pipeline: str, *, sources: dict[str, int] | None = None, **sink: int) -> Measurement:
        """One measured `obmen run`; the counts of its only sink, and rows read by source, must be those given.

        What it delivered is removed afterwards, outside of the measurement.
        """
        run = self.call("run", pipeline)
        report = json.loads(run.output)
        expect(f"status of {pipeline}", report["status"], "done")
        counts = report["sinks"][0]
        for name, count in sink.items():
            expect(name, counts[name], count)
        rows = {source["source"]: source["rows"] for source in report["sources"]}
        for name, count in (sources or {}).items():
            expect(f"rows of {name}", rows.get(name), count)
        notes = {"rows": sum(rows.values()), "delivered_bytes": self._clear_out()}
        return replace(run, output="", notes=notes)

    def _clear_out(self) -> int:
        files = [file for file in self.out.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        shutil.rmtree(self.out, ignore_errors=True)
        return size


def expect(what: str, found: object, expected: object) -> None:
    """Raises `Wrong` unless both are equal."""
    if found != expected:
        raise Wrong(f"{what}: {found}, expected {expected}")
