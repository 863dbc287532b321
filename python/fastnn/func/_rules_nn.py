"""How layers, products and losses run on the values of batched tensors; see :mod:`fastnn.func._batched`."""

from __future__ import annotations

from typing import Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn._functions import broadcast_tensors

from ._batched import Call, Plain, composite, level_of, listed, loop, rule

__all__: list[str] = []

nn = _C.nn


# --- products --------------------------------------------------------------------------------------------------------


@rule("matmul", "mm", "bmm", "mv")
def _matmul(call: Call, a: Tensor, b: Tensor = None, **kwargs: Any) -> Any:  # type: ignore[assignment]
    b = b if b is not None else next(iter(kwargs.values()))
    if not a.dim() or not b.dim():
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are 0D")
    expected = {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1)}.get(call.name, (a.dim(), b.dim()))
    if expected != (a.dim(), b.dim()):
        raise RuntimeError(f"{call.name}: expected tensors with {expected} dimensions, got {(a.dim(), b.dim())}")
    if not call.mapped(b) and b.dim() <= 2:
        return _C.matmul(call.value(a), b)
    if not call.mapped(a) and a.dim() == 2 and b.dim() == 1:
        return _C.matmul(call.value(b), a.t())
    rows, columns = a.dim() == 1, b.dim() == 1
    left = call.value(a).unsqueeze(-2) if rows else call.value(a)
    right = call.value(b).unsqueeze(-1) if columns else call.value(b)
    rank = max(a.dim() + rows, b.dim() + columns)
    if call.mapped(a):
        left = left.reshape(call.size, *(1,) * (rank + 1 - left.dim()), *left.shape[1:])
    if call.mapped(b):
        right = right.reshape(call.size, *(1,) * (rank + 1 - right.dim()), *right.shape[1:])
    result = _C.matmul(left, right)
    if rows:
        result = result.squeeze(-1 if columns else -2)
    return result.squeeze(-1) if columns else result


