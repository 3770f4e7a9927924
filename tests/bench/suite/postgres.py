"""A PostgreSQL server for the tables that need one: our own schema, made and dropped by `psql`."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator

from .machine import require_program
from .measure import prepared

SCHEMA = "obmen_bench"
SCRIPTS = pathlib.Path(__file__).parent / "data"


class Server:
    """A database named by a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """What the projects read the URL from."""
        return {"OBMEN_BENCH_POSTGRES": self.url}

    def client(self) -> str:
        """The path of psql, or `NotFound`."""
        return require_program("psql", "psql of the package postgresql-client")

    def sql(self, text: str) -> str:
        """Runs statements one by one, and returns what they print, unaligned."""
        client = self.client()
        return prepared([client, self.url, "-v", "ON_ERROR_STOP=1", "-AtqX", "-c", text]).strip()

    @contextlib.contextmanager
    def filled(self, script: str, rows: int) -> Iterator[str]:
        """Our schema, filled by `data/SCRIPT.sql` with tables of so many rows; dropped in the end, however it ends."""
        self.sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        try:
            print(f"filling {script} with {rows} rows", file=sys.stderr, flush=True)
            variables = ["-v", f"rows={rows}", "-v", f"schema={SCHEMA}", "-v", "ON_ERROR_STOP=1"]
            prepared([self.client(), self.url, "-qX", *variables, "-f", SCRIPTS / f"{script}.sql"])
            yield SCHEMA
        finally:
            self.sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
