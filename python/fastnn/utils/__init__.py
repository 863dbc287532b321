"""Utilities around training: `utils.data` feeds it, `utils.checkpoint` saves its memory, `utils.hooks` has handles."""

from __future__ import annotations

from .._lazy_names import export_lazily

export_lazily(
    __name__,
    {
        "._utils": "set_module",
        **dict.fromkeys("_pytree benchmark checkpoint collect_env cpp_extension dlpack hooks".split(), ""),
        **dict.fromkeys("_foreach_utils model_zoo tensorboard".split(), ""),
    },
    "data",
)
