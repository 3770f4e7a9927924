"""A table of PostgreSQL, landed."""

from __future__ import annotations

import json
import pathlib
import sysconfig

from ..bench import Bench
from ..contest import Contestant, Standing, contest
from ..machine import python, require
from ..measure import Measurement, measured, prepared
from ..obmen import QUIET, Project, expect
from ..report import Requirement, Section, megabytes, ratio, value

TITLE = "a table of PostgreSQL, landed"
TABLE = "goods"


def measure(bench: Bench) -> Section:
    """Ours, the peers that read PostgreSQL, and psql, which only passes bytes on. The server's own CPU is not counted."""
    rows = bench.rows(5_000_000)
    with bench.postgres.filled("goods_table", rows) as schema:
        landing = Landing(bench, schema, rows)
        standings = contest("postgres", bench.rounds, landing.contestants())
    landed, peers, copy = standings[1], standings[2:-1], standings[-1]
    best = min((peer for peer in peers if peer.counts), key=lambda peer: peer.wall, default=None)
    notes = [
        f"{rows} rows, 10 columns. `psql` is COPY in binary to /dev/null, which nobody decodes; its rows cannot be checked.",
        "Ours reads, lands, hashes and compares every row; the run finds no change, so nothing is delivered.",
    ]
    section = Section("postgres", TITLE, notes)
    section.add(standings)
    section.requirements = [
        Requirement("wall, ours / fastest peer", "×", ratio(landed, best, "wall"), 1),
        Requirement("CPU, ours / cheapest peer", "×", _least(landed, peers), 1),
        Requirement("rows/s, ours / psql COPY", "×", _speed(landed, copy), 0.5, 0.8, at_least=True),
        Requirement("peak memory", "MB", megabytes(landed), 512),
    ]
    return section


class Landing:
    """The table, and everybody who reads it."""

    def __init__(self, bench: Bench, schema: str, rows: int) -> None:
        self.bench, self.schema, self.rows = bench, schema, rows
        self.server = bench.postgres
        self.project = Project(bench, "postgres")
        self.pieces = int(self.server.sql(f"SELECT sum(pieces) FROM {schema}.{TABLE}"))

    def contestants(self) -> list[Contestant]:
        """Ours first, psql last."""
        return [
            Contestant("Obmen, first load", self.first_load, ours=True),
            Contestant("**Obmen, landed, nothing changed**", self.landed, ours=True, reference=True),
            Contestant("ConnectorX → Arrow", lambda _: self.extract("connectorx", "connectorx")),
            Contestant("ADBC → Arrow", lambda _: self.extract("adbc-driver-postgresql", "adbc")),
            Contestant("ADBC → Parquet", lambda _: self.extract("adbc-driver-postgresql", "adbc_parquet")),
            Contestant("dlt (pyarrow) → Parquet", lambda _: self.extract("dlt", "dlt")),
            Contestant("Sling → CSV", self.sling),
            Contestant("psql COPY → /dev/null", self.copy),
        ]

    def first_load(self, _round: int) -> Measurement:
        """Everything is new."""
        self.project.forget()
        return self.project.run(TABLE, sources={TABLE: self.rows}, creates=self.rows, acked=self.rows)

    def landed(self, _round: int) -> Measurement:
        """The whole table again; this is what counts as landing."""
        return self.project.run(TABLE, sources={TABLE: self.rows}, unchanged=self.rows, **QUIET)

    def extract(self, package: str, peer: str) -> Measurement:
        """A Python library; what it left in files is counted after it ended."""
        require(package)
        landed = self.bench.room("peer") / "landed"
        landed.mkdir()
        run = measured(python("suite.peers.extract", peer, self.server.url, self.schema, TABLE, landed))
        return self.checked(run, json.loads(run.output) or self.found(landed))

    def sling(self, _round: int) -> Measurement:
        """The binary out of the Python package, told not to call home."""
        room = self.bench.room("peer")
        folders = {"HOME": str(room), "SLING_HOME_DIR": str(room / "sling"), "SLING_TEMP_DIR": str(room / "temp")}
        source = ["--src-conn", _without_ssl(self.server.url), "--src-stream", f"{self.schema}.{TABLE}"]
        target = ["--tgt-object", f"file://{room}/{TABLE}.csv"]
        run = measured([_sling(), "run", *source, *target], environment={**folders, "SLING_DISABLE_TELEMETRY": "TRUE"})
        return self.checked(run, self.found(room))

    def copy(self, _round: int) -> Measurement:
        """As fast as the server gives rows away."""
        statement = f"COPY {self.schema}.{TABLE} TO STDOUT (FORMAT binary)"
        return measured([self.server.client(), self.server.url, "-qX", "-c", statement], keep_output=False)

    def found(self, landed: pathlib.Path) -> dict[str, int]:
        """What is in a peer's files."""
        return json.loads(prepared(python("suite.peers.extract", "check", landed)))

    def checked(self, run: Measurement, found: dict[str, int]) -> Measurement:
        """The run, if all rows came."""
        expect("rows", found["rows"], self.rows)
        expect("sum of pieces", found["pieces"], self.pieces)
        return run


def _sling() -> pathlib.Path:
    require("sling-linux-amd64")
    [binary] = pathlib.Path(sysconfig.get_paths()["purelib"], "sling_linux_amd64", "bin").glob("sling-*")
    return binary


def _without_ssl(url: str) -> str:
    """Sling insists on TLS unless told otherwise."""
    return url if "sslmode=" in url else url + ("&" if "?" in url else "?") + "sslmode=disable"


def _least(ours: Standing, peers: list[Standing]) -> float | None:
    cheapest = min((peer for peer in peers if peer.counts), key=lambda peer: peer.cpu, default=None)
    return ratio(ours, cheapest, "cpu")


def _speed(ours: Standing, copy: Standing) -> float | None:
    wall, theirs = value(ours, "wall"), value(copy, "wall")
    return theirs / wall if wall and theirs else None
