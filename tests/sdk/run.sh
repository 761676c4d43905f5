#!/usr/bin/env bash
# Runs the real esm SDK against the gateway and its sandbox upstream. `make test-sdk` calls this.
#
# The product itself must be installed (`make test-sdk` sees to it).
#
#   bash tests/sdk/run.sh [pytest arguments]
#   SDK_TEST_ONLY=3.2.1 bash tests/sdk/run.sh      one version only
#   SDK_TEST_GATEWAY=/path/to/esm-gateway ...      another build of the product
set -euo pipefail
cd "$(dirname "$0")/../.."
SUITE=test-sdk
source tests/sdk/environment.sh
export SDK_TEST_GATEWAY="${SDK_TEST_GATEWAY:-$PWD/.venv/bin/esm-gateway}"

if [ ! -x "$SDK_TEST_GATEWAY" ]; then
    say "$SDK_TEST_GATEWAY does not exist; 'make test-sdk' installs it" >&2
    exit 2
fi
ran=0
failed=""
for sdk in $ESM_VERSIONS; do
    if [ -n "${SDK_TEST_ONLY:-}" ] && [ "$SDK_TEST_ONLY" != "${sdk%.post*}" ]; then
        continue
    fi
    has_python "$sdk" || continue
    environment "$sdk"
    ran=$((ran + 1))
    SDK_TEST_VERSION="$sdk" "$ESM_PYTHON" -m pytest -c tests/sdk/pytest.ini tests/sdk "$@" || failed="$failed $sdk"
done
if [ "$ran" = 0 ]; then
    say "no SDK version could be run: Python 3.11 or 3.12 is needed" >&2
    exit 2
fi
if [ -n "$failed" ]; then
    say "FAILED with esm$failed" >&2
    exit 1
fi
