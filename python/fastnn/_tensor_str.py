"""Printing of tensors, with the text that PyTorch prints.

All elements of a tensor get one width and one notation: integral values are written ``3.``, values of very different
or extreme size in scientific notation, others with a fixed number of digits. Large tensors show the edges of every
dimension. Source: the documentation of ``torch.set_printoptions``.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn._C import Tensor

__all__ = ["_str", "get_printoptions", "printoptions", "set_printoptions"]

# Scientific notation is chosen beyond these, for the sake of the eye.
_MAX_RATIO = 1000.0
_MAX_FIXED = 1.0e8
_MIN_FIXED = 1.0e-4


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}

_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed. What is not given stays, except ``sci_mode``.

    Args:
        precision: digits after the decimal point.
        threshold: tensors with more elements than this show only their edges.
        edgeitems: how many elements an edge has.
        linewidth: characters in a line.
        profile: ``"default"``, ``"short"`` or ``"full"``: values for the options before, which those given override.
        sci_mode: True for scientific notation, False for fixed, None to choose by the values.

    Raises:
        ValueError: for another profile.

    Example:
        >>> import fastnn
        >>> fastnn.set_printoptions(precision=2)
        >>> fastnn.tensor([1.12345])
        tensor([1.12])
        >>> fastnn.set_printoptions(profile="default")
    """
    global _options
    options = _options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}; got {profile!r}")
        options = _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = options._replace(**changes, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The options by name, as :func:`set_printoptions` takes them."""
    return _options._asdict()


class printoptions:
    """:func:`set_printoptions` within a ``with`` block.

    Example:
        >>> import fastnn
        >>> with fastnn._tensor_str.printoptions(precision=1):
        ...     print(fastnn.tensor([0.25]))
        tensor([0.2])
    """

    def __init__(self, **options: Any) -> None:
        self._given = options
        self._before = _options

    def __enter__(self) -> None:
        self._before = _options
        set_printoptions(**self._given)

    def __exit__(self, *error: object) -> None:
        global _options
        _options = self._before


class _Format(NamedTuple):
    """How one element is written: a format specification, a suffix for finite values, and a width."""

    specification: str
    suffix: str
    width: int

    def text(self, value: Any) -> str:
        return self.bare(value).rjust(self.width)

    def bare(self, value: Any) -> str:
        """Without the spaces in front."""
        if not self.specification:
            return str(value)
        written = format(value, self.specification)
        return written + self.suffix if self.suffix and math.isfinite(value) else written


class _ComplexFormat(NamedTuple):
    """Both parts, each in its own notation, with the sign of the imaginary one between them."""

    real: _Format
    imag: _Format

    @property
    def width(self) -> int:
        return self.real.width + self.imag.width + 1

    def text(self, value: complex) -> str:
        imag = self.imag.text(value.imag).lstrip()
        return self.real.text(value.real) + (imag if imag.startswith("-") else "+" + imag) + "j"


def _choose_complex_format(values: Sequence[complex]) -> _ComplexFormat:
    real = _choose_format([value.real for value in values], True)
    return _ComplexFormat(real, _choose_format([value.imag for value in values], True))


def _choose_format(values: Sequence[Any], is_floating: bool) -> _Format:
    """The notation and the width for a tensor with these elements."""
    if not is_floating:
        return _Format("", "", max((len(str(value)) for value in values), default=1))
    precision = _options.precision
    told = [value for value in values if value != 0.0 and math.isfinite(value)]
    if not told:
        return _notation(False, True, precision)  # zeros, nan and inf alone ask for no width and no notation
    sizes = [abs(value) for value in told]
    smallest, largest = min(sizes), max(sizes)
    integral = all(value == math.ceil(value) for value in told)
    scientific = largest / smallest > _MAX_RATIO or largest > _MAX_FIXED or (not integral and smallest < _MIN_FIXED)
    if _options.sci_mode is not None:
        scientific = _options.sci_mode
    chosen = _notation(scientific, integral, precision)
    return chosen._replace(width=max(len(chosen.bare(value)) for value in told))


def _notation(scientific: bool, integral: bool, precision: int) -> _Format:
    if scientific:
        return _Format(f".{precision}e", "", 1)
    return _Format(".0f", ".", 1) if integral else _Format(f".{precision}f", "", 1)


def _is_edged(length: int, summarize: bool) -> bool:
    return summarize and length > 2 * _options.edgeitems


def _shown(tensor: Tensor, summarize: bool) -> Any:
    """The elements that will be printed, as nested lists."""
    if tensor.dim() == 0:
        return tensor.item()
    length = tensor.size(0)
    if not summarize or (tensor.dim() == 1 and not _is_edged(length, summarize)):
        return tensor.tolist()
    if not _is_edged(length, summarize):
        return [_shown(tensor[place], True) for place in range(length)]
    edge = _options.edgeitems
    if tensor.dim() == 1:
        return tensor[:edge].tolist() + tensor[length - edge :].tolist()
    return [_shown(tensor[place], True) for place in (*range(edge), *range(length - edge, length))]


def _flatten(values: Any, dims: int) -> Iterator[Any]:
    if dims == 0:
        yield values
    elif dims == 1:
        yield from values
    else:
        for value in values:
            yield from _flatten(value, dims - 1)


def _body(values: Any, shape: Sequence[int], element: _Format | _ComplexFormat, indent: int, summarize: bool) -> str:
    """The brackets with everything in them; ``indent`` is where the opening one stands."""
    if not shape:
        return element.text(values)
    is_edged = _is_edged(shape[0], summarize)
    edge = _options.edgeitems
    if len(shape) == 1:
        texts = [element.text(value) for value in values]
        if is_edged:
            texts[edge:edge] = [" ..."]
        fits = max(1, (_options.linewidth - indent) // (element.width + 2))
        lines = [", ".join(texts[start : start + fits]) for start in range(0, len(texts), fits)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [_body(value, shape[1:], element, indent + 1, summarize) for value in values]
    if is_edged:
        parts[edge:edge] = ["..."]
    return "[" + ("," + "\n" * (len(shape) - 1) + " " * (indent + 1)).join(parts) + "]"


def _with_suffixes(text: str, suffixes: Sequence[str], indent: int) -> str:
    """Add ``, suffix`` for each, in a new line where the current one would get too long, and close the bracket."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def _suffixes(tensor: Tensor) -> list[str]:
    is_empty = tensor.numel() == 0
    told = [f"size={tuple(tensor.shape)}"] if is_empty and tensor.dim() != 1 else []
    default = _C.get_default_dtype()
    plain = (_C.int64, _C.bool, _C.complex128 if default == _C.float64 else _C.complex64)
    if tensor.dtype != default and (is_empty or tensor.dtype not in plain):
        told.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        told.append(f"grad_fn=<{tensor.grad_fn.name().rpartition('::')[2]}>")
    elif tensor.requires_grad:
        told.append("requires_grad=True")
    return told


def _str(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """The text of ``repr(tensor)``.

    Args:
        tensor_contents: what to print in place of the elements.

    Example:
        >>> import fastnn
        >>> fastnn.tensor([[1.0, 2.5], [3.0, -4.0]])
        tensor([[ 1.0000,  2.5000],
                [ 3.0000, -4.0000]])
    """
    parameters = sys.modules.get("fastnn.nn.parameter")  # without it there are no parameters
    is_plain = type(self) is _C.Tensor or (parameters is not None and type(self) is parameters.Parameter)
    prefix = "tensor(" if is_plain else f"{type(self).__name__}("
    suffixes = _suffixes(self)
    plain = self.detach()
    if tensor_contents is not None:
        body = tensor_contents
    elif plain.numel() == 0:
        body = "[]"
    else:
        shape = tuple(plain.shape)
        summarize = plain.numel() > _options.threshold
        values = _shown(plain, summarize)
        told = list(_flatten(values, len(shape)))
        element = (
            _choose_complex_format(told) if plain.is_complex() else _choose_format(told, plain.is_floating_point())
        )
        body = _body(values, shape, element, len(prefix), summarize)
    return _with_suffixes(prefix + body, suffixes, len(prefix))
