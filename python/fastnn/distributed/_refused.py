"""What spreads a model over several devices: names for annotations and ``isinstance``; using them is an error."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Refused", "refuse"]

_MESSAGE = "fastnn trains in one process on one device; use the model as it is"


class Refused:
    """A class of which no object can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"torch.distributed: {type(self).__name__}: {_MESSAGE}")


def refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """An error."""
    raise NotImplementedError(f"torch.distributed: {_MESSAGE}")
