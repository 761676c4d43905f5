#!/usr/bin/env bash
# Runs the real esm SDK against the gateway and its sandbox upstream. `make test-sdk` calls this.
#
# Each SDK version has its own environment, made once and kept until its pins change. Needs a package index
# for that and nothing else; the product itself must be installed (`make test-sdk` sees to it).
#
#   bash tests/sdk/run.sh [pytest arguments]
#   SDK_TEST_ONLY=3.2.1 bash tests/sdk/run.sh      one version only
#   SDK_TEST_GATEWAY=/path/to/esm-gateway ...      another build of the product
set -euo pipefail
cd "$(dirname "$0")/../.."

export SDK_TEST_GATEWAY="${SDK_TEST_GATEWAY:-$PWD/.venv/bin/esm-gateway}"
# The SDK must not fetch vocabularies or weights: INFRA_PROVIDER is its own switch for that.
export INFRA_PROVIDER=1 HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1

say() { printf 'test-sdk: %s\n' "$*"; }

# The first interpreter of this version that really starts: a pyenv shim may exist and refuse.
find_python() {
    local candidate
    for candidate in "python$1" "$HOME"/.pyenv/versions/"$1".*/bin/"python$1" python3; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

set_up() { # environment, interpreter, pins, torch version
    local stamp
    stamp="$("$2" -VV | tr '\n' ' ') torch $4 $(cat "$3" tests/sdk/install_torch.py | sha256sum)"
    if [ "$(cat "$1/.ready" 2>/dev/null)" = "$stamp" ]; then
        say "$1 is ready"
        return 0
    fi
    say "making $1 (once; downloads about 1 GB)"
    rm -rf "$1"
    "$2" -m venv "$1"
    "$1/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes --no-deps -r "$3"
    "$1/bin/python" tests/sdk/install_torch.py "$4"
    printf '%s' "$stamp" >"$1/.ready"
}

run() { # SDK version, Python version, torch version, then pytest's arguments
    local sdk="$1" python="$2" torch="$3" tag="${2/./}" interpreter
    shift 3
    if [ -n "${SDK_TEST_ONLY:-}" ] && [ "$SDK_TEST_ONLY" != "${sdk%.post*}" ]; then
        return 0
    fi
    if ! interpreter="$(find_python "$python")"; then
        say "no Python $python on this machine: esm $sdk was NOT run"
        return 0
    fi
    set_up ".venv-sdk$tag" "$interpreter" "requirements/sdk-py$tag.txt" "$torch"
    say "esm $sdk on Python $python"
    ran=$((ran + 1))
    SDK_TEST_VERSION="$sdk" ".venv-sdk$tag/bin/python" -m pytest -c tests/sdk/pytest.ini tests/sdk "$@" ||
        failed="$failed $sdk"
}

if [ ! -x "$SDK_TEST_GATEWAY" ]; then
    say "$SDK_TEST_GATEWAY does not exist; 'make test-sdk' installs it" >&2
    exit 2
fi
ran=0
failed=""
run 3.2.1.post1 3.11 2.13.0 "$@"
# esm 3.4.1 declares Python >= 3.12 and torch < 2.12.
run 3.4.1.post1 3.12 2.11.0 "$@"
if [ "$ran" = 0 ]; then
    say "no SDK version could be run: Python 3.11 or 3.12 is needed" >&2
    exit 2
fi
if [ -n "$failed" ]; then
    say "FAILED with esm$failed" >&2
    exit 1
fi
