"""Which implementation scaled dot product attention may use; `flex_attention` is in a module of its own."""

from __future__ import annotations

import enum
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..._lazy_names import export_lazily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import flex_attention as flex_attention

__all__ = ["SDPBackend", "sdpa_kernel"]
export_lazily(__name__, {}, "flex_attention")


class SDPBackend(enum.IntEnum):
    """The implementations that PyTorch has; here all of them stand for the one there is."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[dict[Any, Any]]:
    """Select implementations of scaled dot product attention; there is one, whose results are the same for any choice.

    Args:
        backends: one or several of SDPBackend.
        set_priority: whether their order counts. Default: False.

    Raises:
        AssertionError: `backends` is neither an SDPBackend nor a list.

    Example:
        >>> import fastnn; from fastnn.nn.attention import SDPBackend, sdpa_kernel
        >>> q = fastnn.randn(1, 2, 3, 4)
        >>> with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        ...     fastnn.nn.functional.scaled_dot_product_attention(q, q, q).shape
        torch.Size([1, 2, 3, 4])
    """
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
            f"{type(backends).__name__}"
        )
    yield {}
