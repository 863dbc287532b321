"""``torch.distributed.nn``: collective operations that gradients pass through, for a group of one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import _checked, _copy, _fill, _group
from ._group import ReduceOp
from ._refused import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import Tensor

__all__ = [
    "RemoteModule",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]


class RemoteModule(Refused):
    """A module in another process."""


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """The tensor of process `src`, which is this one: a copy."""
    _group(group)
    _checked(src)
    return tensor.clone()


def reduce(tensor: Tensor, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The reduction over the group: a copy."""
    return broadcast(tensor, dst, group)


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The reduction over the group: a copy.

    Args:
        tensor: of any shape; gradients pass through.
        op: which reduction.
        group: the group; None is the default one.

    Raises:
        ValueError: there is no process group.

    Example:
        >>> import fastnn
        >>> fastnn.distributed.init_process_group("gloo", world_size=1, rank=0)
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> fastnn.distributed.nn.all_reduce(3 * x).sum().backward()
        >>> x.grad
        tensor([3., 3.])
        >>> fastnn.distributed.destroy_process_group()
    """
    _group(group)
    return tensor.clone()


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes: a tuple with a copy of this one."""
    return (all_reduce(tensor, group=group),)


def gather(tensor: Tensor, dst: int = 0, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes, in process `dst`: a tuple with a copy of this one."""
    return (broadcast(tensor, dst, group),)


def scatter(tensors: Sequence[Tensor], src: int = 0, group: Any = None) -> Tensor:
    """The tensor that process `src` has for this one: a copy of the only one."""
    (tensor,) = tensors
    return broadcast(tensor, src, group)


def reduce_scatter(output: Tensor, input_list: Sequence[Tensor], op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The reduction of the tensors that are meant for this process: a copy of the only one, which `output` gets too."""
    (tensor,) = input_list
    return all_to_all_single(output, tensor, group=group)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: Sequence[Tensor], group: Any = None
) -> tuple[Tensor, ...]:
    """What all processes have for this one: a copy of the only tensor, which the list gets too."""
    _group(group)
    (tensor,) = input_tensor_list
    _fill(output_tensor_list, tensor, "all_to_all")
    return (tensor.clone(),)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Any = None,
) -> Tensor:
    """The parts that all processes have for this one: a copy of the input, which `output` gets too."""
    _group(group)
    _copy(output, input)
    return input.clone()


functional = sys.modules[__name__]  # PyTorch has these functions there
