"""Functions with derivatives of their own under ``vmap``."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn._C import Tensor
from fastnn.autograd import function
from fastnn.autograd.function import Function, FunctionCtx

from ._batched import BatchedTensor, frames, level_of, wrap

__all__ = ["VmapInfo"]


class VmapInfo(NamedTuple):
    """What a ``vmap`` staticmethod learns about the map."""

    batch_size: int
    randomness: str


def _value(arg: Any, level: int) -> Any:
    return arg._value if type(arg) is BatchedTensor and arg._level == level else arg


def _spread(tensor: Any, level: int, size: int) -> Any:
    """The value with the batch in front."""
    if level_of(tensor) == level:
        return tensor._value
    return tensor.unsqueeze(0).expand(size, *tensor.shape)


def _apply(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    level = level_of(args)
    if level < 0:
        return NotImplemented
    own = cls.vmap is not Function.vmap
    if own and cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overriden vmap "
            "staticmethod. Please set generate_vmap_rule=False or delete the overriden vmap staticmethod to avoid "
            "ambiguity."
        )
    mapped = tuple(isinstance(arg, Tensor) and level_of(arg) == level for arg in args)
    values = tuple(_value(arg, level) for arg in args)
    size = next(value.shape[0] for value, is_mapped in zip(values, mapped, strict=True) if is_mapped)
    if own:
        frame = next((one for one in frames if one.level == level), None)
        info = VmapInfo(size, frame.randomness if frame is not None else "error")
        output, out_dims = cls.vmap(info, tuple(0 if one else None for one in mapped), *values, **kwargs)
        if not isinstance(output, (tuple, list)):
            return _wrapped(output, out_dims, level)
        dims = out_dims if isinstance(out_dims, (tuple, list)) else [out_dims] * len(output)
        return tuple(_wrapped(one, dim, level) for one, dim in zip(output, dims, strict=True))
    if not cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and implement "
            "the vmap staticmethod or set generate_vmap_rule=True."
        )
    result = _generated(cls, level, size, mapped, kwargs).apply(*values)
    if isinstance(result, tuple):
        return tuple(wrap(one, level) if isinstance(one, Tensor) else one for one in result)
    return wrap(result, level)


def _wrapped(output: Any, dim: int | None, level: int) -> Any:
    if dim is None or not isinstance(output, Tensor):
        return output
    return wrap(output.movedim(dim, 0), level)


class _Held:
    """A saved value as the function sees it."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def get(self) -> Any:
        """The tensor."""
        return self.tensor


def _generated(
    cls: type[Function], level: int, size: int, mapped: tuple[bool, ...], kwargs: dict[str, Any]
) -> type[Function]:
    """The function of values: forward and backward run on batched tensors made of them."""

    def seen(values: tuple[Any, ...], flags: tuple[bool, ...]) -> list[Any]:
        return [wrap(value, level) if flag else value for value, flag in zip(values, flags, strict=True)]

    class Generated(Function):
        @staticmethod
        def forward(ctx: Any, *values: Any) -> Any:
            ctx.inner = inner = FunctionCtx()
            inner.needs_input_grad = ctx.needs_input_grad
            args = seen(values, mapped)
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(inner, tuple(args), result)
            else:
                result = cls.forward(inner, *args, **kwargs)
            outputs = result if isinstance(result, (tuple, list)) else (result,)
            spread = {id(one): _spread(one, level, size) for one in outputs if isinstance(one, Tensor)}
            given = {id(arg): value for arg, value in zip(args, values, strict=True)}
            ctx.saved_mapped = tuple(level_of(one) == level for one in inner._to_save)
            ctx.save_for_backward(
                *(spread.get(id(one), given.get(id(one), _value(one, level))) for one in inner._to_save)
            )
            ctx.set_materialize_grads(inner.materialize_grads)
            ctx.mark_non_differentiable(*(spread[id(one)] for one in inner._non_differentiable))
            ctx.mark_dirty(*(given[id(one)] for one in inner._dirty))
            values_out = tuple(spread.get(id(one), one) for one in outputs)
            return values_out if isinstance(result, (tuple, list)) else values_out[0]

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            inner = ctx.inner
            inner._saved = [_Held(one) for one in seen(ctx.saved_tensors, ctx.saved_mapped)]
            method = cls.backward if cls.backward is not Function.backward else cls.vjp
            returned = method(inner, *(None if one is None else wrap(one, level) for one in gradients))
            results: list[Any] = []
            for one, flag in zip(returned if isinstance(returned, tuple) else (returned,), mapped, strict=False):
                if one is None:
                    results.append(None)
                else:
                    value = _spread(one, level, size)
                    results.append(value if flag else value.sum(0))
            return tuple(results)

    Generated.__name__ = cls.__name__
    return Generated


function.batched_apply = _apply
