"""What a bug report should say: ``python -m torch.utils.collect_env``."""

from __future__ import annotations

import platform
import sys

from fastnn import _C

__all__ = ["get_pretty_env_info", "main"]


def get_pretty_env_info() -> str:
    """Versions, machine, and how fastnn runs on it.

    Example:
        >>> import fastnn
        >>> "Python version" in fastnn.utils.collect_env.get_pretty_env_info()
        True
    """
    from ..cli import info_text
    from ..torch_version import __version__

    lines = [
        f"PyTorch version: {__version__}",
        "Is debug build: False",
        "CUDA used to build PyTorch: None",
        "Is CUDA available: False",
        "",
        f"OS: {platform.platform()}",
        f"Python version: {sys.version}",
        f"CPU: {platform.processor() or platform.machine()}",
        "",
    ]
    return "\n".join(lines) + info_text(_C.info())


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
