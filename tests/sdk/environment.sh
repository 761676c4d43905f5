# Environments with one version of the real esm package each; sourced by tests/sdk/run.sh and tests/sampler/run.sh.
#
# Each is made once and kept until its pins change. Needs a package index for that and nothing else. Runs from the
# repository's root.

# The package must not fetch vocabularies or weights: INFRA_PROVIDER is its own switch for that.
export INFRA_PROVIDER=1 HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1

ESM_VERSIONS="3.2.1.post1 3.4.1.post1"

python_of() { # esm version
    case "$1" in
    3.2.*) echo 3.11 ;;
    *) echo 3.12 ;; # esm 3.4.1 declares Python >= 3.12 ...
    esac
}

torch_of() { # esm version
    case "$1" in
    3.2.*) echo 2.13.0 ;;
    *) echo 2.11.0 ;; # ... and torch < 2.12
    esac
}

say() { printf '%s: %s\n' "${SUITE:-environment}" "$*"; }

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

# Whether this machine has the Python that this esm version wants; says so where it has not.
has_python() { # esm version
    if ! find_python "$(python_of "$1")" >/dev/null; then
        say "no Python $(python_of "$1") on this machine: esm $1 was NOT run"
        return 1
    fi
}

# Makes the environment for this esm version and leaves its interpreter in ESM_PYTHON. Not to be called in a condition:
# there the shell would go on after a failed step.
environment() { # esm version
    local python tag
    python="$(python_of "$1")"
    tag="${python/./}"
    set_up ".venv-sdk$tag" "$(find_python "$python")" "requirements/sdk-py$tag.txt" "$(torch_of "$1")"
    ESM_PYTHON=".venv-sdk$tag/bin/python"
    say "esm $1 on Python $python"
}
