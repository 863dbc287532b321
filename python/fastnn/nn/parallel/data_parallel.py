"""DataParallel on a machine without several devices."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """A module as it looks wrapped for several devices; there is one, so it gets the whole batch.

    The wrapped module is `module`, and the names of parameters and of state dict entries begin with "module.".

    Args:
        module: the module.
        device_ids, output_device, dim: accepted for compatibility.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> model = nn.DataParallel(nn.Linear(2, 3))
        >>> list(model.state_dict()), model(fastnn.ones(1, 2)).shape
        (['module.weight', 'module.bias'], torch.Size([1, 3]))
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Return `module(*inputs, **module_kwargs)`; the other arguments are accepted for compatibility."""
    arguments = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return module(*arguments, **(module_kwargs or {}))
