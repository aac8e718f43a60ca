#!/bin/sh
# System packages that the tests use beside Python's: a browser that opens the report as people do.
# As root on Debian or Ubuntu they are installed; anybody else is told what to install, and the browser tests skip.
set -eu

for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" >/dev/null 2>&1; then
        exit 0
    fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium for the browser tests."
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; then
        exit 0
    fi
    echo "earmark: apt-get could not install chromium; the browser tests will be skipped" >&2
    exit 0
fi
echo "earmark: no chromium found; the browser tests will be skipped until it is installed (on Debian: apt-get install chromium)" >&2
