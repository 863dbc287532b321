"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn.nn import Module

__all__ = ["functional_call", "functionalize", "replace_all_batch_norm_modules_", "stack_module_state"]


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: there is no compiler here that writes in place would disturb.

    Args:
        func: any function of tensors.
        remove: accepted for compatibility.

    Example::

        >>> import fastnn
        >>> fastnn.func.functionalize(lambda x: x.clone().add_(1))(fastnn.zeros(1))
        tensor([1.])
    """
    return func


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    r"""Call a module with other parameters and buffers.

    Args:
        module: what to call.
        parameter_and_buffer_dicts: tensors by the names of parameters and buffers; a dict or several with different
            keys. Names that are not given keep the module's own.
        args: the positional arguments: a tuple, or a single one.
        kwargs: the keyword arguments.
        tie_weights: a tensor that the module has under several names is replaced under all of them.
        strict: every name must be given, and no others.

    Returns:
        What the module gives.

    Raises:
        ValueError: a key is in two dicts, tied names got different tensors.
        RuntimeError: names that ``strict`` does not allow.

    Example::

        >>> import fastnn
        >>> m = fastnn.nn.Linear(2, 1)
        >>> parameters = {"weight": fastnn.ones(1, 2), "bias": fastnn.zeros(1)}
        >>> fastnn.func.functional_call(m, parameters, (fastnn.tensor([1.0, 2.0]),))
        tensor([3.])
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, (list, tuple)):
        if not all(isinstance(one, dict) for one in parameter_and_buffer_dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        names = [name for one in parameter_and_buffer_dicts for name in one]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        given = {name: value for one in parameter_and_buffer_dicts for name, value in one.items()}
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    from fastnn.nn.utils.stateless import _functional_call

    return _functional_call(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    r"""The parameters and the buffers of several modules of one kind, stacked for ``vmap``.

    Args:
        models: modules of the same class, all in training or all in evaluation mode.

    Returns:
        Two dicts of tensors with a leading dimension of ``len(models)``. Parameters are leaves that require grad.

    Example::

        >>> import fastnn
        >>> models = [fastnn.nn.Linear(2, 1) for _ in range(3)]
        >>> parameters, buffers = fastnn.func.stack_module_state(models)
        >>> parameters["weight"].shape
        torch.Size([3, 1, 2])
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(model.training for model in models) or all(not model.training for model in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(collections: list[dict[str, Tensor]]) -> dict[str, Any]:
        result = {}
        for name in collections[0]:
            tensors = [one[name] for one in collections]
            if len({tensor.requires_grad for tensor in tensors}) > 1:
                raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
            result[name] = _C.stack([one.detach() for one in tensors]).requires_grad_(tensors[0].requires_grad)
        return result

    return (
        stacked([dict(model.named_parameters()) for model in models]),
        stacked([dict(model.named_buffers()) for model in models]),
    )


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Make all batch norms inside ``root`` use the statistics of the batch only, so that it runs under ``vmap``."""
    from fastnn.nn.modules.batchnorm import _BatchNorm

    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
