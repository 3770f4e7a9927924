"""What every table is given: sizes, rounds, folders, the binary, and what earlier tables measured."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
from dataclasses import dataclass, field

from .contest import Standing
from .machine import python
from .measure import prepared
from .postgres import Server


@dataclass
class Bench:
    """One run of the suite."""

    folder: pathlib.Path  # everything generated is below it
    obmen: str
    postgres: Server
    quick: bool = False
    rounds: int = 3
    first_loads: dict[int, Standing] = field(default_factory=dict)  # by rows, of the ten-column snapshot

    def rows(self, full: int) -> int:
        """A number of rows, a tenth of it with `--quick`."""
        return full // 10 if self.quick else full

    def room(self, name: str) -> pathlib.Path:
        """An empty folder."""
        room = self.folder / name
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir(parents=True)
        return room

    def generated(self, generator: str, name: str, *arguments: object) -> tuple[pathlib.Path, dict]:
        """The folder a generator of `data/` filled, once per run of the suite, and what it knows about it."""
        folder = self.folder / "data" / name
        manifest = folder / "manifest.json"
        if not manifest.exists():
            print(f"generating {name}", file=sys.stderr, flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            prepared(python(f"suite.data.{generator}", folder, *arguments))
        return folder, json.loads(manifest.read_text(encoding="utf-8"))
