#!/bin/sh
# Installs mlscale and diagnoses the example training job. Arguments go to the job: scripts/demo.sh --workers 2 --step-ms 200
set -eu
cd "$(dirname "$0")/.."
scripts/venv.sh demo
[ $# -gt 0 ] || set -- --workers 0
exec .venv/bin/mlscale diagnose -- .venv/bin/python examples/train_images.py "$@"
