#!/usr/bin/env bash
# Plays every claim, and random pairs for every rule, on the real sampler of the esm package. `make test-sampler` calls
# this.
#
# The pairs are written with the product's own verdicts (.venv), then played in the environments of tests/sdk.
#
#   bash tests/sampler/run.sh [pytest arguments]
#   SAMPLER_TEST_ONLY=3.2.1 bash tests/sampler/run.sh    one version only
#   SAMPLER_TEST_CASES=20 ...                            random pairs for each rule and track, 200 if not said
set -euo pipefail
cd "$(dirname "$0")/../.."
SUITE=test-sampler
source tests/sdk/environment.sh
export DISABLE_ITERATIVE_SAMPLING_TQDM=1

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
export SAMPLER_CASES="$folder/cases.jsonl"
export SAMPLER_LETTERS="$folder/letters.jsonl"
.venv/bin/python -m tests.sampler.cases "$SAMPLER_CASES" --cases "${SAMPLER_TEST_CASES:-200}"
.venv/bin/python -m tests.sampler.letters "$SAMPLER_LETTERS"
say "$(wc -l <"$SAMPLER_CASES") pairs of calls"

ran=0
failed=""
for esm in $ESM_VERSIONS; do
    if [ -n "${SAMPLER_TEST_ONLY:-}" ] && [ "$SAMPLER_TEST_ONLY" != "${esm%.post*}" ]; then
        continue
    fi
    has_python "$esm" || continue
    environment "$esm"
    ran=$((ran + 1))
    "$ESM_PYTHON" -m pytest -c tests/sampler/pytest.ini tests/sampler "$@" || failed="$failed $esm"
done
if [ "$ran" = 0 ]; then
    say "no version of esm could be run: Python 3.11 or 3.12 is needed" >&2
    exit 2
fi
if [ -n "$failed" ]; then
    say "FAILED with esm$failed" >&2
    exit 1
fi
