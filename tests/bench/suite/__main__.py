"""The command line: which tables, how large, where the result goes."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import pathlib
import sys
import tempfile

from . import machine
from .bench import Bench
from .measure import Failed, Wrong
from .postgres import Server
from .report import Section

TABLES = ["diff", "large", "delta", "postgres", "first", "small", "commerceml"]


def main() -> int:
    """Measures, prints, writes; 1 if any result was wrong, or ours failed, or a table could not be made."""
    options = _options()
    postgres = Server(os.environ.get("OBMEN_BENCH_POSTGRES", "postgres://root@127.0.0.1/test"))
    obmen = os.environ.get("OBMEN", "target/release/obmen")
    out = options.out or _default_out(pathlib.Path(obmen))
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = ["# Measured" + (", quick: a tenth of the size, one round" if options.quick else "")]
    parts.append(machine.description(obmen, postgres.url))
    failed = False
    with tempfile.TemporaryDirectory(prefix="obmen-bench-", dir=os.environ.get("OBMEN_BENCH_TMP")) as folder:
        rounds = options.rounds or (1 if options.quick else 3)
        bench = Bench(pathlib.Path(folder), obmen, postgres, options.quick, rounds)
        print("\n\n".join(parts), flush=True)
        for name in [table for table in TABLES if table in options.tables] or TABLES:
            section = _section(bench, name)
            failed = failed or section is None or section.bad
            parts.append(section.markdown() if section else f"## {name}\n\nNot made; see the messages.")
            print("\n" + parts[-1], flush=True)
            out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}", file=sys.stderr)
    return 1 if failed else 0


def _section(bench: Bench, name: str) -> Section | None:
    """One table, or None where even its data could not be made."""
    before = machine.load()
    try:
        section = importlib.import_module(f".tables.{name}", __package__).measure(bench)
    except (Failed, Wrong) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    rounds = f"median of {bench.rounds}" if bench.rounds > 1 else "one run each"
    section.notes.append(f"CPU and wall: {rounds}; load of the machine {before} before, {machine.load()} after.")
    return section


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description="Measures Obmen beside its peers.")
    parser.add_argument("tables", metavar="NAME", nargs="*", help=f"tables to make (default: all): {', '.join(TABLES)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size and one round: does everything work?")
    parser.add_argument("--rounds", type=int, help="how often everybody runs (default 3)")
    parser.add_argument("--out", type=pathlib.Path, help="where the tables are written (default target/bench/TIME.md)")
    options = parser.parse_args()
    unknown = [name for name in options.tables if name not in TABLES]
    if unknown:
        parser.error(f"no table `{unknown[0]}`; there are {', '.join(TABLES)}")
    return options


def _default_out(obmen: pathlib.Path) -> pathlib.Path:
    """Beside what the build makes: `target/bench` for `target/release/obmen`."""
    time = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H%M")
    target = obmen.resolve().parent.parent if obmen.parent.name in ("release", "debug") else pathlib.Path.cwd() / "target"
    return target / "bench" / f"{time}.md"


if __name__ == "__main__":
    sys.exit(main())
