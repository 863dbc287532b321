"""Extensions of PyTorch in C++, which are bound to its binaries: building one is an error."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["CUDA_HOME", "BuildExtension", "CUDAExtension", "CppExtension", "include_paths", "load", "load_inline"]

CUDA_HOME: str | None = None
ROCM_HOME: str | None = None
CUDNN_HOME: str | None = None
IS_HIP_EXTENSION = False


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(
        "torch.utils.cpp_extension: C++ extensions are made for PyTorch's binaries and cannot be built against fastnn"
    )


load = load_inline = include_paths = library_paths = CppExtension = CUDAExtension = SyclExtension = _fail


class BuildExtension:
    """The setuptools command: using it is an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _fail()

    @classmethod
    def with_options(cls, **options: Any) -> Any:
        """An error."""
        _fail()
