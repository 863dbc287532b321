"""DistributedDataParallel for a single process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..modules.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A module as it looks wrapped for training in several processes; there is one, so nothing is exchanged.

    The wrapped module is `module`, and the names of parameters and of state dict entries begin with "module.".

    Args:
        module: the module.
        device_ids, output_device, dim, broadcast_buffers, init_sync, process_group, bucket_cap_mb,
            find_unused_parameters, check_reduction, gradient_as_bucket_view, static_graph,
            delay_all_reduce_named_params, param_to_hook_all_reduce, mixed_precision, device_mesh,
            skip_all_reduce_unused_params: accepted for compatibility.

    Raises:
        RuntimeError: no parameter needs a gradient.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> model = nn.parallel.DistributedDataParallel(nn.Linear(2, 3))
        >>> list(model.state_dict()), model(fastnn.ones(1, 2)).shape
        (['module.weight', 'module.bias'], torch.Size([1, 3]))
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        delay_all_reduce_named_params: Any = None,
        param_to_hook_all_reduce: Any = None,
        mixed_precision: Any = None,
        device_mesh: Any = None,
        skip_all_reduce_unused_params: bool = False,
    ) -> None:
        super().__init__()
        if not any(param.requires_grad for param in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameters that require a "
                "gradient."
            )
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.process_group = process_group
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within this block gradients are not exchanged between processes."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(
        self, divide_by_initial_world_size: bool = True, enable: bool = True, throw_on_early_termination: bool = False
    ) -> Iterator[None]:
        """Within this block processes may have different amounts of data; arguments for compatibility."""
        yield

    def register_comm_hook(self, state: object, hook: Any) -> None:
        """Take note of nothing: gradients are not exchanged, so the hook would never run."""
