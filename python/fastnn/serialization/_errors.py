"""The exception of damaged or unusable checkpoint files."""

from __future__ import annotations

__all__ = ["CheckpointError"]


class CheckpointError(RuntimeError):
    """A file that is not a checkpoint, is damaged, or holds what fastnn cannot represent.

    It is a ``RuntimeError``, which is what PyTorch raises for a damaged archive. A pickle stream that asks for
    something a checkpoint may not contain raises :class:`pickle.UnpicklingError` instead, as in PyTorch.
    """