@rule("linear")
def _linear(call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if not call.mapped(weight) and not call.mapped(bias):
        return nn.linear(call.value(input), weight, bias)
    # Each example has its own weight: one product a batch.
    rows = input.dim() == 1
    x = call.full(input)
    x = x.reshape(call.size, -1, x.shape[-1])
    w = call.full(weight).unsqueeze(1) if weight.dim() == 1 else call.full(weight)
    result = _C.matmul(x, w.transpose(1, 2))
    if bias is not None:
        result = result + (call.full(bias).unsqueeze(1) if bias.dim() else call.full(bias).reshape(-1, 1, 1))
    shape = [*([] if rows else input.shape[:-1]), *([weight.shape[0]] if weight.dim() == 2 else [])]
    return result.reshape(call.size, *shape)


composite("dot", "vdot")(lambda a, b: (a * b).sum(-1))
composite("outer", "ger")(lambda a, b: a.unsqueeze(1) * b.unsqueeze(0))
composite("addmm", "addmv")(lambda input, a, b, *, beta=1, alpha=1: input * beta + _C.matmul(a, b) * alpha)
composite("baddbmm")(lambda input, a, b, *, beta=1, alpha=1: input * beta + _C.matmul(a, b) * alpha)
composite("addbmm")(lambda input, a, b, *, beta=1, alpha=1: input * beta + _C.matmul(a, b).sum(0) * alpha)
composite("addr")(lambda input, a, b, *, beta=1, alpha=1: input * beta + a.unsqueeze(1) * b.unsqueeze(0) * alpha)
composite("expand_as")(lambda input, other: input.expand(other.shape))
composite("view_as", "reshape_as")(lambda input, other: input.reshape(other.shape))
composite("trace")(lambda input: input.diagonal(0, 0, 1).sum(-1))
composite("inner")(
    lambda a, b: a * b if not a.dim() or not b.dim() else _C.tensordot(a, b, [a.dim() - 1], [b.dim() - 1])
)


@composite("tensordot")
def _tensordot(a: Tensor, b: Tensor, dims_a: Any = 2, dims_b: Any = None, *, dims: Any = None) -> Tensor:
    chosen = dims if dims is not None else (dims_a if dims_b is None else (dims_a, dims_b))
    if isinstance(chosen, int):
        chosen = (list(range(a.dim() - chosen, a.dim())), list(range(chosen)))
    left, right = ([d % t.dim() for d in one] for one, t in zip(chosen, (a, b), strict=True))
    free_a = [d for d in range(a.dim()) if d not in left]
    free_b = [d for d in range(b.dim()) if d not in right]
    shape = [*(a.shape[d] for d in free_a), *(b.shape[d] for d in free_b)]
    size = 1
    for d in left:
        size *= a.shape[d]
    rows = a.permute(*free_a, *left).reshape(-1, size)
    columns = b.permute(*right, *free_b).reshape(size, -1)
    return _C.matmul(rows, columns).reshape(shape)


@rule("einsum")
def _einsum(call: Call, equation: str, *operands: Any) -> Any:
    tensors = listed(operands)
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    if not arrow:
        letters = sorted({c for c in left if c.isalpha()})
        right = ("..." if "..." in left else "") + "".join(c for c in letters if left.count(c) == 1)
    batch = next(c for c in "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in equation)
    terms = [batch + term if call.mapped(one) else term for term, one in zip(left.split(","), tensors, strict=True)]
    return _C.einsum(f"{','.join(terms)}->{batch}{right}", *[call.value(one) for one in tensors])


# --- layers ----------------------------------------------------------------------------------------------------------


@rule("conv1d", "conv2d", "conv3d")
def _conv(call: Call, input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
          dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    return _convolution(
        call, input, weight, bias, groups, weight.dim() - 2, stride=stride, padding=padding, dilation=dilation
    )


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(call: Call, input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
                    output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:  # fmt: skip
    return _convolution(call, input, weight, bias, groups, weight.dim() - 2, stride=stride, padding=padding,
                        output_padding=output_padding, dilation=dilation)  # fmt: skip


def _convolution(
    call: Call, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, spatial: int, **options: Any
) -> Any:
    single = input.dim() == spatial + 1
    x = call.full(input)
    x = x.unsqueeze(1) if single else x
    examples = x.shape[1]
    if call.mapped(weight) or call.mapped(bias):
        # Examples side by side as groups of channels: each meets its own weight.
        w = call.full(weight)
        x = x.transpose(0, 1).reshape(examples, -1, *x.shape[3:])
        b = None if bias is None else call.full(bias).reshape(-1)
        out = call.func(x, w.reshape(-1, *w.shape[2:]), b, groups=groups * call.size, **options)
        out = out.reshape(examples, call.size, -1, *out.shape[2:]).transpose(0, 1)
    else:
        out = call.func(x.flatten(0, 1), weight, bias, groups=groups, **options)
        out = out.unflatten(0, [call.size, examples])
    return out.squeeze(1) if single else out


def _merged(call: Call, input: Tensor, spatial: int, run: Any) -> Any:
    """Run a function of (N, C, ...) or (C, ...) on the examples of the batch as if they were N."""
    value = call.value(input)
    if input.dim() == spatial + 1:
        return run(value)
    result = run(value.flatten(0, 1))
    sizes = [value.shape[0], value.shape[1]]
    return (
        result.unflatten(0, sizes) if isinstance(result, Tensor) else tuple(one.unflatten(0, sizes) for one in result)
    )


_POOLS = [f"{kind}_pool{n}d" for kind in ("avg", "max", "adaptive_avg", "adaptive_max", "lp") for n in (1, 2, 3)]


@rule(*_POOLS)
def _pool(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return _merged(call, input, int(call.name[-2]), lambda value: call.func(value, *args, **kwargs))


@rule("pad")
def _pad(call: Call, input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    if mode == "constant":
        return call.func(call.value(input), pad, mode, value)
    return _merged(call, input, len(pad) // 2, lambda x: call.func(x, pad, mode, value))


def _affine(result: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Any) -> Tensor:
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


def _normalized(call: Call, input: Tensor, weight: Any, bias: Any, shape: Any, run: Any) -> Any:
    """run(value, weight, bias), or without them and then scaled when each example has its own."""
    if not call.mapped(weight) and not call.mapped(bias):
        return run(call.value(input), weight, bias)
    plain = run(call.full(input), None, None)
    return Plain((_affine(call.wrapped(plain), weight, bias, shape),))


@rule("layer_norm")
def _layer_norm(call: Call, input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None,
                eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    return _normalized(call, input, weight, bias, tuple(normalized_shape),
                       lambda x, w, b: nn.layer_norm(x, normalized_shape, w, b, eps))  # fmt: skip


@rule("rms_norm")
def _rms_norm(call: Call, input: Tensor, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    return _normalized(call, input, weight, None, tuple(normalized_shape),
                       lambda x, w, _: nn.rms_norm(x, normalized_shape, w, eps))  # fmt: skip


@rule("group_norm")
def _group_norm(call: Call, input: Tensor, num_groups: int, weight: Any = None, bias: Any = None,
                eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    def run(x: Tensor, w: Any, b: Any) -> Tensor:
        return nn.group_norm(x.flatten(0, 1), num_groups, w, b, eps).unflatten(0, list(x.shape[:2]))

    return _normalized(call, input, weight, bias, (-1, *(1,) * (input.dim() - 2)), run)


@composite("batch_norm")
def _batch_norm(input: Tensor, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
                training: bool = False, momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Tensor:  # fmt: skip
    shape = (-1, *(1,) * (input.dim() - 2))
    if not training and running_mean is not None:
        mean, var = running_mean, running_var
    else:
        dims = [0, *range(2, input.dim())]
        var, mean = _C.var_mean(input, dims, correction=0)
        if running_mean is not None:
            if level_of(input) > level_of(running_mean):
                raise RuntimeError(
                    "Batch norm got a batched tensor as input while the running_mean or running_var, which will be "
                    "updated in place, were not batched. Use track_running_stats=False, or "
                    "torch.func.replace_all_batch_norm_modules_"
                )
            count = input.numel() // input.shape[1]
            running_mean.copy_(running_mean * (1 - momentum) + mean.detach() * momentum)
            running_var.copy_(running_var * (1 - momentum) + var.detach() * (momentum * count / (count - 1)))
    return _affine((input - mean.reshape(shape)) * (var.reshape(shape) + eps).rsqrt(), weight, bias, shape)


@composite("instance_norm")
def _instance_norm(input: Tensor, running_mean: Any = None, running_var: Any = None, weight: Any = None,
                   bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1,
                   eps: float = 1e-5) -> Any:  # fmt: skip
    shape = (-1, *(1,) * (input.dim() - 2))
    if not use_input_stats:
        return _batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if running_mean is not None:
        raise RuntimeError("vmap: instance_norm with running statistics is not supported")
    var, mean = _C.var_mean(input, list(range(2, input.dim())), correction=0, keepdim=True)
    return _affine((input - mean) * (var + eps).rsqrt(), weight, bias, shape)


@rule("embedding")
def _embedding(
    call: Call, first: Tensor, second: Tensor, padding_idx: int | None = None, *args: Any, **kwargs: Any
) -> Any:
    public = not first.dtype.is_floating_point  # F.embedding(indices, weight); torch.embedding has them the other way
    indices, weight = (first, second) if public else (second, first)
    if any(one not in (None, False) for one in [*args[:1], kwargs.get("max_norm")]):
        return loop(call, first, second, padding_idx, *args, **kwargs)
    if not call.mapped(weight):
        return nn.embedding(call.value(indices), weight, padding_idx)
    rows = weight.shape[0]
    places = call.full(indices)
    offsets = _C.arange(call.size).reshape(-1, *(1,) * indices.dim()) * rows
    result = nn.embedding(places + offsets, call.value(weight).flatten(0, 1))
    if padding_idx is not None and padding_idx != -1:
        result = _C.where((places == padding_idx % rows).unsqueeze(-1), result.detach(), result)
    return result


@rule("one_hot")
def _one_hot(call: Call, input: Tensor, num_classes: int = -1) -> Any:
    return call.func(call.value(input), num_classes)


@rule("scaled_dot_product_attention")
def _attention(
    call: Call, query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, *args: Any, **kwargs: Any
) -> Any:
    if kwargs.get("enable_gqa") or (args and args[0]) or kwargs.get("dropout_p"):
        return loop(call, query, key, value, attn_mask, *args, **kwargs)
    rank = max(one.dim() for one in (query, key, value))
    tensors = [
        call.full(call.wrapped(call.aligned(one, rank)) if call.mapped(one) else one) for one in (query, key, value)
    ]
    mask = call.aligned(attn_mask, rank) if attn_mask is not None else None
    return call.func(*tensors, mask, *args, **kwargs)


# --- losses ----------------------------------------------------------------------------------------------------------


def _reduced(losses: Tensor, reduction: str, divisor: Any = None) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction != "mean":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return losses.mean() if divisor is None else losses.sum() / divisor


def _legacy(kwargs: dict[str, Any], reduction: str) -> str:
    """The meaning of the old arguments size_average and reduce."""
    average, reduce = kwargs.pop("size_average", None), kwargs.pop("reduce", None)
    if average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if average is False else "mean"


def _loss_rule(name: str) -> None:
    function = getattr(nn, name)

    def loss(call: Call, input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Any:
        if args:
            return loop(call, input, target, *args, **kwargs)
        reduction = _legacy(kwargs, kwargs.pop("reduction", "mean"))
        values = (input, target, *kwargs.values())
        rank = max(one.dim() for one in values if isinstance(one, Tensor))

        def filled(one: Any) -> Any:
            if not isinstance(one, Tensor):
                return one
            return call.aligned(one, rank) if call.mapped(one) else one

        x, y = broadcast_tensors(filled(input), filled(target)) if rank else (call.full(input), call.full(target))
        losses = function(x, y, reduction="none", **{key: filled(one) for key, one in kwargs.items()})
        return Plain((_reduced(call.wrapped(losses), reduction),))

    rule(name)(loss)


for _name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
              "binary_cross_entropy_with_logits", "soft_margin_loss"):  # fmt: skip
    if hasattr(nn, _name):
        _loss_rule(_name)


@rule("nll_loss", "cross_entropy")
def _class_loss(
    call: Call, input: Tensor, target: Tensor, weight: Tensor | None = None, *args: Any, **kwargs: Any
) -> Any:
    if args or call.mapped(weight):
        return loop(call, input, target, weight, *args, **kwargs)
    reduction = _legacy(kwargs, kwargs.pop("reduction", "mean"))
    ignored = kwargs.get("ignore_index", -100)
    single = input.dim() == 1
    x, y = call.full(input), call.full(target)
    losses = call.func(
        x if single else x.flatten(0, 1), y if single else y.flatten(0, 1), weight, reduction="none", **kwargs
    )
    losses = losses if single else losses.unflatten(0, list(x.shape[:2]))
    if reduction != "mean":
        return Plain((_reduced(call.wrapped(losses), reduction),))
    if target.dtype.is_floating_point:
        return Plain((_reduced(call.wrapped(losses), "mean"),))
    counted = y != ignored
    weights = counted.to(losses.dtype) if weight is None else _C.where(counted, weight[_C.where(counted, y, 0)], 0.0)
    total = losses.reshape(call.size, -1).sum(1)
    return total / weights.reshape(call.size, -1).sum(1)
