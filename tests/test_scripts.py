"""Programs in the style of well-known ones, the same file under PyTorch and under fastnn, with the same losses."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "scripts"
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def run_all(*launcher: str) -> dict[str, list[float] | str]:
    command = [sys.executable, "-W", "ignore", *launcher, str(FOLDER / "__main__.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def curves() -> tuple[dict[str, list[float] | str], dict[str, list[float] | str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
    return run_all("-m", "fastnn.run"), run_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_script(name: str, curves: tuple[dict[str, list[float] | str], dict[str, list[float] | str]]) -> None:
    ours, theirs = curves[0][name], curves[1][name]
    assert isinstance(theirs, list), theirs
    assert isinstance(ours, list), ours
    assert len(theirs) >= 20
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
