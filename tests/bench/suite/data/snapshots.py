"""Two snapshots of a table of goods as Parquet (zstd), with known differences.

    python -m suite.data.snapshots FOLDER ROWS COLUMNS

COLUMNS is 10 or 4. Of every 1000 rows 15 are updated and 1 is deleted in the second snapshot, and as many rows as
were deleted are new. Keys are 32 hexadecimal digits, in no order.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .mix import below, mix
from .words import GOODS, NOTES

CHUNK = 1_000_000
BLOCK, UPDATED, DELETED = 1000, 15, 1
STRIDE = 61  # coprime with BLOCK, so that a block's chosen rows are apart
INVERSE = pow(STRIDE, -1, BLOCK)
HEX = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2").view(np.uint16)


def main() -> None:
    folder, rows, columns = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if rows % BLOCK:
        sys.exit(f"rows must be a multiple of {BLOCK}")
    write(folder / "first.parquet", rows, columns, second=False)
    write(folder / "second.parquet", rows, columns, second=True)
    blocks = rows // BLOCK
    known = {"rows": rows, "second_rows": rows, "creates": blocks, "updates": blocks * UPDATED, "deletes": blocks * DELETED}
    (folder / "manifest.json").write_text(json.dumps(known), encoding="utf-8")


def write(path: pathlib.Path, rows: int, columns: int, second: bool) -> None:
    """Writes a snapshot a million rows at a time."""
    writer = None
    for start in range(0, rows, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, rows))
        place = _place(numbers)
        updated = (place < UPDATED) if second else np.zeros(len(numbers), bool)
        if second:
            kept = (place < UPDATED) | (place >= UPDATED + DELETED)
            numbers, updated = numbers[kept], updated[kept]
        writer = _append(writer, path, chunk(numbers, updated, columns))
    if second:
        new = np.arange(rows, rows + rows // BLOCK)
        writer = _append(writer, path, chunk(new, np.zeros(len(new), bool), columns))
    writer.close()


def chunk(numbers: np.ndarray, updated: np.ndarray, columns: int) -> pa.Table:
    """The rows of these numbers. Of an updated row the price differs, of every third the quantity too."""
    price = below(numbers, 3, 10_000_000) + 100 + updated * (1 + below(numbers, 13, 500))
    quantity = below(numbers, 4, 500_000) + (updated & (numbers % 3 == 0)) * 1000
    made = {
        "id": _hex(numbers),
        "sku": pc.binary_join_element_wise("A-", _text(numbers), ""),
        "price": _decimal(price, 12, 2),
        "quantity": _decimal(quantity, 15, 3),
    }
    if columns == 10:
        made |= {
            "name": _names(numbers),
            "arrived": pa.array((below(numbers, 5, 3650) + 16_000).astype(np.int32)).cast(pa.date32()),
            "changed": pa.array(below(numbers, 6, 10**14) + 1_600_000_000_000_000).cast(pa.timestamp("us")),
            "active": pa.array(below(numbers, 7, 10) > 0),
            "pieces": pa.array(below(numbers, 8, 1000).astype(np.int32)),
            "note": _notes(numbers),
        }
    return pa.table(made)


def _place(numbers: np.ndarray) -> np.ndarray:
    """Where in its block's shuffled order a row stands: the first are updated, then one is deleted."""
    first = below(numbers // BLOCK, 1, BLOCK)
    return ((numbers % BLOCK - first) * INVERSE) % BLOCK


def _append(writer: pq.ParquetWriter | None, path: pathlib.Path, table: pa.Table) -> pq.ParquetWriter:
    if writer is None:
        writer = pq.ParquetWriter(path, table.schema, compression="zstd")
    writer.write_table(table, row_group_size=250_000)
    return writer


def _hex(numbers: np.ndarray) -> pa.Array:
    bits = np.stack([mix(numbers, 101), mix(numbers, 102)], axis=1)
    text = HEX[bits.view(np.uint8)]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 32
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _decimal(unscaled: np.ndarray, precision: int, scale: int) -> pa.Array:
    """Not negative numbers as decimals, without going through text."""
    words = np.zeros((len(unscaled), 2), np.int64)
    words[:, 0] = unscaled
    kind = pa.decimal128(precision, scale)
    return pa.Array.from_buffers(kind, len(unscaled), [None, pa.py_buffer(words)])


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _names(numbers: np.ndarray) -> pa.Array:
    words = pa.array(GOODS).take(pa.array(below(numbers, 9, len(GOODS))))
    return pc.binary_join_element_wise(words, " М", _text(below(numbers, 10, 48) + 2), " ГОСТ ", _text(numbers % 7919), "")


def _notes(numbers: np.ndarray) -> pa.Array:
    """One in four rows has none."""
    which = below(numbers, 11, 4 * len(NOTES) // 3 + 1)
    return pa.array(NOTES).take(pa.array(np.minimum(which, len(NOTES) - 1), mask=which >= len(NOTES)))


if __name__ == "__main__":
    main()
