"""Intel's BLAS, which is not used: fastnn has OpenBLAS."""

from __future__ import annotations

__all__ = ["is_available"]

enabled = False


def is_available() -> bool:
    """False."""
    return False


class verbose:
    """``with torch.backends.mkl.verbose(level)``: changes nothing."""

    def __init__(self, enable: int) -> None:
        self.enable = enable

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *error: object) -> None:
        pass


VERBOSE_OFF = 0
VERBOSE_ON = 1
