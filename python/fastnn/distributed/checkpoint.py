"""Checkpoints of models that are spread over processes: there is one, so `torch.save` is all it takes."""

from __future__ import annotations

from typing import NoReturn

from .._missing import missing_attribute

__all__ = [
    "DefaultLoadPlanner",
    "DefaultSavePlanner",
    "FileSystemReader",
    "FileSystemWriter",
    "HuggingFaceStorageReader",
    "HuggingFaceStorageWriter",
    "StateDictOptions",
    "load",
    "save",
]


def _fail(*args: object, **kwargs: object) -> NoReturn:
    raise NotImplementedError(
        "torch.distributed.checkpoint: fastnn trains in one process; use model.state_dict(), torch.save and torch.load"
    )


class _Refused:
    def __init__(self, *args: object, **kwargs: object) -> None:
        _fail()


class DefaultLoadPlanner(_Refused):
    """What is read from where."""


class DefaultSavePlanner(_Refused):
    """What is written where."""


class FileSystemReader(_Refused):
    """A folder with the parts."""


class FileSystemWriter(_Refused):
    """A folder with the parts."""


class HuggingFaceStorageReader(_Refused):
    """A folder with the parts."""


class HuggingFaceStorageWriter(_Refused):
    """A folder with the parts."""


class StateDictOptions(_Refused):
    """How the state of a model is gathered."""


load = save = async_save = consolidate_safetensors_files = _fail
get_model_state_dict = set_model_state_dict = get_optimizer_state_dict = set_optimizer_state_dict = _fail
get_state_dict = set_state_dict = _fail

__getattr__ = missing_attribute("torch.distributed.checkpoint")
