"""A table of PostgreSQL, read whole.

    python -m suite.peers.extract connectorx|adbc|adbc_parquet|dlt URL SCHEMA TABLE FOLDER

`connectorx` and `adbc` end with the rows in memory as Arrow, `adbc_parquet` and `dlt` with Parquet files in FOLDER; what
a peer keeps for itself goes beside FOLDER.
Prints the number of rows and the sum of `pieces`, as far as they are at hand without reading FOLDER again.

    python -m suite.peers.extract check FOLDER

prints both for the files (Parquet or CSV) another peer left in FOLDER.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys


def main() -> None:
    what, *arguments = sys.argv[1:]
    peers = {"connectorx": connectorx, "adbc": adbc, "adbc_parquet": adbc_parquet, "dlt": dlt, "check": check}
    print(json.dumps(peers[what](*arguments)))


def connectorx(url: str, schema: str, table: str, folder: str) -> dict[str, int]:
    """One query, one connection, the binary protocol."""
    import connectorx
    import pyarrow.compute

    rows = connectorx.read_sql(_with_password(url), f"SELECT * FROM {schema}.{table}", return_type="arrow", protocol="binary")
    return {"rows": rows.num_rows, "pieces": pyarrow.compute.sum(rows["pieces"]).as_py()}


def adbc(url: str, schema: str, table: str, folder: str) -> dict[str, int]:
    """COPY in binary, collected into one Arrow table."""
    import adbc_driver_postgresql.dbapi
    import pyarrow.compute

    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {schema}.{table}")
        rows = cursor.fetch_arrow_table()
    return {"rows": rows.num_rows, "pieces": pyarrow.compute.sum(rows["pieces"]).as_py()}


def adbc_parquet(url: str, schema: str, table: str, folder: str) -> dict[str, int]:
    """The same batch by batch into one Parquet file (zstd). Its numerics arrive as text of an extension type; they are
    written as that text."""
    import adbc_driver_postgresql.dbapi
    import pyarrow
    import pyarrow.parquet

    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {schema}.{table}")
        writer = None
        for batch in cursor.fetch_record_batch():
            columns = [_storage(column) for column in batch.columns]
            plain = pyarrow.record_batch(columns, names=batch.schema.names)
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(pathlib.Path(folder) / f"{table}.parquet", plain.schema, compression="zstd")
            writer.write_batch(plain)
        writer.close()
    return {}


def dlt(url: str, schema: str, table: str, folder: str) -> dict[str, int]:
    """A pipeline of one `sql_table` with the `pyarrow` backend into a folder of Parquet files."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": f"{folder}.dlt"}
    import dlt
    from dlt.sources.sql_database import sql_table

    rows = sql_table(_with_driver(url), table=table, schema=schema, backend="pyarrow", chunk_size=100_000)
    destination = dlt.destinations.filesystem(bucket_url=f"file://{folder}")
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="landed", pipelines_dir=f"{folder}.dlt/pipelines")
    pipeline.run(rows, loader_file_format="parquet", write_disposition="replace")
    return {}


def check(folder: str) -> dict[str, int]:
    """Reads what was landed with DuckDB."""
    import duckdb

    files = [path for path in pathlib.Path(folder).rglob("*") if path.suffix in (".parquet", ".csv")]
    files = [path for path in files if not any(part.startswith("_dlt") for part in path.parts)]
    reader = "read_csv" if files and files[0].suffix == ".csv" else "read_parquet"
    query = f"SELECT count(*), sum(pieces)::BIGINT FROM {reader}({[str(path) for path in files]})"
    rows, pieces = duckdb.connect().execute(query).fetchone()
    return {"rows": rows, "pieces": pieces}


def _with_password(url: str) -> str:
    """ConnectorX takes no URL without a password."""
    scheme, rest = url.split("://", 1)
    user, _, host = rest.rpartition("@")
    return url if ":" in user or not user else f"postgresql://{user}:@{host}"


def _with_driver(url: str) -> str:
    """SQLAlchemy wants to be told the driver."""
    return "postgresql+psycopg2://" + url.split("://", 1)[1]


def _storage(column):
    return getattr(column, "storage", column)


if __name__ == "__main__":
    main()
