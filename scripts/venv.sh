#!/bin/sh
# Makes .venv with mlscale and the extras named by $1 ("demo" or "test"). Safe to run again.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ ! -x .venv/bin/python ]; then
  "$python" -m venv .venv || { echo "python3-venv is missing: apt-get install -y python3-venv" >&2; exit 1; }
fi
index=""
# Without a GPU the CPU build of PyTorch does, and is a tenth of the size.
if ! command -v nvidia-smi >/dev/null 2>&1 && ! .venv/bin/python -c "import torch" 2>/dev/null; then
  cpu=https://download.pytorch.org/whl/cpu
  if .venv/bin/python - "$cpu" <<'PY' 2>/dev/null
import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=5)
PY
  then index="--extra-index-url $cpu"; fi
fi
# shellcheck disable=SC2086
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $index -e ".[$1]"
