"""What changed between two Parquet snapshots, column by column, old and new values written as Parquet.

    python -m suite.peers.diff duckdb|polars FIRST SECOND FOLDER [MEMORY]

FOLDER receives `changes.parquet` and what is spilled. Prints the counts.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

KEY = "id"


def main() -> None:
    peer, first, second, folder, *memory = sys.argv[1:]
    out = pathlib.Path(folder) / "changes.parquet"
    counts = {"duckdb": duckdb_diff, "polars": polars_diff}[peer](first, second, out, *memory)
    print(json.dumps({"creates": counts.get("create", 0), "updates": counts.get("update", 0), "deletes": counts.get("delete", 0)}))


def duckdb_diff(first: str, second: str, out: pathlib.Path, memory: str | None = None) -> dict[str, int]:
    """A full outer join; the order of rows is left to DuckDB, which is its fastest way."""
    import duckdb

    database = duckdb.connect()
    database.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
    database.execute("SET preserve_insertion_order = false")
    if memory:
        database.execute(f"SET memory_limit = '{memory}'")
        database.execute(f"SET temp_directory = '{out.parent / 'spill'}'")
    rows = database.execute(f"DESCRIBE SELECT * FROM '{first}'").fetchall()
    columns = [row[0] for row in rows if row[0] != KEY]
    differs = " OR ".join(f"(o.{name} IS DISTINCT FROM n.{name})" for name in columns)
    values = ", ".join(f"o.{name} AS old_{name}, n.{name} AS new_{name}" for name in columns)
    operation = f"CASE WHEN o.{KEY} IS NULL THEN 'create' WHEN n.{KEY} IS NULL THEN 'delete' ELSE 'update' END"
    database.execute(
        f"COPY (SELECT {operation} AS op, coalesce(o.{KEY}, n.{KEY}) AS {KEY}, {values}"
        f" FROM '{first}' o FULL OUTER JOIN '{second}' n ON o.{KEY} = n.{KEY}"
        f" WHERE o.{KEY} IS NULL OR n.{KEY} IS NULL OR {differs}) TO '{out}' (FORMAT parquet)"
    )
    return dict(database.execute(f"SELECT op, count(*) FROM '{out}' GROUP BY op").fetchall())


def polars_diff(first: str, second: str, out: pathlib.Path) -> dict[str, int]:
    """A full join on the streaming engine, straight into the file."""
    import polars

    old = polars.scan_parquet(first)
    columns = [name for name in old.collect_schema().names() if name != KEY]
    new = polars.scan_parquet(second)
    joined = old.join(new, on=KEY, how="full", suffix="_new", coalesce=False)
    created, deleted = polars.col(KEY).is_null(), polars.col(f"{KEY}_new").is_null()
    differs = polars.any_horizontal(polars.col(name).ne_missing(polars.col(f"{name}_new")) for name in columns)
    operation = polars.when(created).then(polars.lit("create")).when(deleted).then(polars.lit("delete")).otherwise(polars.lit("update"))
    changed = joined.filter(created | deleted | differs).with_columns(op=operation)
    changed.sink_parquet(out, engine="streaming")
    return dict(polars.scan_parquet(out).group_by("op").len().collect().iter_rows())


if __name__ == "__main__":
    main()
