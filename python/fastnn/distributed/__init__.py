"""``torch.distributed`` for one process: a group of one, in which collective operations give what they get.

Programs that are made for several processes run unchanged in one, with ``WORLD_SIZE`` unset or 1. Asking for more is an
error.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from .._missing import missing_attribute
from ._group import Backend as Backend
from ._group import GroupMember, ProcessGroup, ReduceOp, Work, group
from ._group import P2POp as P2POp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn._C import Tensor

default_pg_timeout = timedelta(minutes=30)
reduce_op = ReduceOp


class DistError(RuntimeError):
    """An error of a process group."""


class DistBackendError(DistError):
    """An error of a backend."""


class DistNetworkError(DistError):
    """An error of the network."""


class DistStoreError(DistError):
    """An error of a store."""


# --- the group -------------------------------------------------------------------------------------------------------


def is_available() -> bool:
    """True: there is a group of one process."""
    return True


def is_initialized() -> bool:
    """Whether :func:`init_process_group` was called."""
    return group.WORLD is not None


def is_gloo_available() -> bool:
    """True: a group of one needs no library, and programs ask for this one on the CPU."""
    return True


def _false() -> bool:
    """False."""
    return False


is_nccl_available = is_mpi_available = is_ucc_available = is_xccl_available = _false


def is_backend_available(backend: str) -> bool:
    """Whether it is gloo, the one for CPUs."""
    return backend.lower() == "gloo"


def is_torchelastic_launched() -> bool:
    """Whether ``torchrun`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the group of this one process.

    Args:
        backend: its name is remembered.
        init_method, timeout, store, group_name, pg_options, device_id: accepted for compatibility.
        world_size: 1, or -1 to take it from the environment (``WORLD_SIZE``), which may not say more than 1.
        rank: 0, or -1.

    Raises:
        ValueError: there is a group already, or more than one process is asked for.

    Example:
        >>> import fastnn.distributed as dist
        >>> dist.init_process_group("gloo", world_size=1, rank=0)
        >>> dist.get_rank(), dist.get_world_size(), dist.get_backend()
        (0, 1, 'gloo')
        >>> dist.destroy_process_group()
    """
    if group.WORLD is not None:
        raise ValueError("trying to initialize the default process group twice!")
    size = world_size if world_size != -1 else int(os.environ.get("WORLD_SIZE", "1"))
    place = rank if rank != -1 else int(os.environ.get("RANK", "0"))
    if size != 1:
        raise ValueError(
            f"init_process_group: world_size is {size}, but fastnn trains in one process, on all cores of the machine; "
            "start one process (WORLD_SIZE=1) and let it have the whole batch"
        )
    if place != 0:
        raise ValueError(f"init_process_group: rank is {place}; in a group of one process it is 0")
    group.WORLD = GroupMember.WORLD = ProcessGroup((backend or "gloo").split(",")[0].split(":")[-1])


def destroy_process_group(group: Any = None) -> None:
    """End the group.

    Raises:
        AssertionError: there is none.
    """
    world = _group(group)
    if world is _world():
        _set_world(None)


def _set_world(new: ProcessGroup | None) -> None:
    group.WORLD = GroupMember.WORLD = new


def _world() -> ProcessGroup | None:
    return group.WORLD


def _group(given: Any = None) -> ProcessGroup:
    if isinstance(given, ProcessGroup):
        return given
    world = _world()
    if world is None:
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")
    return world


_get_default_group = _group


def _in_group(given: Any) -> bool:
    return given is not GroupMember.NON_GROUP_MEMBER


def get_rank(group: Any = None) -> int:
    """0, or -1 for a group that this process is not in."""
    if not _in_group(group):
        return -1
    _group(group)
    return 0


def get_world_size(group: Any = None) -> int:
    """1, or -1 for a group that this process is not in."""
    if not _in_group(group):
        return -1
    _group(group)
    return 1


def get_backend(group: Any = None) -> str:
    """The name that :func:`init_process_group` was given."""
    return _group(group).backend


def get_backend_config(group: Any = None) -> str:
    """The same."""
    return get_backend(group)


def get_default_backend_for_device(device: Any) -> str:
    """``"gloo"``."""
    return "gloo"


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """``LOCAL_RANK``, or 0."""
    return int(os.environ.get("LOCAL_RANK", fallback_rank or 0))


def get_process_group_ranks(group: Any) -> list[int]:
    """``[0]``."""
    return [0]


def get_global_rank(group: Any, group_rank: int) -> int:
    """0."""
    return _checked(group_rank)


def get_group_rank(group: Any, global_rank: int) -> int:
    """0."""
    return _checked(global_rank)


def get_pg_count() -> int:
    """The number of groups."""
    return int(is_initialized())


def new_group(ranks: Sequence[int] | None = None, *args: Any, backend: Any = None, **kwargs: Any) -> Any:
    """Another group of this process, or the mark of one that it is not in."""
    world = _group()
    if any(rank != 0 for rank in ranks or ()):
        raise ValueError(f"the new group's rank should be within the world_size set by init_process_group; got {ranks}")
    if ranks is not None and 0 not in ranks:
        return GroupMember.NON_GROUP_MEMBER
    return ProcessGroup(backend or world.backend)


def new_subgroups(group_size: int | None = None, group: Any = None, **kwargs: Any) -> tuple[Any, list[Any]]:
    """One group of this process, and the list of all."""
    if group_size not in (None, 1):
        raise ValueError(f"The arg 'group_size' ({group_size}) must not exceed the world size (1)")
    one = new_group([0])
    return one, [one]


def _checked(rank: int | None) -> int:
    if rank not in (0, None):
        raise ValueError(f"rank {rank} is not in the group: it has one process, rank 0")
    return 0


# --- collective operations: with oneself -----------------------------------------------------------------------------


def _done(async_op: bool, result: Any = None) -> Work | None:
    return Work(result) if async_op else None


def _fill(targets: Sequence[Tensor], source: Tensor, name: str) -> None:
    if len(targets) != 1:
        raise ValueError(f"{name}: expected a list of 1 tensor, one a process, but got {len(targets)}")
    _copy(targets[0], source)


def _copy(target: Tensor, source: Tensor) -> None:
    if target is not source:
        from ..autograd import no_grad

        with no_grad():
            target.copy_(source.reshape(target.shape))


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """The reduction over one process: the tensor stays.

    Example:
        >>> import fastnn, fastnn.distributed as dist
        >>> dist.init_process_group("gloo", world_size=1, rank=0)
        >>> x = fastnn.ones(2)
        >>> dist.all_reduce(x, op=dist.ReduceOp.SUM)
        >>> x
        tensor([1., 1.])
        >>> dist.destroy_process_group()
    """
    _group(group)
    return _done(async_op, [tensor])


def all_reduce_coalesced(
    tensors: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """:func:`all_reduce` of several."""
    for tensor in [tensors] if hasattr(tensors, "dtype") else tensors:
        all_reduce(tensor, op, group)
    return _done(async_op, tensors)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: Any = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """The reduction over one process: the tensor stays."""
    _checked(dst), _checked(group_dst)
    return all_reduce(tensor, op, group, async_op)


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False, group_src: int | None = None
) -> Work | None:
    """From process 0 to itself: the tensor stays."""
    _group(group), _checked(src), _checked(group_src)
    return _done(async_op, [tensor])


def broadcast_object_list(
    object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None, group_src: int | None = None
) -> None:
    """From process 0 to itself: the list stays."""
    _group(group), _checked(src), _checked(group_src)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensor into the list of one."""
    _group(group)
    _fill(tensor_list, tensor, "all_gather")
    return _done(async_op, tensor_list)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor into the output."""
    _group(group)
    _copy(output_tensor, input_tensor)
    return _done(async_op, output_tensor)


_all_gather_base = all_gather_into_tensor


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """The object into the list of one."""
    _group(group)
    object_list[0] = obj


def gather(
    tensor: Tensor,
    gather_list: list[Tensor] | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """The tensor into the list of one."""
    _group(group), _checked(dst), _checked(group_dst)
    _fill(gather_list or [], tensor, "gather")
    return _done(async_op, gather_list)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """The object into the list of one."""
    _group(group), _checked(dst)
    if not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    object_gather_list[0] = obj


def scatter(
    tensor: Tensor,
    scatter_list: list[Tensor] | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """The one tensor of the list into the output."""
    _group(group), _checked(src), _checked(group_src)
    _fill([tensor], (scatter_list or [tensor])[0], "scatter")
    return _done(async_op, [tensor])


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """The one object of the list into the output."""
    _group(group), _checked(src)
    scatter_object_output_list[0] = (scatter_object_input_list or [None])[0]


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """The one tensor of the list into the output."""
    _group(group)
    _fill([output], input_list[0], "reduce_scatter")
    return all_reduce(output, op, group, async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor into the output."""
    return reduce_scatter(output, [input], op, group, async_op)


_reduce_scatter_base = reduce_scatter_tensor


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None, async_op: bool = False
) -> Work | None:
    """The one tensor into the other."""
    _group(group)
    _fill(output_tensor_list, input_tensor_list[0], "all_to_all")
    return _done(async_op, output_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Any = None,
    input_split_sizes: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """The tensor into the output."""
    return all_gather_into_tensor(output, input, group, async_op)


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Nothing to wait for."""
    _group(group)
    return _done(async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Nothing to wait for."""
    _group(group)


def _alone(*args: Any, **kwargs: Any) -> NoReturn:
    """An error: there is no other process."""
    raise ValueError("there is no other process to exchange messages with: the group has one process")


send = recv = isend = irecv = send_object_list = recv_object_list = _alone


def batch_isend_irecv(p2p_op_list: list[Any]) -> list[Work]:
    """Nothing from nobody; with messages an error."""
    return [_alone() for _ in p2p_op_list]


@contextmanager
def _coalescing_manager(*args: Any, **kwargs: Any) -> Iterator[Work]:
    yield Work(None)


# --- stores and what is not there ------------------------------------------------------------------------------------


class Store:
    """Values by key, within this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._values: dict[str, bytes] = {}

    def set(self, key: str, value: str | bytes) -> None:
        """Keep a value."""
        self._values[key] = value.encode() if isinstance(value, str) else value

    def get(self, key: str) -> bytes:
        """The value."""
        return self._values[key]

    def add(self, key: str, amount: int) -> int:
        """Count."""
        total = int(self._values.get(key, b"0")) + amount
        self._values[key] = str(total).encode()
        return total

    def wait(self, keys: Any, timeout: Any = None) -> None:
        """Raise if a key is missing: nobody else would set it."""
        if missing := [key for key in keys if key not in self._values]:
            raise DistStoreError(f"wait: nobody will set {missing}")

    def check(self, keys: Any) -> bool:
        """Whether all keys are there."""
        return all(key in self._values for key in keys)

    def delete_key(self, key: str) -> bool:
        """Forget a value."""
        return self._values.pop(key, None) is not None

    def num_keys(self) -> int:
        """How many there are."""
        return len(self._values)

    def set_timeout(self, timeout: Any) -> None:
        """Nothing to wait for."""


class HashStore(Store):
    """Values by key, within this process."""


class TCPStore(Store):
    """Values by key: within this process."""


class FileStore(Store):
    """Values by key: within this process."""


class PrefixStore(Store):
    """Values by key: within this process."""


def __getattr__(name: str) -> Any:
    if name in ("distributed_c10d", "c10d"):
        return importlib.import_module(__name__)
    if name in ("algorithms", "checkpoint", "device_mesh", "elastic", "fsdp", "nn", "tensor"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in ("DeviceMesh", "init_device_mesh"):
        return getattr(importlib.import_module(f"{__name__}.device_mesh"), name)
    return missing_attribute("torch.distributed")(name)
