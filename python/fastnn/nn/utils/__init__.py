"""Gradient clipping, parameters as one vector, packed sequences, pruning, parametrizations, fusing of layers."""

from __future__ import annotations

from ..._lazy_names import export_lazily

export_lazily(
    __name__,
    {
        "clip_grad": "clip_grad_norm clip_grad_norm_ clip_grad_value_ clip_grads_with_norm_ get_total_norm",
        "convert_parameters": "parameters_to_vector vector_to_parameters",
        "fusion": "fuse_conv_bn_eval fuse_conv_bn_weights fuse_linear_bn_eval fuse_linear_bn_weights",
        "init": "skip_init",
        "memory_format": "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format",
        "spectral_norm": "remove_spectral_norm spectral_norm",
        "weight_norm": "remove_weight_norm weight_norm",
    },
    "parametrizations parametrize prune rnn stateless",
)
