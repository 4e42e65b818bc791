#!/usr/bin/env bash
# Lint, types and tests, on a machine that needs only Python and bash.
set -euo pipefail

usage="usage: ./run_tests.sh [--slow]

  --slow  also run the tests that take longer than a few seconds, and measure what all of them cover"

case $#${1:-} in
0) which=(-m "not slow") ;;
1--slow) which=(--cov=racing_env) ;; # for which Python code takes half as long again
1--help | 1-h) echo "$usage" && exit ;;
*) echo "error: unknown arguments '$*'; --help lists what there is" >&2 && exit 2 ;;
esac
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" >/dev/null
source scripts/bootstrap.sh
source scripts/machine.sh
bootstrap requirements-dev.txt
jobs=$(at_most 4 $(($(core_count) + 1))) # one more than cores: tests wait for programs that they start

# Threads beside busy processes only take their cores.
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
if [[ ${CI:-} == true ]]; then verbosity=-v; else verbosity=-q; fi

# What takes long to compile is compiled once, beside lint and types, for all processes of tests.
RACING_ENV_TEST_KERNELS=$(mktemp -d)
export RACING_ENV_TEST_KERNELS
trap 'rm -rf "$RACING_ENV_TEST_KERNELS"' EXIT
compiling=()
for layout in line-preview-1 centre-preview-1; do
    NUMBA_CACHE_DIR=$RACING_ENV_TEST_KERNELS/$layout PYTHONPATH=. "$PYTHON" tests/kernels.py "$layout" &
    compiling+=($!)
done
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
for job in "${compiling[@]}"; do wait "$job"; done
"$PYTHON" -m pytest "$verbosity" "${which[@]}" \
    --numprocesses="$jobs" --dist=loadfile --no-loadscope-reorder --durations=5
