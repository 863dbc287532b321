"""The package as installed: what it weighs, loads and carries, and that its records are true."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(fastnn.__file__).resolve().parent
RECORDS = sorted((ROOT / "third_party").glob("*.toml"))

MEGABYTE = 1 << 20


def installed_files(distribution: str) -> list[Path]:
    """The files of an installed distribution; skips the test if it is not installed by pip as a whole."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed, but run from a checkout")
    found = [Path(str(file.locate())) for file in files if "__pycache__" not in str(file)]
    return [path for path in found if path.is_file()]


def installed_package() -> list[Path]:
    files = installed_files("fastnn")
    if PACKAGE / "__init__.py" not in files:
        pytest.skip("the fastnn that is imported is not the one that pip installed")
    return files


def run_python(*arguments: str, cwd: Path | None = None, **environment: str) -> str:
    """What a fresh interpreter prints, with no environment variable but those given and the module path."""
    if "PYTHONPATH" in os.environ:
        environment = {"PYTHONPATH": os.path.abspath(os.environ["PYTHONPATH"]), **environment}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def read_record(path: Path) -> dict[str, str]:
    """A record of third_party/. (Python 3.10 has no tomllib.)"""
    return dict(re.findall(r'^([\w-]+) = "(.*)"$', path.read_text(encoding="utf-8"), flags=re.MULTILINE))


# --- weight -------------------------------------------------------------------------------------------------


def test_wheel_is_at_most_20_megabytes() -> None:
    """Of the installed files, packed as a wheel packs them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in installed_package():
            wheel.write(path)
    assert packed.tell() <= 20 * MEGABYTE


def test_installed_with_numpy_is_at_most_150_megabytes() -> None:
    files = [*installed_package(), *installed_files("numpy")]
    assert sum(path.stat().st_size for path in files) <= 150 * MEGABYTE


def test_no_source_or_build_file_is_installed() -> None:
    wrong = [path.name for path in installed_package() if path.suffix in {".cpp", ".h", ".o", ".a", ".cmake"}]
    assert wrong == []


# --- import -------------------------------------------------------------------------------------------------


def test_import_loads_no_optional_package() -> None:
    loaded = json.loads(run_python("-c", "import fastnn, json, sys; print(json.dumps(list(sys.modules)))"))
    heavy = {"torch", "scipy", "pandas", "sklearn", "mlxtend", "matplotlib", "tqdm", "safetensors", "pytest"}
    heavy |= {"multiprocessing", "asyncio", "unittest", "scipy_openblas32", "pybind11"}
    assert {name.split(".")[0] for name in loaded} & heavy == set()


def test_import_needs_no_environment_variable(tmp_path: Path) -> None:
    """The extension finds its BLAS by itself, from whatever folder, and nothing warns."""
    code = "import fastnn; print((fastnn.ones(2, 3) @ fastnn.ones(3, 2)).sum().item())"
    assert run_python("-W", "error", "-c", code, cwd=tmp_path) == "12.0"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "amd64"), reason="other machines have the baseline only")
def test_environment_lowers_the_instruction_set() -> None:
    assert re.search(
        r"^instruction set +base$", run_python("-m", "fastnn", "info", FASTNN_CPU_ISA="base"), re.MULTILINE
    )


# --- contents -----------------------------------------------------------------------------------------------


def test_version_is_the_one_of_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"$', text, re.MULTILINE).group(1) == fastnn.__version__  # type: ignore[union-attr]
    assert f"## {fastnn.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_C.pyi").is_file()


def test_licences_are_installed() -> None:
    names = {path.name for path in installed_package()}
    assert {"LICENSE", "Eigen.txt", "pybind11.txt"} <= names


def test_openblas_travels_with_its_licence() -> None:
    libraries = PACKAGE / "_libs"
    if not libraries.is_dir():
        pytest.skip("built with another BLAS")
    expected = read_record(ROOT / "third_party" / "openblas.toml").get(f"sha256-{platform.machine()}")
    got = hashlib.sha256((libraries / "libscipy_openblas.so").read_bytes()).hexdigest()
    assert got == expected
    assert "OpenBLAS" in (libraries / "LICENSE-openblas.txt").read_text(encoding="utf-8")


# --- records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_record_is_complete_and_agrees_with_the_build(path: Path) -> None:
    record = read_record(path)
    for key in ("name", "version", "licence", "licence-file", "home", "used-for", "how", "requirement"):
        assert record.get(key), key
    assert all(re.fullmatch("[0-9a-f]{64}", value) for key, value in record.items() if key.startswith("sha256"))
    assert any(key.startswith("sha256") for key in record)
    assert f'"{record["requirement"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listing = (ROOT / "third_party" / "README.md").read_text(encoding="utf-8")
    assert f"| `{path.name}` | {record['version']} | {record['licence']} |" in listing
    if record["licence-file"].startswith("third_party/"):
        assert (ROOT / record["licence-file"]).is_file()


def test_development_requirements_cover_the_build_and_the_extras() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(
        r"^(?:requires|dependencies|demo|docs|onnx|test) = \[(.*?)\]$", pyproject, re.MULTILINE | re.DOTALL
    )
    named = {name for text in lists for name in re.findall(r'"([^"]+)"', text) if not name.startswith("fastnn")}
    listed = (ROOT / "tools" / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert len(lists) == 6
    assert named - set(listed) == set()


def test_installed_requirements_have_the_recorded_hashes() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("cmeel", "scipy_openblas32", "pybind11")):
        pytest.skip("the build requirements are not installed in this environment")
    command = [sys.executable, str(ROOT / "tools" / "third_party.py"), "check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_stub_is_up_to_date() -> None:
    """`_C.pyi` is generated from the schemas: an op that was added or changed shows up in it."""
    run_python("-m", "fastnn._stubgen", "--check")
