"""Export of whole programs, which needs tracing: the names are there, and calling them is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute

__all__ = ["Dim", "ExportedProgram", "export", "load", "save"]


class ExportedProgram:
    """An exported program: for ``isinstance`` and annotations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _fail()


class Dim:
    """The name of a size that may change."""

    AUTO = "AUTO"
    DYNAMIC = "DYNAMIC"
    STATIC = "STATIC"

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:
        self.__name__, self.min, self.max = name, min, max


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        "torch.export: fastnn does not trace programs; keep the model's Python code and state_dict"
    )


export = draft_export = load = save = unflatten = export_for_training = _fail


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """Several :class:`Dim`."""
    return tuple(Dim(name, min=min, max=max) for name in names)


def register_dataclass(cls: Any, *, serialized_type_name: str | None = None) -> None:
    """Make a dataclass a node of pytrees."""
    import dataclasses

    from .utils import _pytree

    names = [field.name for field in dataclasses.fields(cls)]

    def flatten(value: Any) -> tuple[list[Any], Any]:
        return [getattr(value, name) for name in names], None

    def unflatten_(values: Any, context: Any) -> Any:
        return cls(**dict(zip(names, values, strict=True)))

    _pytree.register_pytree_node(cls, flatten, unflatten_, serialized_type_name=serialized_type_name)


__getattr__ = missing_attribute("torch.export")
