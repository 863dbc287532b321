"""The random number generator of the process: seeding it, saving and restoring its state.

After :func:`manual_seed` the draws (:func:`fastnn.rand`, :func:`fastnn.randn`, :func:`fastnn.randint`,
:func:`fastnn.randperm` and the in-place distributions) are equal to PyTorch's, number for number, and states can be
exchanged with it. Dropout is the exception: its mask comes from a counter-based stream that is seeded from the
generator, so it is reproducible, but not PyTorch's.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastnn._C import default_generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastnn._C import Generator, Tensor

__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it.

    Args:
        seed: an integer in ``[-2**63, 2**64)``; a negative one means ``2**64 + seed``.

    Raises:
        ValueError: the seed is out of range, or no integer.

    Example::

        >>> import fastnn
        >>> generator = fastnn.manual_seed(0)
        >>> fastnn.rand(2)
        tensor([0.4963, 0.7682])
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system's randomness and return the 64-bit seed.

    Example::

        >>> import fastnn
        >>> fastnn.seed() == fastnn.initial_seed()
        True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator.

    Example::

        >>> import fastnn
        >>> _ = fastnn.manual_seed(-1)
        >>> fastnn.initial_seed()
        18446744073709551615
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator: 5056 bytes, in the same layout as PyTorch's.

    Shape:
        ``(5056,)``, dtype uint8.

    Example::

        >>> import fastnn
        >>> state = fastnn.get_rng_state()
        >>> a = fastnn.rand(3)
        >>> fastnn.set_rng_state(state)
        >>> bool((fastnn.rand(3) == a).all())
        True
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator into a state that :func:`get_rng_state` gave.

    Args:
        new_state: ``(5056,)``, dtype uint8.

    Raises:
        TypeError: not a uint8 tensor.
        RuntimeError: the bytes are no state; the generator is unchanged.
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Iterable[int] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """Restore the state of the default generator when the block ends.

    Args:
        devices: accepted for compatibility; there are no devices but the CPU, whose state is always kept.
        enabled: if false, do nothing.
        device_type: accepted for compatibility; ``"meta"`` turns the fork off, as in PyTorch.

    Example::

        >>> import fastnn
        >>> _ = fastnn.manual_seed(0)
        >>> with fastnn.random.fork_rng():
        ...     inside = fastnn.rand(2)
        >>> bool((fastnn.rand(2) == inside).all())
        True
    """
    if not enabled or device_type == "meta":
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
