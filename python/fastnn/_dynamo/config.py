"""Settings of PyTorch's tracer. They are remembered and change nothing."""

from __future__ import annotations

from typing import Any

from .._settings import patcher

suppress_errors = False
verbose = False
disable = False
cache_size_limit = recompile_limit = 8
accumulated_cache_size_limit = accumulated_recompile_limit = 256
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
automatic_dynamic_shapes = True
assume_static_by_default = True
dynamic_shapes = True
optimize_ddp: Any = True
inline_inbuilt_nn_modules = True
allow_unspec_int_on_nn_module = False
force_parameter_static_shapes = True
skip_fwd_side_effects_in_bwd_under_checkpoint = False
error_on_recompile = False
guard_nn_modules = True

patch = patcher(globals())
