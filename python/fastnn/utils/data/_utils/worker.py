"""What code that runs in a worker process of a DataLoader can ask about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..dataset import Dataset

__all__ = ["WorkerInfo", "get_worker_info"]


class WorkerInfo:
    """The place of a worker process among the workers of its DataLoader."""

    id: int
    num_workers: int
    seed: int
    dataset: Dataset[Any]


def get_worker_info() -> WorkerInfo | None:
    """What this worker process is, or None in the process that made the DataLoader.

    A DataLoader loads in its own process (`num_workers=0`), so it is None everywhere.

    Example:
        >>> import fastnn
        >>> fastnn.utils.data.get_worker_info() is None
        True
    """
    return None
