"""fastnn: PyTorch's API on an ordinary CPU.

``import fastnn as torch`` and a PyTorch script runs: tensors, autograd, modules, optimizers, data, checkpoints.
"""

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
__all__ = [name for name in dir(_C) if not name.startswith("_") and not isinstance(getattr(_C, name), type(_C))]
globals().update({name: getattr(_C, name) for name in __all__})

from fastnn import _tensor as _tensor
from fastnn._foreach import FUNCTIONS as _FOREACH
from fastnn._lazy_names import export_lazily as _export_lazily

globals().update(_FOREACH)

__version__ = _C.__version__

inf = _math.inf
nan = _math.nan
pi = _math.pi
e = _math.e
newaxis = None
__all__ += ["e", "inf", "nan", "newaxis", "pi"]

_LAZY_NAMES = {
    # Modules that are found, and those from which names are exported.
    **dict.fromkeys(
        """
        __config__ _dynamo _higher_order_ops _utils accelerator amp ao autograd backends compiler cpu cuda distributed
        distributions export fft finetune func fx hub jit library linalg mps mtia multiprocessing nested nn onnx optim
        overrides profiler quantization random serialization signal sparse special storage testing torch_version types
        utils version xpu
        """.split(),
        "",
    ),
    "_alias": "install_as_torch",
    "_copies": """
        alias_copy as_strided_copy detach_copy diagonal_copy expand_copy narrow_copy permute_copy select_copy slice_copy
        split_copy split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy unfold_copy unsqueeze_copy
        view_as_complex_copy view_as_real_copy view_copy
    """,
    "_functions": """
        _assert _check _check_index _check_is_size _check_not_implemented _check_type _check_value
        are_deterministic_algorithms_enabled as_strided_ asarray atleast_1d atleast_2d atleast_3d block_diag
        broadcast_shapes broadcast_tensors can_cast cartesian_prod column_stack detach detach_ dsplit dstack finfo
        get_default_device get_device hsplit hstack iinfo is_complex is_floating_point is_inference is_nonzero
        is_same_size is_signed is_storage is_tensor meshgrid nonzero numel promote_types resize_as_ result_type
        row_stack set_default_device spmm tensor_split typename use_deterministic_algorithms vsplit vstack
    """,
    "_C": "_sample_dirichlet _standard_gamma",
    "_lowrank": "pca_lowrank svd_lowrank",
    "_numbered": """
        adaptive_max_pool1d affine_grid_generator alpha_dropout alpha_dropout_ bilinear
        binary_cross_entropy_with_logits convolution cosine_embedding_loss ctc_loss embedding_bag embedding_renorm_
        feature_alpha_dropout feature_alpha_dropout_ feature_dropout feature_dropout_ frobenius_norm from_file
        grid_sampler grid_sampler_2d grid_sampler_3d hinge_embedding_loss instance_norm kl_div margin_ranking_loss
        max_pool1d_with_indices nuclear_norm poisson_nll_loss triplet_margin_loss
    """,
    "_ops": "classes ops",
    "_products": "chain_matmul einsum tensordot",
    "_sparse": "sparse_coo_tensor",
    "_spectral": "bartlett_window blackman_window hamming_window hann_window istft kaiser_window stft",
    "_statistics": "gradient histogram histogramdd norm_except_dim unravel_index vander",
    "_switches": """
        AcceleratorError Event Stream SymBool SymFloat SymInt chalf compiled_with_cxx11_abi complex32
        float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu
        get_deterministic_debug_mode get_device_module get_float32_matmul_precision get_num_interop_threads
        has_lapack has_mkl has_openmp has_spectral init_num_threads int1 int2 int3 int4 int5 int6 int7
        is_deterministic_algorithms_warn_only_enabled is_distributed is_vulkan_available is_warn_always_enabled
        jagged legacy_contiguous_format qint32 qint8 quantize_per_channel quantize_per_tensor
        quantize_per_tensor_dynamic quint2x4 quint4x2 quint8 set_deterministic_debug_mode
        set_float32_matmul_precision set_num_interop_threads set_warn_always sparse_bsc sparse_bsr
        sparse_compressed_tensor sparse_csc sparse_csr sparse_csr_tensor sym_float sym_int sym_max
        sym_min sym_not uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 uint7
    """,
    "_tensor_str": "set_printoptions",
    "_tensor_types": """
        BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor
        ShortTensor set_default_tensor_type
    """,
    "amp": "GradScaler autocast",
    "amp.autocast_mode": """
        autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache get_autocast_cpu_dtype
        get_autocast_dtype get_autocast_gpu_dtype is_autocast_cache_enabled is_autocast_cpu_enabled
        is_autocast_enabled set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled
        set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype
    """,
    "autograd.anomaly_mode": "set_anomaly_enabled",
    "autograd.grad_mode": "enable_grad inference_mode no_grad set_grad_enabled",
    "compiler": "compile",
    "func": "vmap",
    "nn.functional": """
        channel_shuffle cosine_similarity pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rrelu rrelu_
    """,
    "nn.utils.weight_norm": "_weight_norm",
    "random": "default_generator fork_rng get_rng_state initial_seed manual_seed seed set_rng_state",
    "serialization": "load save",
    "storage": """
        BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage
        FloatStorage HalfStorage IntStorage LongStorage ShortStorage Storage StorageBase TypedStorage
    """,
}

_export_lazily(__name__, _LAZY_NAMES, plain=True)
