"""fastnn: PyTorch's API on an ordinary CPU.

``import fastnn as torch`` and a PyTorch script runs: tensors, autograd, modules, optimizers, data, checkpoints.
"""

import importlib as _importlib
import math as _math
import os as _os

# libgomp reads this once, when it is loaded: an idle worker gives its core back soon instead of spinning for
# milliseconds, which matters as soon as anything else runs on the machine.
_SPIN = "GOMP_SPINCOUNT"
_own_spin = _SPIN not in _os.environ and "OMP_WAIT_POLICY" not in _os.environ
if _own_spin:
    _os.environ[_SPIN] = "20000"

from fastnn import _C

if _own_spin:
    del _os.environ[_SPIN]

# Operations, dtypes and small types keep their names: the registry of the core is the one list of them.
for _name in dir(_C):
    if not _name.startswith("_") and not isinstance(getattr(_C, _name), type(_C)):
        globals()[_name] = getattr(_C, _name)
del _name

from fastnn import _tensor as _tensor
from fastnn._foreach import FUNCTIONS as _FOREACH
from fastnn._functions import (
    _assert,
    _check,
    _check_index,
    _check_is_size,
    _check_not_implemented,
    _check_type,
    _check_value,
    are_deterministic_algorithms_enabled,
    as_strided_,
    asarray,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    broadcast_shapes,
    broadcast_tensors,
    can_cast,
    cartesian_prod,
    column_stack,
    detach,
    detach_,
    dsplit,
    dstack,
    finfo,
    get_default_device,
    get_device,
    hsplit,
    hstack,
    iinfo,
    is_complex,
    is_floating_point,
    is_inference,
    is_nonzero,
    is_same_size,
    is_signed,
    is_storage,
    is_tensor,
    meshgrid,
    nonzero,
    numel,
    promote_types,
    resize_as_,
    result_type,
    row_stack,
    set_default_device,
    spmm,
    tensor_split,
    typename,
    use_deterministic_algorithms,
    vsplit,
    vstack,
)
from fastnn._lazy_names import LAZY_NAMES as _LAZY_NAMES
from fastnn._products import chain_matmul, einsum, tensordot
from fastnn._statistics import gradient, histogram, histogramdd, norm_except_dim, unravel_index, vander
from fastnn._tensor_types import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    set_default_tensor_type,
)
from fastnn.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

globals().update(_FOREACH)

__version__ = _C.__version__

inf = _math.inf
nan = _math.nan
pi = _math.pi
e = _math.e
newaxis = None

_LAZY_MODULES = (
    "__config__",
    "_dynamo",
    "_utils",
    "accelerator",
    "amp",
    "ao",
    "autograd",
    "backends",
    "compiler",
    "cpu",
    "cuda",
    "distributed",
    "distributions",
    "export",
    "fft",
    "finetune",
    "func",
    "fx",
    "hub",
    "jit",
    "library",
    "linalg",
    "mps",
    "mtia",
    "multiprocessing",
    "nested",
    "nn",
    "onnx",
    "optim",
    "overrides",
    "profiler",
    "quantization",
    "random",
    "serialization",
    "signal",
    "sparse",
    "special",
    "storage",
    "testing",
    "torch_version",
    "types",
    "utils",
    "version",
    "xpu",
)


def __getattr__(name: str) -> object:
    """Submodules, and names that need one, are loaded when first used."""
    if name in _LAZY_MODULES:
        return _importlib.import_module(f"fastnn.{name}")
    if name in _LAZY_NAMES:
        value = getattr(_importlib.import_module(f"fastnn.{_LAZY_NAMES[name]}"), name)
        globals()[name] = value
        return value
    from fastnn._missing import missing_attribute

    return missing_attribute("torch")(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES})
