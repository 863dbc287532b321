"""Keeps third_party/ true: what is installed is what its records say, and Eigen gets into the sdist.

    python tools/third_party.py check   # compare the installed build requirements with the recorded hashes
    python tools/third_party.py vendor  # copy Eigen's headers to third_party/eigen, for a source distribution

Both need the build requirements of pyproject.toml; only the standard library is imported.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THIRD_PARTY = ROOT / "third_party"


def read_record(name: str) -> dict[str, str]:
    """The `key = "value"` lines of third_party/<name>.toml. (Python 3.10 has no tomllib.)"""
    text = (THIRD_PARTY / f"{name}.toml").read_text(encoding="utf-8")
    return dict(re.findall(r'^([\w-]+) = "(.*)"$', text, flags=re.MULTILINE))


def find_installed(path: str) -> Path | None:
    """The first folder of `sys.path` that holds `path`, joined with it."""
    return next((Path(d, path) for d in sys.path if Path(d, path).exists()), None)


def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hash_tree(folder: Path) -> str:
    """SHA-256 over the lines `<a file's SHA-256>  <its path in the folder>`, sorted by path."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{hash_file(folder / name)}  {name}\n" for name in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_hash(name: str, got: str, expected: str) -> None:
    if got != expected:
        raise SystemExit(f"{name}: SHA-256 is {got}, third_party/{name}.toml says {expected}")
    print(f"{name}: {got}")


def check() -> None:
    """Exits with an error if an installed file differs from its record."""
    eigen = read_record("eigen")
    headers = find_installed(eigen["path"])
    if headers is None:
        raise SystemExit(f"eigen: not installed; pip install {eigen['requirement']}")
    check_hash("eigen", hash_tree(headers), eigen["sha256"])

    blas = read_record("openblas")
    library = find_installed(blas["path"])
    if library is None:
        raise SystemExit(f"openblas: not installed; pip install {blas['requirement']}")
    check_hash("openblas", hash_file(library), blas[f"sha256-{platform.machine()}"])

    pybind11 = read_record("pybind11")
    headers = find_installed(pybind11["path"])
    if headers is None:
        raise SystemExit(f"pybind11: not installed; pip install {pybind11['requirement']}")
    check_hash("pybind11", hash_tree(headers), pybind11["sha256"])


def vendor() -> None:
    """Copies Eigen's headers to third_party/eigen/Eigen, after checking their hash."""
    eigen = read_record("eigen")
    target = THIRD_PARTY / "eigen" / "Eigen"
    if target.exists() and hash_tree(target) == eigen["sha256"]:
        return
    headers = find_installed(eigen["path"])
    if headers is None:
        raise SystemExit(f"eigen: not installed; pip install {eigen['requirement']}")
    check_hash("eigen", hash_tree(headers), eigen["sha256"])
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(headers, target)


if __name__ == "__main__":
    commands = {"check": check, "vendor": vendor}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]]()
