"""Special functions: the operations of the core under PyTorch's names."""

from __future__ import annotations

from fastnn import _C

# The registry of the core is the one list of them.
for _name in dir(getattr(_C, "special", None)):
    if not _name.startswith("_"):
        globals()[_name] = getattr(_C.special, _name)
del _name
