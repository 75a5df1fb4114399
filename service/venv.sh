#!/bin/sh
# Builds the virtual environment $1 and installs $2 into it, editable; says in one sentence what is missing.
set -eu
venv=$1 what=$2

fail() {
    echo "syncd: error: $1" >&2
    echo "syncd: hint: $2" >&2
    exit 1
}

# $PYTHON if given, else the first Python of 3.11 or newer on the PATH.
python=
for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>/dev/null || echo "no ${PYTHON:-python3}")
    fail "Python 3.11 or newer is needed, and $found is here" "Debian: apt install python3.11; macOS: brew install python"
fi

# Debian ships Python without ensurepip; a venv made so is broken, and must not stay.
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        fail "this Python cannot make virtual environments" "Debian: apt install python3-venv"
    fi
    "$python" -m venv "$venv" || fail "the virtual environment could not be made in $venv" "df -h ."
fi

echo "syncd: installing into $venv" >&2
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$what"; then
    fail "the packages could not be installed" "look at the lines above; a network is needed the first time"
fi
