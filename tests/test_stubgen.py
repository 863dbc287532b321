"""The generator of type stubs: what schemas and signatures become, and how drift shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastnn import _stubgen
from fastnn._stubgen import NamedTuples, Precise, StubError


def signatures(schema: str, keywords: tuple[str, ...] = (), method: bool = False) -> list[str]:
    found = _stubgen._overloads_of_schema(schema, keywords, method, NamedTuples())
    return [f"({', '.join(parameters)}) -> {result}" for parameters, result in found]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ("f(Tensor input) -> Tensor", "(input: Tensor) -> Tensor"),
        ("nn.f(Tensor a, Tensor? b=None) -> bool", "(a: Tensor, b: Tensor | None = None) -> _bool"),
        ("f(Tensor|Scalar a, Scalar b=1) -> int", "(a: Tensor | _Scalar, b: _Scalar = 1) -> _int"),
        (
            "f(int[2] size=1, int[] dims=[]) -> ()",
            "(size: _int | Sequence[_int] = 1, dims: Sequence[_int] = ()) -> None",
        ),
        ("f(*, dtype dtype=int64) -> Tensor", "(*, dtype: _DTypeLike = ...) -> Tensor"),
        ("f(str mode='a, b') -> Tensor[]", "(mode: _str = 'a, b') -> tuple[Tensor, ...]"),
        ("f(float from=0, float to=1) -> Tensor", "(from_: _float = 0, /, to: _float = 1) -> Tensor"),
        ("f(Tensor a) -> (Tensor, Tensor)", "(a: Tensor) -> tuple[Tensor, Tensor]"),
        ("f(Tensor a) -> (Tensor values, Tensor indices)", "(a: Tensor) -> _ValuesIndices"),
    ],
)
def test_schema(schema: str, expected: str) -> None:
    assert signatures(schema) == [expected]


def test_method_has_self_and_function_has_out() -> None:
    schema = "f(Tensor input, *, bool flag=False) -> Tensor"
    assert signatures(schema, method=True) == ["(self, *, flag: _bool = False) -> Tensor"]
    assert signatures(schema, ("out",)) == [
        "(input: Tensor, *, flag: _bool = False, out: Tensor | None = None) -> Tensor"
    ]


def test_varargs_are_a_list_or_several_arguments() -> None:
    assert signatures("f(Tensor input, *int[] size, *, bool flag=False) -> Tensor", method=True) == [
        "(self, size: Sequence[_int], *, flag: _bool = False) -> Tensor",
        "(self, *size: _int, flag: _bool = False) -> Tensor",
    ]


def test_flag_that_makes_a_tuple() -> None:
    assert signatures("f(Tensor input, bool ceil=False, bool return_indices=False) -> Tensor") == [
        "(input: Tensor, ceil: _bool = False, return_indices: Literal[False] = False) -> Tensor",
        "(input: Tensor, ceil: _bool = False, *, return_indices: Literal[True]) -> tuple[Tensor, Tensor]",
        "(input: Tensor, ceil: _bool = False, return_indices: _bool = False) -> Tensor | tuple[Tensor, Tensor]",
    ]


def test_fields_of_named_tuples_are_listed() -> None:
    named = NamedTuples()
    list(_stubgen._overloads_of_schema("f(Tensor a) -> (Tensor min, Tensor max)", (), False, named))
    assert list(named.lines()) == ["class _MinMax(NamedTuple):", "    min: Tensor", "    max: Tensor", ""]


def test_unknown_type_is_an_error() -> None:
    with pytest.raises(KeyError, match="quaternion"):
        signatures("f(quaternion q) -> Tensor")


def test_signature_in_a_docstring() -> None:
    doc = "f(self: fastnn._C.Node, count: typing.SupportsInt | typing.SupportsIndex = -1, *args) -> dtype | None\n"
    expected = ("(self, count: _int = -1, *args: Any)", "_dtype | None")
    assert _stubgen._from_docstring("Node.f", doc, Precise(), method=True) == expected
    with pytest.raises(StubError, match=r"Node\.f: no single signature"):
        _stubgen._from_docstring("Node.f", "Says nothing.", Precise(), method=True)


def test_check_prints_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "_C.pyi"
    monkeypatch.setattr(_stubgen, "stubs", lambda: {path: "old: int\nnew: int\n"})
    path.write_text("old: int\n", encoding="utf-8")
    assert _stubgen.main(["--check"]) == 1
    assert "+new: int" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == "old: int\n"
    assert _stubgen.main([]) == 0
    assert _stubgen.main(["--check"]) == 0
    assert capsys.readouterr() == ("", "")


def test_wrong_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _stubgen.main(["--chek"]) == 2
    assert "usage: python -m fastnn._stubgen [--check]" in capsys.readouterr().err
