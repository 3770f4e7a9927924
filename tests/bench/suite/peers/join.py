"""The three-way join of table `delta`, computed anew over Parquet: what a change costs those who remember nothing.

    python -m suite.peers.join duckdb|polars FOLDER

FOLDER holds goods, prices and stock; it receives `offers.parquet`. Prints the number of offers.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys


def main() -> None:
    peer, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    out = folder / "offers.parquet"
    print(json.dumps({"offers": {"duckdb": duckdb_join, "polars": polars_join}[peer](folder, out)}))


def duckdb_join(folder: pathlib.Path, out: pathlib.Path) -> int:
    """The SQL of the pipeline, with its steps as common table expressions."""
    import duckdb

    database = duckdb.connect()
    database.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
    database.execute("SET preserve_insertion_order = false")
    database.execute(
        f"""
        COPY (
          WITH lowest_prices AS (SELECT goods_id, min(price) AS price FROM '{folder}/prices.parquet' GROUP BY goods_id),
               in_stock AS (SELECT goods_id, sum(quantity) AS quantity FROM '{folder}/stock.parquet' GROUP BY goods_id)
          SELECT g.id, g.name, p.price, s.quantity
          FROM '{folder}/goods.parquet' g JOIN lowest_prices p ON p.goods_id = g.id JOIN in_stock s ON s.goods_id = g.id
        ) TO '{out}' (FORMAT parquet)"""
    )
    return database.execute(f"SELECT count(*) FROM '{out}'").fetchone()[0]


def polars_join(folder: pathlib.Path, out: pathlib.Path) -> int:
    """The same with the streaming engine."""
    import polars

    goods, prices, stock = (polars.scan_parquet(folder / f"{name}.parquet") for name in ("goods", "prices", "stock"))
    lowest = prices.group_by("goods_id").agg(polars.col("price").min())
    in_stock = stock.group_by("goods_id").agg(polars.col("quantity").sum())
    offers = goods.join(lowest, left_on="id", right_on="goods_id").join(in_stock, left_on="id", right_on="goods_id")
    offers.select("id", "name", "price", "quantity").sink_parquet(out, engine="streaming")
    return polars.scan_parquet(out).select(polars.len()).collect().item()


if __name__ == "__main__":
    main()
