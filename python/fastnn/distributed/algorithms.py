"""Training in which processes have different numbers of batches: one process waits for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._missing import missing_attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Join", "JoinHook", "Joinable"]


class JoinHook:
    """What a process that has no more batches does while others go on."""

    def main_hook(self) -> None:
        """While there are others."""

    def post_hook(self, is_last_joiner: bool) -> None:
        """After all have ended."""


class Joinable:
    """What takes part in :class:`Join`."""

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """The hook of this object."""
        return JoinHook()


class Join:
    """A block in which processes may run out of batches at different times; at its end the hooks are called.

    Args:
        joinables: what takes part.
        enable: False for a block without any effect.
        throw_on_early_termination: accepted: the one process is the last one too.

    Raises:
        ValueError: there is nothing to join.

    Example:
        >>> from fastnn.distributed.algorithms import Join, Joinable
        >>> with Join([Joinable()]):
        ...     steps = 3
    """

    def __init__(
        self,
        joinables: Sequence[Joinable],
        enable: bool = True,
        throw_on_early_termination: bool = False,
        **kwargs: Any,
    ) -> None:
        if not joinables:
            raise ValueError("The join context manager requires at least one joinable")
        self._joinables = joinables
        self._hooks = [joinable.join_hook(**kwargs) for joinable in joinables] if enable else []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            for hook in self._hooks:
                hook.post_hook(True)

    @staticmethod
    def notify_join_context(joinable: Joinable) -> None:
        """Nothing to wait for."""


__getattr__ = missing_attribute("torch.distributed.algorithms")
