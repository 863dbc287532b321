"""The name ``torch``: every module of fastnn under PyTorch's name, for the running process and those it starts."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from importlib.abc import Loader
from importlib.metadata import DistributionFinder, MetadataPathFinder
from typing import TYPE_CHECKING, Any

from ._missing import missing_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.metadata import Distribution
    from types import ModuleType

__all__ = ["install_as_torch"]

# A folder with a package `torch` and its metadata: what a child process finds on its module path.
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_torch_path")

# Where fastnn has what PyTorch has in a module of another name.
_OTHER_NAMES = {
    "torch": "fastnn",
    "torch._custom_ops": "fastnn.library",
    "torch.ao.quantization": "fastnn.quantization",
    "torch.cuda.amp.autocast_mode": "fastnn.cuda.amp",
    "torch.cuda.amp.grad_scaler": "fastnn.cuda.amp",
    "torch.cuda.memory": "fastnn.cuda",
    "torch.cuda.random": "fastnn.cuda",
    "torch.distributed._composable": "fastnn.distributed",
    "torch.distributed._composable.fsdp": "fastnn.distributed.fsdp",
    "torch.distributed._tensor": "fastnn.distributed.tensor",
    "torch.distributed.algorithms.join": "fastnn.distributed.algorithms",
    "torch.distributed.checkpoint._consolidate_hf_safetensors": "fastnn.distributed.checkpoint",
    "torch.distributed.checkpoint.default_planner": "fastnn.distributed.checkpoint",
    "torch.distributed.checkpoint.hf_storage": "fastnn.distributed.checkpoint",
    "torch.distributed.checkpoint.state_dict": "fastnn.distributed.checkpoint",
    "torch.distributed.distributed_c10d": "fastnn.distributed",
    "torch.distributed.fsdp.fully_sharded_data_parallel": "fastnn.distributed.fsdp",
    "torch.distributed.nn.functional": "fastnn.distributed.nn",
    "torch.distributed.tensor._utils": "fastnn.distributed.tensor",
    "torch.distributed.tensor.parallel": "fastnn.distributed.tensor",
    "torch.distributed.tensor.placement_types": "fastnn.distributed.tensor",
    "torch.functional": "fastnn",
    "torch.jit.annotations": "fastnn.jit",
    "torch.onnx.symbolic_helper": "fastnn.onnx",
    "torch.profiler.profiler": "fastnn.profiler",
}
# Modules that are packages only in PyTorch.
_PACKAGES = {name.rpartition(".")[0] for name in _OTHER_NAMES if "." in name}


class _AliasLoader(Loader):
    """Loads a module of fastnn for a name of PyTorch."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._own_spec: Any = None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has just put that of the alias there
        if "__getattr__" not in vars(module):
            module.__getattr__ = missing_attribute(self._target.replace("fastnn", "torch", 1))  # type: ignore[method-assign]


class _Finder(DistributionFinder):
    """Finds ``torch`` and everything below, and says that a distribution of that name is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        own_name = _OTHER_NAMES.get(fullname) or fullname.replace("torch", "fastnn", 1)
        try:
            found = importlib.util.find_spec(own_name)
        except ModuleNotFoundError:
            return None
        if found is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, _AliasLoader(own_name), origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        if spec.submodule_search_locations is None and fullname in _PACKAGES:
            spec.submodule_search_locations = []
        return spec

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        if context is not None and context.name not in (None, "torch"):
            return []
        return MetadataPathFinder.find_distributions(DistributionFinder.Context(name="torch", path=[PATH]))


def install_as_torch() -> None:
    """Make ``import torch`` give fastnn, in this process and in the Python processes that it starts.

    ``torch.nn.functional``, ``torch.utils.data`` and the others are then the modules of fastnn themselves, so
    ``torch.Tensor is fastnn.Tensor``. ``torch.__version__`` is the PyTorch release that fastnn follows (fastnn's own is
    ``fastnn.version.fastnn``), and ``importlib.metadata.version("torch")`` agrees. ``python -m fastnn.run script.py``
    does the same for a script that is not to be changed.

    Raises:
        RuntimeError: PyTorch itself has been imported already.

    Example:
        >>> import subprocess, sys
        >>> code = "import fastnn; fastnn.install_as_torch(); import torch.nn as nn; print(nn is fastnn.nn)"
        >>> subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        'True\\n'
    """
    import fastnn

    from . import _c_names
    from .torch_version import __version__

    present = sys.modules.get("torch")
    if present is fastnn:
        return
    if present is not None and getattr(present, "__file__", None) != os.path.join(PATH, "torch", "__init__.py"):
        raise RuntimeError("install_as_torch: PyTorch is imported already; call it before the first `import torch`")
    fastnn.__version__ = __version__
    fastnn.Tensor.__module__ = "torch"  # code asks for the name of the type
    _c_names.install()
    sys.modules["torch"] = vars(fastnn)["torch"] = fastnn  # PyTorch has its own name among its attributes too
    sys.modules["torch._C"] = fastnn._C
    sys.meta_path.insert(0, _Finder())
    # For processes that are started: `spawn` hands over sys.path, others inherit the environment.
    sys.path.insert(min(1, len(sys.path)), PATH)
    paths = os.environ.get("PYTHONPATH")
    if paths is None or PATH not in paths.split(os.pathsep):
        os.environ["PYTHONPATH"] = PATH + (os.pathsep + paths if paths else "")
