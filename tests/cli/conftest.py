from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import Run, environment


@pytest.fixture
def mlscale(tmp_path: Path) -> Run:
    """Runs `mlscale ARGUMENTS` in an empty folder and waits for its end."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 120, **more: object):  # type: ignore[no-untyped-def]
        return subprocess.run(
            [sys.executable, "-m", "mlscale", *map(str, arguments)],
            cwd=tmp_path,
            env=env or environment(),
            timeout=timeout,
            check=False,
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )

    return run
