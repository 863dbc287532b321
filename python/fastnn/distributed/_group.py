"""The group of one process, and the small types around it."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

__all__ = ["Backend", "GroupMember", "P2POp", "ProcessGroup", "ReduceOp", "Work", "group"]


class Backend(str):
    """The name of a backend."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    backend_list: ClassVar[list[str]] = ["undefined", "gloo", "nccl", "xccl", "ucc", "mpi"]

    def __new__(cls, name: str) -> Backend:
        return super().__new__(cls, name.lower())

    @classmethod
    def register_backend(cls, name: str, func: Any, *args: Any, **kwargs: Any) -> None:
        """Add a name."""
        cls.backend_list.append(name.lower())


class ReduceOp(enum.Enum):
    """How values are put together."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


class Work:
    """A collective operation, which is done."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def wait(self, timeout: Any = None) -> bool:
        """True."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True

    def result(self) -> Any:
        """The tensors."""
        return self._result

    def get_future(self) -> Any:
        """The tensors, as a future."""
        from concurrent.futures import Future

        future: Future[Any] = Future()
        future.set_result(self._result)
        return future


class ProcessGroup:
    """A group of one process."""

    def __init__(self, backend: str) -> None:
        self.backend = Backend(backend)
        self.group_name = "0"

    def size(self) -> int:
        """1."""
        return 1

    def rank(self) -> int:
        """0."""
        return 0

    def name(self) -> str:
        """The name of the backend."""
        return self.backend


class group:
    """The default group, once there is one."""

    WORLD: ClassVar[ProcessGroup | None] = None


class GroupMember:
    """The default group, and the mark of a group that this process is not in."""

    WORLD: ClassVar[ProcessGroup | None] = None
    NON_GROUP_MEMBER: ClassVar[int] = -100


class P2POp:
    """A message to another process; there is none."""

    def __init__(
        self,
        op: Any,
        tensor: Any,
        peer: int | None = None,
        group: Any = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        self.op, self.tensor, self.peer, self.group, self.tag = op, tensor, peer, group, tag
