#!/bin/sh
# System packages that the tests use beside Python's: a browser that opens pages as people do, and a PostgreSQL server
# beside SQLite. As root on Debian or Ubuntu they are installed; anybody else is told what to install, and the tests
# that need them skip.
set -eu

missing=""

found=no
for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" >/dev/null 2>&1; then found=yes; fi
done
if [ "$found" = no ]; then missing="$missing chromium fonts-dejavu-core"; fi

# Debian keeps the server's programs out of the PATH
found=no
if command -v initdb >/dev/null 2>&1; then found=yes; fi
for program in /usr/lib/postgresql/*/bin/initdb; do
    if [ -x "$program" ]; then found=yes; fi
done
if [ "$found" = no ]; then missing="$missing postgresql"; fi

if [ -z "$missing" ]; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing."
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the words are names of packages
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
    echo "earmark: apt-get could not install$missing; the tests that need them will be skipped" >&2
    exit 0
fi
echo "earmark: not found:$missing; the tests that need them are skipped until they are installed (on Debian: apt-get install$missing)" >&2
