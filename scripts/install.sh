#!/bin/sh
# Make .venv if it is absent or broken, and install Earmark into it with one extra: sh scripts/install.sh train|dev
set -eu
cd "$(dirname "$0")/.."
extra="$1"
python="${PYTHON:-python3}"

if ! command -v "$python" >/dev/null 2>&1; then
    echo "earmark: $python is not installed: install Python 3.11 or newer, or name yours with make PYTHON=/path/to/python3.12" >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    found="$("$python" -c 'import platform; print(platform.python_version())')"
    echo "earmark: $python is Python $found and Earmark needs 3.11 or newer: name a newer one with make PYTHON=/path/to/python3.12" >&2
    exit 2
fi

# A folder that was copied or whose python has gone away holds a .venv that cannot run: made anew.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "earmark: $python cannot make virtual environments: on Debian or Ubuntu install python3-venv, then run make again" >&2
        exit 2
    fi
    "$python" -m venv --clear .venv
fi

echo "Installing Earmark with its extra '$extra' into .venv; the first time this takes some minutes."
# shellcheck disable=SC2086 # PIP_ARGS is a list of words
exec .venv/bin/python -m pip install --quiet --disable-pip-version-check ${PIP_ARGS:-} --editable ".[$extra]"
