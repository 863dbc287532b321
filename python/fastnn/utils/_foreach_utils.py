"""Lists of tensors sorted by device and dtype: what optimizers outside of the library use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import Tensor

__all__ = ["_group_tensors_by_device_and_dtype"]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: Sequence[Sequence[Tensor | None]], with_indices: bool = False
) -> dict[tuple[Any, Any], tuple[list[list[Tensor | None]], list[int]]]:
    """Split lists of equal length by the device and dtype of the tensors in the first one.

    Args:
        tensorlistlist: the lists; all but the first may be empty.
        with_indices: whether the places in the given lists are wanted.

    Returns:
        For each pair of device and dtype: the parts of all lists, and the places or an empty list.

    Raises:
        RuntimeError: the lists differ in length, or there is no tensor in the first one where there should be.

    Example:
        >>> import fastnn
        >>> from fastnn.utils._foreach_utils import _group_tensors_by_device_and_dtype
        >>> _group_tensors_by_device_and_dtype([[fastnn.ones(1)], [None]], with_indices=True)
        {(device(type='cpu'), torch.float32): ([[tensor([1.])], [None]], [0])}
    """
    first = tensorlistlist[0]
    if any(len(one) not in (0, len(first)) for one in tensorlistlist):
        raise RuntimeError(f"tensor lists must have equal lengths or be empty, got {[len(x) for x in tensorlistlist]}")
    groups: dict[tuple[Any, Any], tuple[list[list[Tensor | None]], list[int]]] = {}
    for place, tensor in enumerate(first):
        if tensor is None:
            raise RuntimeError(f"the first list must have tensors only, got None at {place}")
        parts, places = groups.setdefault((tensor.device, tensor.dtype), ([[] for _ in tensorlistlist], []))
        for part, one in zip(parts, tensorlistlist, strict=True):
            if len(one) > 0:
                part.append(one[place])
        if with_indices:
            places.append(place)
    return groups


def _has_foreach_support(tensors: Sequence[Any], device: Any) -> bool:
    """Whether ``_foreach_*`` pays: it is for accelerators."""
    return False


def _get_foreach_kernels_supported_devices() -> list[str]:
    """The accelerators that have ``_foreach_*``."""
    return []


def _get_fused_kernels_supported_devices() -> list[str]:
    """Where optimizers have fused steps."""
    return ["cpu"]
