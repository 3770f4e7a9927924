"""The product: a copy of a project of `projects/`, its runs, and what their reports must say."""

from __future__ import annotations

import json
import pathlib
import shutil
from dataclasses import replace

from .bench import Bench
from .measure import Failed, Measurement, Wrong, measured, size_of

PROJECTS = pathlib.Path(__file__).parent.parent / "projects"

# What a run that found nothing to do reports.
QUIET = {"creates": 0, "updates": 0, "deletes": 0, "acked": 0, "held": 0, "invalid": 0}

# What stands in a delivered file once for each change.
MARKS = {
    ".jsonl": {"creates": b'{"op":"create"', "updates": b'{"op":"update"', "deletes": b'{"op":"delete"'},
    ".xml": {"creates": "<Предложение>".encode()},
}


class Project:
    """`projects/NAME` copied to `ROOM/pipelines`; connections find `../data` and `../out` beside it."""

    def __init__(self, bench: Bench, name: str, room: str | None = None) -> None:
        self.bench = bench
        self.room = bench.room(room or name)
        self.pipelines = self.room / "pipelines"
        self.data = self.room / "data"
        self.out = self.room / "out"
        self.state = self.room / "state"
        self.broken = False
        shutil.copytree(PROJECTS / name, self.pipelines)
        self.data.mkdir()
        # a `void` sink acks everything and keeps nothing: there the report is all there is to check
        self.writes_files = "type: void" not in (self.pipelines / "obmen.yaml").read_text(encoding="utf-8")

    def forget(self) -> None:
        """Back to before the first run."""
        self.broken = False
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
        """One measured call of any command. Raises `Failed` with the first of its diagnostics, where it has any."""
        try:
            return measured(self.command(*arguments), environment=self.bench.postgres.environment)
        except Failed as failed:
            raise Failed(_diagnostic(failed.output) or str(failed)) from failed

    def run(self, pipeline: str, *, sources: dict[str, int] | None = None, **sink: int) -> Measurement:
        """One measured `obmen run`; the counts of its only sink, and rows read by source, must be those given.

        Creates, updates and deletes are counted in delivered files too, if there are any; they are removed afterwards. Neither is
        part of the measurement. After a run that failed or was wrong there is none until `forget`.
        """
        if self.broken:
            raise Failed("not run: what it goes on from did not succeed")
        self.broken = True
        run = self.call("run", pipeline)
        _check_report(json.loads(run.output), sources or {}, sink)
        if self.writes_files:
            for name, count in delivered_in(self.out).items():
                expect(f"{name} in the delivered files", count, sink.get(name, count))
        size = size_of(self.out)
        shutil.rmtree(self.out, ignore_errors=True)
        self.broken = False
        return replace(run, output="", delivered=size)


def expect(what: str, found: object, expected: object) -> None:
    """Raises `Wrong` unless both are equal."""
    if found != expected:
        raise Wrong(f"{what}: {found}, expected {expected}")


def delivered_in(folder: pathlib.Path) -> dict[str, int]:
    """Creates, updates and deletes in files a sink wrote; of CommerceML the offers, as creates."""
    counts = dict.fromkeys(("creates", "updates", "deletes"), 0)
    for path in folder.rglob("*"):
        for name, mark in MARKS.get(path.suffix, {}).items():
            counts[name] += _occurrences(path, mark)
    return counts


def _check_report(report: dict, sources: dict[str, int], sink: dict[str, int]) -> None:
    expect("status", report["status"], "done")
    rows = {source["source"]: source["rows"] for source in report["sources"]}
    for name, count in sources.items():
        expect(f"rows of {name}", rows.get(name), count)
    [counts] = report["sinks"]
    for name, count in sink.items():
        expect(name, counts[name], count)


def _occurrences(path: pathlib.Path, mark: bytes) -> int:
    """How often `mark` stands in a file of lines."""
    count = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            count += (block + file.readline()).count(mark)
    return count


def _diagnostic(output: str) -> str | None:
    try:
        return json.loads(output)["diagnostics"][0]["message"]
    except (ValueError, LookupError, TypeError):
        return None
