"""Obmen measured beside its peers. `python -m suite --help`, or `../run.sh`, which installs the peers first.

The process that measures imports the standard library alone: a child's peak memory is never below that of the
process that started it. Data and peers are programs of their own under `data/` and `peers/`.
"""
