"""Linear algebra: the operations of the core under PyTorch's names."""

from __future__ import annotations

from fastnn import _C

# The registry of the core is the one list of them.
for _name in dir(getattr(_C, "linalg", None)):
    if not _name.startswith("_"):
        globals()[_name] = getattr(_C.linalg, _name)
del _name

LinAlgError = _C._LinAlgError
