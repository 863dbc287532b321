"""Names of the top level that are loaded when first used: name -> module of fastnn."""

from __future__ import annotations

__all__ = ["LAZY_NAMES"]

_BY_MODULE = {
    "_alias": "install_as_torch",
    "_ops": "classes ops",
    "_switches": """
        Event
        Stream SymBool SymFloat SymInt
        cdouble cfloat chalf compiled_with_cxx11_abi
        complex128 complex32 complex64 float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz
        float8_e8m0fnu get_deterministic_debug_mode get_device_module get_float32_matmul_precision
        get_num_interop_threads int1 int2 int3 int4 int5 int6 int7 is_deterministic_algorithms_warn_only_enabled
        is_distributed is_vulkan_available is_warn_always_enabled jagged qint32 qint8 quantize_per_channel
        quantize_per_tensor quantize_per_tensor_dynamic quint2x4 quint4x2 quint8 set_deterministic_debug_mode
        set_float32_matmul_precision set_num_interop_threads set_warn_always sparse_bsc sparse_bsr
        sparse_compressed_tensor sparse_coo_tensor sparse_csc sparse_csr sparse_csr_tensor sym_float sym_int sym_max
        sym_min sym_not uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 uint7
    """,
    "_tensor_str": "set_printoptions",
    "amp": "GradScaler autocast",
    "amp.autocast_mode": """
        autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache get_autocast_cpu_dtype
        get_autocast_dtype get_autocast_gpu_dtype is_autocast_cache_enabled is_autocast_cpu_enabled
        is_autocast_enabled set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled
        set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype
    """,
    "_spectral": "bartlett_window blackman_window hamming_window hann_window istft kaiser_window stft",
    "_lowrank": "pca_lowrank svd_lowrank",
    "compiler": "compile",
    "func": "vmap",
    "nn.functional": """
        channel_shuffle cosine_similarity pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rrelu rrelu_
    """,
    "nn.utils.weight_norm": "_weight_norm",
    "random": "default_generator fork_rng get_rng_state initial_seed manual_seed seed set_rng_state",
    "serialization": "load save",
    "storage": """
        BFloat16Storage BoolStorage ByteStorage CharStorage DoubleStorage FloatStorage HalfStorage IntStorage
        LongStorage ShortStorage TypedStorage
    """,
}
LAZY_NAMES = {name: module for module, names in _BY_MODULE.items() for name in names.split()}
