"""Published packages on fastnn: the same programs under PyTorch and under fastnn's alias, with the same results."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import fastnn

FOLDER = Path(__file__).parent / "ecosystem"
# The programs, each with the packages that it needs. A group shares two processes.
QUICK = {
    "einops_arrays": ("einops", "safetensors"),
    "safetensors_files": ("safetensors",),
}
SLOW = {
    "accelerate_training": ("accelerate", "safetensors"),
    "timm_models": ("timm", "torchvision", "safetensors"),
    "torchvision_models": ("torchvision", "safetensors"),
    "transformers_models": ("transformers", "safetensors"),
    "transformers_trainer": ("transformers", "accelerate", "tokenizers", "safetensors"),
    "peft_lora": ("peft", "transformers", "safetensors"),
}
TOLERANCE = 1e-4


def missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def run(folder: Path, names: list[str], *launcher: str) -> dict[str, Any]:
    source = str(Path(fastnn.__file__).resolve().parent.parent)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": source}
    command = [sys.executable, "-W", "ignore", *launcher, str(FOLDER / "__main__.py"), str(folder), *names]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the programs of a group give, under fastnn and under PyTorch; a group is run when first asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
    known: dict[str, tuple[Any, Any]] = {}

    def of(group: dict[str, tuple[str, ...]], name: str) -> tuple[Any, Any]:
        if name not in known:
            folder = tmp_path_factory.mktemp("ecosystem")
            names = [name for name, packages in group.items() if not missing(packages)]
            theirs, ours = run(folder, names), run(folder, names, "-m", "fastnn.run")
            known.update({name: (ours[name], theirs[name]) for name in names})
        return known[name]

    return of


def differences(ours: Any, theirs: Any, place: str) -> list[str]:
    """The places where two results differ by more than the tolerance."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and ours.keys() == theirs.keys():
        return [text for key in theirs for text in differences(ours[key], theirs[key], f"{place}[{key!r}]")]
    if isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [text for i, (one, other) in pairs for text in differences(one, other, f"{place}[{i}]")]
    if isinstance(theirs, float) and isinstance(ours, float):
        close = math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return [] if close or (math.isnan(ours) and math.isnan(theirs)) else [f"{place}: {ours} instead of {theirs}"]
    return [] if ours == theirs else [f"{place}: {ours!r:.200} instead of {theirs!r:.200}"]


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)], ids=[*QUICK, *SLOW]
)
def test_program_gives_the_same_under_both(name: str, results: Any) -> None:
    group = QUICK if name in QUICK else SLOW
    if absent := missing(group[name]):
        pytest.skip(f"needs {', '.join(absent)}")
    ours, theirs = results(group, name)
    assert isinstance(theirs, dict), theirs
    assert isinstance(ours, dict), ours
    assert len(theirs) > 5
    assert differences(ours, theirs, name) == []


def test_what_counts_as_a_difference() -> None:
    same = {"a": [1.0, "x", math.nan], "b": 2}
    assert differences({"a": [1.00001, "x", math.nan], "b": 2}, same, "") == []
    assert differences({"a": [1.001, "x", math.nan], "b": 2}, same, "") == ["['a'][0]: 1.001 instead of 1.0"]
    assert len(differences({"a": [1.0, "y", 0.0], "b": 3}, same, "")) == 3
    assert len(differences({"a": [1.0, "x"], "b": 2}, same, "")) == 1
    assert len(differences({"a": [1.0]}, same, "")) == 1


@pytest.mark.slow
def test_operations_of_torchvision_s_compiled_part_are_refused(tmp_path: Path) -> None:
    if missing(("torchvision",)):
        pytest.skip("needs torchvision")
    source = str(Path(fastnn.__file__).resolve().parent.parent)
    code = "import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.ones(1), 0.5)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "fastnn.run", "-c", code],
        env={**os.environ, "PYTHONPATH": source}, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1 and "RuntimeError: Couldn't load custom C++ ops" in done.stderr
