#!/usr/bin/env bash
# Measures what the READMEs claim. Run it from the repository's root after `cargo build --release`:
#
#   tests/bench/run.sh [OFFERS]
#
# prints wall time, CPU time and peak memory of a first load, of a run in which nothing changed, and of one price
# change; then the time `validate` takes for 100 pipelines. Timings depend on the machine: compare ratios.
set -euo pipefail
offers="${1:-500000}"
target="${CARGO_TARGET_DIR:-target}"
obmen="${OBMEN:-$target/release/obmen}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 tests/bench/generate.py "$folder" "$offers"
echo "$("$obmen" --version), $(nproc) cores, $(uname -m), $(date -u +%F), $offers offers, $((offers * 9 / 2)) child rows"
measure() {
  python3 - "$@" <<'PY'
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
wall = time.monotonic() - started
use = resource.getrusage(resource.RUSAGE_CHILDREN)
if code.returncode != 0:
    sys.exit(code.stderr.decode())
print(f"{sys.argv[1]:<28} {wall:6.2f} s wall {use.ru_utime + use.ru_stime:6.2f} s CPU {use.ru_maxrss / 1024:6.0f} MB")
PY
}
run=("$obmen" --project "$folder/pipelines" --state "$folder/state" -q)
measure "first load" "${run[@]}" run offers
measure "nothing changed" "${run[@]}" run offers
measure "nothing changed, again" "${run[@]}" run offers
sed -i '2s/,[0-9.]*,RUB/,1.23,RUB/' "$folder/trade/prices.csv"
measure "one price changed" "${run[@]}" run offers
for number in $(seq 1 100); do
  sed "s/pipeline: offers/pipeline: offers_$number/" "$folder/pipelines/offers.yaml" > "$folder/pipelines/offers_$number.yaml"
done
measure "validate 101 pipelines" "${run[@]}" validate
