"""What this is: the PyTorch release that fastnn follows, fastnn's own version, and the toolkits that are not there."""

from __future__ import annotations

from fastnn._C import __version__ as fastnn

from .torch_version import __version__ as __version__

__all__ = ["__version__", "cuda", "debug", "fastnn", "git_version", "hip", "xpu"]

cuda: str | None = None
hip: str | None = None
rocm: str | None = None
xpu: str | None = None
debug = False
git_version = ""
