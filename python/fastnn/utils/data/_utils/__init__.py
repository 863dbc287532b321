"""What the DataLoader does with samples: `collate`, and what a worker knows about itself: `worker`."""

from __future__ import annotations

from . import collate, worker

__all__ = ["collate", "worker"]
