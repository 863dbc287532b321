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
    tensor_split,
    typename,
    use_deterministic_algorithms,
    vsplit,
    vstack,
)
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
    *("autograd", "distributions", "fft", "finetune", "func", "linalg", "nn", "optim", "overrides", "random"),
    *("serialization", "signal", "special", "utils"),
)
_LAZY_NAMES = {
    **dict.fromkeys(
        (
            "channel_shuffle",
            "cosine_similarity",
            "pairwise_distance",
            "pdist",
            "pixel_shuffle",
            "pixel_unshuffle",
            "prelu",
            "rrelu",
            "rrelu_",
        ),
        "nn.functional",
    ),
    "save": "serialization",
    "load": "serialization",
    "set_printoptions": "_tensor_str",
    "default_generator": "random",
    "fork_rng": "random",
    "get_rng_state": "random",
    "initial_seed": "random",
    "manual_seed": "random",
    "seed": "random",
    "set_rng_state": "random",
    "vmap": "func",
    "norm_except_dim": "nn.utils.weight_norm",
    "_weight_norm": "nn.utils.weight_norm",
    "bartlett_window": "_spectral",
    "blackman_window": "_spectral",
    "hamming_window": "_spectral",
    "hann_window": "_spectral",
    "istft": "_spectral",
    "kaiser_window": "_spectral",
    "stft": "_spectral",
}


def __getattr__(name: str) -> object:
    """Submodules, and names that need one, are loaded when first used."""
    if name in _LAZY_MODULES:
        return _importlib.import_module(f"fastnn.{name}")
    if name in _LAZY_NAMES:
        value = getattr(_importlib.import_module(f"fastnn.{_LAZY_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastnn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES})
