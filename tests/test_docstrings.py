"""Every example runs: those in docstrings print what they say, the Python blocks of documents raise nothing."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fastnn
from fastnn import _C

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def names_in_examples() -> dict[str, Any]:
    """What an example may use without importing it."""
    return {"fastnn": fastnn, "torch": fastnn, "nn": fastnn.nn, "F": fastnn.nn.functional}


def modules() -> Iterator[ModuleType]:
    yield fastnn
    for found in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
        if found.name.split(".")[-1] not in {"__main__", "_C"}:
            yield importlib.import_module(found.name)


def compiled() -> Iterator[tuple[str, Any]]:
    """Functions of the extension, and methods of its types."""
    for prefix, module in (("fastnn", _C), ("fastnn.nn.functional", _C.nn)):
        for name, value in vars(module).items():
            if inspect.isclass(value):
                yield f"{prefix}.{name}", value
                yield from ((f"{prefix}.{name}.{key}", member) for key, member in vars(value).items())
            elif callable(value):
                yield f"{prefix}.{name}", value


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        for test in finder.find(module, module.__name__, globs=names_in_examples()):
            if test.examples:
                yield test
    parser = doctest.DocTestParser()
    for name, value in compiled():
        text = value.__doc__
        if isinstance(text, str) and ">>>" in text:
            yield parser.get_doctest(text, names_in_examples(), name, "fastnn._C", 0)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fastnn.manual_seed(0)
    output: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(example, out=output.append)
    assert not failed, "".join(output)


ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def python_blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if python_blocks(name)])
def test_document(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a document, one after the other."""
    if "onnx" in "".join(python_blocks(document)):
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in python_blocks(document):
        exec(compile(block, document, "exec"), names)
