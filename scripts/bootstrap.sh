# shellcheck shell=bash
# Sourced: one interpreter that has the pinned requirements, made on the first start.

# bootstrap FILE...: install what the requirement files ask for, and this package in editable mode,
# into .venv, once. Nothing is installed, and no network needed, if the interpreter that
# choose_python finds already has it.
bootstrap() {
    if choose_python "$@"; then return; fi
    if command -v flock >/dev/null; then
        exec 8<.
        flock -n 8 || { echo "waiting for another start that is installing into .venv"; flock 8 || true; }
    fi
    if ! choose_python "$@"; then
        make_venv
        # torch first and by itself: the others have to fit it, not the other way round.
        install "$(grep '^torch==' requirements.txt)"
        local file
        for file in "$@"; do install -r "$file"; done
        # With the setuptools that torch brings, so that this needs no network.
        install --no-deps --no-build-isolation --editable .
        "$PYTHON" scripts/requirements_met.py "$@" || fail "$PYTHON still lacks the packages above"
        rm .venv/unfinished
    fi
    exec 8<&-
}

# choose_python FILE...: set PYTHON to the active environment's interpreter if that has what the
# files ask for, else to the one of .venv; the exit status says whether nothing has to be installed.
# The active environment need not have this package: the scripts find it beside them.
choose_python() {
    local active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    PYTHON=$active/bin/python
    if [[ -n $active ]] && "$PYTHON" scripts/requirements_met.py "$@" 2>/dev/null; then return 0; fi
    PYTHON=.venv/bin/python
    [[ ! -e .venv/unfinished ]] && package_in_venv &&
        "$PYTHON" scripts/requirements_met.py "$@" 2>/dev/null
}

package_in_venv() {
    compgen -G ".venv/lib/python3*/site-packages/racing_env-*.dist-info/RECORD" >/dev/null
}

# make_venv: a .venv whose Python and pip run; one that a start left unfinished is made anew.
make_venv() {
    local base
    if [[ -e .venv/unfinished ]] || ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
        base=$(base_python)
        rm -rf .venv
        mkdir .venv
        touch .venv/unfinished
        echo "making .venv with $("$base" --version)"
        "$base" -m venv .venv || fail "$base cannot make .venv; on Debian and Ubuntu: apt install python3-venv"
    fi
    touch .venv/unfinished
}

# base_python: the name of a Python of a version that the requirements have builds for.
base_python() {
    local name
    for name in python3 python python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "Python 3.10 to 3.14 is needed; python3 is $(python3 --version 2>/dev/null || echo "not installed")"
}

install() {
    echo "installing $*"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input "$@" ||
        fail "pip install $* failed; the reason is above, and another start tries again"
}

fail() {
    echo "error: $*" >&2
    exit 1
}
