#!/usr/bin/env bash
# Measures Obmen beside its peers and prints the tables; README.md says what each shows. From anywhere:
#
#   tests/bench/run.sh [--quick] [--rounds N] [--out FILE] [NAME…]
#
# OBMEN                  the binary; otherwise target/release/obmen
# OBMEN_BENCH_POSTGRES   a database a schema may be created in; otherwise postgres://root@127.0.0.1/test
# OBMEN_BENCH_TMP        where generated data goes (40 GB for everything); otherwise the folder for temporary files
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/obmen-bench"
venv="$cache/venv"
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  echo "installing the peers into $venv" >&2
  python3 -m venv "$venv"
  # One by one: a peer that does not install here is named in the tables, and is tried again next time.
  missing=0
  while IFS= read -r requirement; do
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$requirement" </dev/null >&2 || missing=1
  done < <(grep -v '^#' "$here/requirements.txt")
  [ "$missing" = 1 ] || cp "$here/requirements.txt" "$venv/requirements.txt"
fi
export OBMEN="${OBMEN:-${CARGO_TARGET_DIR:-$here/../../target}/release/obmen}"
export PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" -m suite "$@"
