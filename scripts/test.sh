#!/bin/sh
# Installs what the tests need, and runs them all: style, types, unit tests, real jobs with real faults.
set -eu
cd "$(dirname "$0")/.."
missing=""
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
command -v taskset >/dev/null || missing="$missing util-linux"
command -v fusermount >/dev/null || missing="$missing fuse libfuse2"
command -v chromium >/dev/null || missing="$missing chromium"
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || { echo "the tests need: apt-get install$missing" >&2; exit 1; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
fi
scripts/venv.sh test
.venv/bin/ruff format --check src tests benchmarks examples
.venv/bin/ruff check src tests benchmarks examples
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
