"""What a namespace such as ``torch.cuda`` answers where there is no such device: nothing there, truthfully."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from fastnn._C import Tensor

__all__ = ["NoAccelerator", "StandIn"]


class StandIn:
    """A class that is there for annotations and ``isinstance``; making an object of it is an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{type(self).__name__} needs an accelerator, and fastnn runs on the CPU only")


class NoAccelerator:
    """The functions of a device namespace. Queries give nothing, and so does what only tidies up; using the device is
    an error."""

    def __init__(self, name: str) -> None:
        self._name = name

    def is_available(self) -> bool:
        """False."""
        return False

    def is_initialized(self) -> bool:
        """False."""
        return False

    def device_count(self) -> int:
        """0."""
        return 0

    def is_bf16_supported(self, including_emulation: bool = True) -> bool:
        """False."""
        return False

    def fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise what PyTorch raises in a build without the device."""
        raise AssertionError(f"Torch not compiled with {self._name} enabled")

    def nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: there is nothing to do it to."""

    def no_bytes(self, device: Any = None) -> int:
        """0 bytes."""
        return 0

    def no_statistics(self, device: Any = None) -> OrderedDict[str, Any]:
        """No statistics."""
        return OrderedDict()

    def manual_seed(self, seed: int) -> None:
        """Check the seed; there is no generator to give it to."""
        int(seed)

    def get_rng_state_all(self) -> list[Tensor]:
        """The states of no generators."""
        return []


class NoDevice:
    """``with torch.cuda.device(index)``: a negative index or None is no device and passes."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None and not (isinstance(self.idx, int) and self.idx < 0):
            raise RuntimeError(f"device {self.idx!r} is not available: fastnn runs on the CPU only")

    def __exit__(self, *error: object) -> None:
        pass
