"""Goods, a price and a stock of each, as Parquet: the tables of table `delta` for those who compute it anew.

    python -m suite.data.trade_tables FOLDER ROWS
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq

from .snapshots import chunk

CHUNK = 1_000_000
# Column of the snapshot → column here.
COLUMNS = {
    "goods": {"id": "id", "sku": "name"},
    "prices": {"id": "goods_id", "price": "price"},
    "stock": {"id": "goods_id", "quantity": "quantity"},
}


def main() -> None:
    folder, rows = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    writers: dict[str, pq.ParquetWriter] = {}
    for start in range(0, rows, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, rows))
        made = chunk(numbers, np.zeros(len(numbers), bool), 4)
        for name, columns in COLUMNS.items():
            table = made.select(list(columns)).rename_columns(list(columns.values()))
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema, compression="zstd")
            writers[name].write_table(table, row_group_size=250_000)
    for writer in writers.values():
        writer.close()
    (folder / "manifest.json").write_text(json.dumps({"offers": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
