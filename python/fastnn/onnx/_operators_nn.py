"""How the operations of neural networks are said in ONNX: layers, activations, pooling, attention, recurrence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._functions import finfo

from ._errors import OnnxExporterError
from ._graph import Value, is_static
from ._operators import OPERATORS, cut, operator, reduce
from ._trace import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._graph import Graph
    from ._operators import Operator

__all__: list[str] = []


def _each(number: Any, count: int) -> list[int]:
    """A number for each dimension."""
    numbers = list(number) if isinstance(number, (tuple, list)) else [number]
    return numbers * count if len(numbers) == 1 else numbers


def _affine(g: Graph, name: str, input: Value, weight: Value | None, bias: Value | None) -> str:
    """``name * weight + bias``, one number for each channel."""
    shape = [-1] + [1] * (input.rank - 2)
    for kind, factor in (("Mul", weight), ("Add", bias)):
        if factor is not None:
            name = g.op(kind, name, g.op("Reshape", factor, shape))
    return name


# --- activations -----------------------------------------------------------------------------------------------------


def _activation(kind: str, **names: str) -> Operator:
    """An activation that ONNX has, with its parameters under ONNX's names."""
    defaults = {"negative_slope": 0.01, "alpha": 1.0}

    def run(g: Graph, input: Value, *args: Any, inplace: bool = False, **kwargs: Any) -> str:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        return g.op(kind, input, **{onnx: float(given.get(own, defaults[own])) for own, onnx in names.items()})

    return run


OPERATORS |= {
    "elu": _activation("Elu", alpha="alpha"),
    "celu": _activation("Celu", alpha="alpha"),
    "selu": _activation("Selu"),
    "leaky_relu": _activation("LeakyRelu", negative_slope="alpha"),
    "hardswish": _activation("HardSwish"),
}


@operator("hardsigmoid")
def hardsigmoid(g: Graph, input: Value, inplace: bool = False) -> str:
    return g.op("HardSigmoid", input, alpha=1 / 6, beta=0.5)


@operator("silu")
def silu(g: Graph, input: Value, inplace: bool = False) -> str:
    return g.op("Mul", input, g.op("Sigmoid", input))


@operator("mish")
def mish(g: Graph, input: Value, inplace: bool = False) -> str:
    return g.op("Mul", input, g.op("Tanh", g.op("Softplus", input)))


@operator("logsigmoid")
def logsigmoid(g: Graph, input: Value) -> str:
    return g.op("Neg", g.op("Softplus", g.op("Neg", input)))


@operator("softplus")
def softplus(g: Graph, input: Value, beta: float = 1.0, threshold: float = 20.0) -> str:
    scaled = input if beta == 1 else g.op("Mul", input, g.constant(beta, input.dtype))
    made = g.op("Softplus", scaled)
    if beta != 1:
        made = g.op("Div", made, g.constant(beta, input.dtype))
    return g.op("Where", g.op("Greater", scaled, g.constant(threshold, input.dtype)), input, made)


@operator("gelu")
def gelu(g: Graph, input: Value, approximate: str = "none") -> str:
    def number(value: float) -> str:
        return g.constant(value, input.dtype)

    if approximate == "tanh":
        cubed = g.op("Mul", number(0.044715), g.op("Mul", input, g.op("Mul", input, input)))
        inner = g.op("Tanh", g.op("Mul", number(math.sqrt(2 / math.pi)), g.op("Add", input, cubed)))
    else:
        inner = g.op("Erf", g.op("Mul", input, number(math.sqrt(0.5))))
    return g.op("Mul", g.op("Mul", input, number(0.5)), g.op("Add", inner, number(1.0)))


@operator("threshold")
def threshold(g: Graph, input: Value, threshold: float, value: float, inplace: bool = False) -> str:
    above = g.op("Greater", input, g.constant(threshold, input.dtype))
    return g.op("Where", above, input, g.constant(value, input.dtype))


@operator("softmax", "_softmax")
def softmax(g: Graph, input: Value, dim: int | None = None, *args: Any, dtype: Any = None, **kwargs: Any) -> str:
    return _softmax("Softmax", g, input, dim)


@operator("log_softmax")
def log_softmax(g: Graph, input: Value, dim: int | None = None, *args: Any, dtype: Any = None, **kwargs: Any) -> str:
    return _softmax("LogSoftmax", g, input, dim)


def _softmax(kind: str, g: Graph, input: Value, dim: int | None) -> str:
    axis = (0 if input.rank in (0, 1, 3) else 1) if dim is None else dim
    return g.op(kind, g.cast(input, g.out[0].dtype), axis=axis)


@operator("dropout", "feature_dropout", "alpha_dropout", "native_dropout")
def dropout(g: Graph, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> str:
    if training and p:
        raise OnnxExporterError("export: dropout in training mode is not mapped; call model.eval() first")
    return input.name


# --- layers ----------------------------------------------------------------------------------------------------------


@operator("linear")
def linear(g: Graph, input: Value, weight: Value, bias: Value | None = None) -> str:
    if input.rank == 2 and weight.rank == 2:
        return g.op("Gemm", input, weight, bias, transB=1)
    product = g.op("MatMul", input, g.op("Transpose", weight))
    return product if bias is None else g.op("Add", product, bias)


@operator("nn.embedding")
def embedding(g: Graph, input: Value, weight: Value, *args: Any, **kwargs: Any) -> str:
    return g.op("Gather", weight, input, axis=0)


@operator("embedding")
def embedding_of_weight(g: Graph, weight: Value, indices: Value, *args: Any, **kwargs: Any) -> str:
    return g.op("Gather", weight, indices, axis=0)


@operator("one_hot")
def one_hot(g: Graph, input: Value, num_classes: int = -1) -> str:
    return g.op("OneHot", input, [g.out[0].shape[-1]], g.constant([0, 1], _C.int64), axis=-1)


@operator("conv1d", "conv2d", "conv3d")
def conv(
    g: Graph,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> str:
    count = weight.rank - 2
    steps = _each(dilation, count)
    kernel = [int(length) for length in weight.shape[2:]]  # type: ignore[arg-type]
    if padding == "valid":
        pads = [0] * 2 * count
    elif padding == "same":
        total = [step * (length - 1) for step, length in zip(steps, kernel, strict=True)]
        pads = [n // 2 for n in total] + [n - n // 2 for n in total]
    else:
        pads = _each(padding, count) * 2
    options = {"kernel_shape": kernel, "strides": _each(stride, count), "dilations": steps, "group": groups}
    return _batched(g, input, count, lambda x: g.op("Conv", x, weight, bias, pads=pads, **options))


@operator("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    g: Graph,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> str:
    count = weight.rank - 2
    options = {
        "kernel_shape": list(weight.shape[2:]),
        "strides": _each(stride, count),
        "dilations": _each(dilation, count),
        "pads": _each(padding, count) * 2,
        "output_padding": _each(output_padding, count),
        "group": groups,
    }
    return _batched(g, input, count, lambda x: g.op("ConvTranspose", x, weight, bias, **options))


def _batched(g: Graph, input: Value, count: int, run: Any) -> str:
    """A layer over `count` dimensions, of an input that may lack the batch."""
    if input.rank == count + 2:
        return run(input)  # type: ignore[no-any-return]
    return g.op("Squeeze", run(g.op("Unsqueeze", input, [0])), [0])


# --- normalization ---------------------------------------------------------------------------------------------------


@operator("nn.batch_norm")
def batch_norm(
    g: Graph,
    input: Value,
    running_mean: Value | None,
    running_var: Value | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> str:
    if training or running_mean is None or running_var is None:
        raise OnnxExporterError("export: batch_norm is mapped with running statistics; call model.eval() first")
    channels = [int(length) for length in running_mean.shape]  # type: ignore[arg-type]
    one = g.constant([1.0] * channels[0], input.dtype) if weight is None else weight
    zero = g.constant([0.0] * channels[0], input.dtype) if bias is None else bias
    return g.op("BatchNormalization", input, one, zero, running_mean, running_var, epsilon=eps)


@operator("layer_norm")
def layer_norm(
    g: Graph,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> str:
    shape = list(normalized_shape)
    scale: Any = weight
    if weight is None:
        scale = g.op("Expand", g.constant(1.0, input.dtype), shape)
    return g.op("LayerNormalization", input, scale, bias, axis=-len(shape), epsilon=eps)


@operator("rms_norm")
def rms_norm(
    g: Graph, input: Value, normalized_shape: Sequence[int], weight: Value | None = None, eps: float | None = None
) -> str:
    axes = list(range(-len(normalized_shape), 0))
    mean = reduce(g, "ReduceMean", g.op("Mul", input, input), axes, True)
    small = finfo(input.dtype).eps if eps is None else eps
    made = g.op("Div", input, g.op("Sqrt", g.op("Add", mean, g.constant(small, input.dtype))))
    return made if weight is None else g.op("Mul", made, weight)


def _normalized(g: Graph, input: Value, groups: int, eps: float) -> str:
    """Each of so many groups of channels of each example with mean 0 and variance 1."""
    rows = g.op("Reshape", input, [0, groups, -1])
    ones, zeros = g.constant([1.0] * groups, input.dtype), g.constant([0.0] * groups, input.dtype)
    return g.reshape(g.op("InstanceNormalization", rows, ones, zeros, epsilon=eps), input.shape)


@operator("group_norm")
def group_norm(
    g: Graph,
    input: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> str:
    return _affine(g, _normalized(g, input, num_groups, eps), input, weight, bias)


@operator("instance_norm")
def instance_norm(
    g: Graph,
    input: Value,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    weight: Value | None = None,
    bias: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> str:
    if not use_input_stats:
        return str(batch_norm(g, input, running_mean, running_var, weight, bias, eps=eps))
    return _affine(g, _normalized(g, input, int(input.shape[1]), eps), input, weight, bias)  # type: ignore[arg-type]


# --- pooling, resizing, padding --------------------------------------------------------------------------------------


def _window(kernel_size: Any, stride: Any, padding: Any, count: int) -> dict[str, Any]:
    kernel = _each(kernel_size, count)
    steps = kernel if stride is None or stride == [] else _each(stride, count)
    return {"kernel_shape": kernel, "strides": steps, "pads": _each(padding, count) * 2}


def _rounded_down(input: Value, window: dict[str, Any], count: int) -> tuple[Any, ...]:
    """The sizes that pooling gives without `ceil_mode`; None for those that are dynamic."""
    sizes = zip(input.shape[-count:], window["kernel_shape"], window["strides"], window["pads"], strict=False)
    return tuple(None if isinstance(n, Size) else (n + 2 * pad - k) // step + 1 for n, k, step, pad in sizes)


def _max_pool(count: int) -> Operator:
    def run(
        g: Graph,
        input: Value,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> str:
        if return_indices:
            raise OnnxExporterError(f"export: max_pool{count}d with return_indices is not mapped")
        options = {**_window(kernel_size, stride, padding, count), "dilations": _each(dilation, count)}
        return _batched(g, input, count, lambda x: g.op("MaxPool", x, ceil_mode=int(ceil_mode), **options))

    return run


def _avg_pool(count: int) -> Operator:
    def run(
        g: Graph,
        input: Value,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> str:
        window = _window(kernel_size, stride, padding, count)
        rounded = ceil_mode and _rounded_down(input, window, count) != g.out[0].shape[-count:]
        if divisor_override is not None or (rounded and g.opset < 19):
            raise OnnxExporterError(
                f"export: avg_pool{count}d is mapped without divisor_override; with ceil_mode since opset_version=19"
            )
        options = {"ceil_mode": int(rounded), "count_include_pad": int(count_include_pad)}
        return _batched(g, input, count, lambda x: g.op("AveragePool", x, **options, **window))

    return run


def _adaptive_pool(kind: str, count: int) -> Operator:
    def run(g: Graph, input: Value, output_size: Any, return_indices: bool = False) -> str:
        lengths, wanted = input.shape[-count:], g.out[0].shape[-count:]
        if return_indices:
            raise OnnxExporterError("export: adaptive pooling with return_indices is not mapped")
        if all(length == 1 for length in wanted):
            return _batched(g, input, count, lambda x: g.op(f"Global{kind}Pool", x))
        if not is_static((*lengths, *wanted)) or any(n % m for n, m in zip(lengths, wanted, strict=True)):  # type: ignore[operator]
            raise OnnxExporterError(
                f"export: adaptive pooling from {lengths} to {wanted} is not mapped: ONNX has it to size 1, and as "
                "pooling by windows where the sizes divide"
            )
        window = [n // m for n, m in zip(lengths, wanted, strict=True)]  # type: ignore[operator]
        return _batched(g, input, count, lambda x: g.op(f"{kind}Pool", x, kernel_shape=window, strides=window))

    return run


for _count in (1, 2, 3):
    OPERATORS[f"max_pool{_count}d"] = _max_pool(_count)
    OPERATORS[f"avg_pool{_count}d"] = _avg_pool(_count)
    OPERATORS[f"adaptive_avg_pool{_count}d"] = _adaptive_pool("Average", _count)
    OPERATORS[f"adaptive_max_pool{_count}d"] = _adaptive_pool("Max", _count)


@operator("_resample")
def resample(
    g: Graph, input: Value, size: Sequence[int], mode: str, align_corners: bool, antialias: bool, *factors: float
) -> str:
    if antialias or (mode == "nearest-exact" and align_corners) or mode == "area":
        raise OnnxExporterError(f"export: interpolate with mode {mode!r} or antialias is not mapped")
    kind = {"nearest": "nearest", "nearest-exact": "nearest", "bicubic": "cubic"}.get(mode, "linear")
    places = {"nearest": "asymmetric", "nearest-exact": "half_pixel"}.get(mode, "pytorch_half_pixel")
    options = {
        "mode": kind,
        "coordinate_transformation_mode": "align_corners" if align_corners else places,
        "nearest_mode": {"nearest": "floor", "nearest-exact": "round_prefer_ceil"}.get(mode),
        "cubic_coeff_a": -0.75 if kind == "cubic" else None,
    }
    given = [factor for factor in factors if factor is not None]
    if given:
        return g.op("Resize", input, None, g.constant([1.0, 1.0, *given], _C.float32), **options)
    return g.op("Resize", input, None, None, g.out[0].shape, **options)


@operator("pad")
def pad(g: Graph, input: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> str:
    count = len(pad) // 2
    first, last = [0] * (input.rank - count), [0] * (input.rank - count)
    for place in reversed(range(count)):
        first.append(pad[2 * place])
        last.append(pad[2 * place + 1])
    kinds = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode == "circular" and g.opset < 19:
        raise OnnxExporterError("export: circular padding needs opset_version=19 or later")
    filling = g.constant(value or 0, input.dtype) if mode == "constant" else None
    return g.op("Pad", input, first + last, filling, mode=kinds[mode])


# --- attention -------------------------------------------------------------------------------------------------------


@operator("scaled_dot_product_attention")
def attention(
    g: Graph,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> str:
    if dropout_p or (enable_gqa and query.shape[-3] != key.shape[-3]):
        raise OnnxExporterError("export: scaled_dot_product_attention is mapped without dropout and grouped heads")
    dtype = query.dtype
    order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    factor = g.constant(scale or 1 / math.sqrt(query.shape[-1]), dtype)  # type: ignore[arg-type]
    scores = g.op("MatMul", g.op("Mul", query, factor), g.op("Transpose", key, perm=order))
    lowest = g.constant(-math.inf, dtype)
    if is_causal:
        ones = g.op("Expand", g.constant(1, _C.int32), [query.shape[-2], key.shape[-2]])
        seen = g.cast(g.op("Trilu", ones, upper=0), _C.bool, _C.int32)
        scores = g.op("Where", seen, scores, lowest)
    if attn_mask is not None and attn_mask.dtype == _C.bool:
        scores = g.op("Where", attn_mask, scores, lowest)
    elif attn_mask is not None:
        scores = g.op("Add", scores, g.cast(attn_mask, dtype))
    weights = g.op("Softmax", scores, axis=-1)
    if attn_mask is not None:  # a row without anything to look at is zero
        weights = g.op("Where", g.op("IsNaN", weights), g.constant(0.0, dtype), weights)
    return g.op("MatMul", weights, value)


# --- recurrent networks ----------------------------------------------------------------------------------------------

# ONNX's order of the gates, as places in PyTorch's: input, output, forget, cell; update, reset, new.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def _gates(g: Graph, kind: str, weights: list[Value]) -> str:
    """The weights of all directions, their gates in ONNX's order."""
    parts = []
    for weight in weights:
        chunks = g.ops("Split", len(_GATES[kind]), weight, [_hidden(kind, weight)] * len(_GATES[kind]), axis=0)
        parts.append(g.op("Concat", *(chunks[place] for place in _GATES[kind]), axis=0))
    return g.op("Concat", *(g.op("Unsqueeze", part, [0]) for part in parts), axis=0)


def _hidden(kind: str, weight: Value) -> int:
    return int(weight.shape[0]) // len(_GATES[kind])  # type: ignore[arg-type]


def _recurrent(kind: str, activation: str = "") -> Operator:
    def run(
        g: Graph,
        input: Value,
        hx: Any,
        params: Sequence[Value],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> list[str]:
        directions = 2 if bidirectional else 1
        count = len(params) // (num_layers * directions)
        if not isinstance(params, (list, tuple)) or count != (4 if has_biases else 2):
            raise OnnxExporterError(f"export: {kind} of packed sequences or with proj_size is not mapped")
        if dropout and train and num_layers > 1:
            raise OnnxExporterError("export: dropout in training mode is not mapped; call model.eval() first")
        states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
        options: dict[str, Any] = {"direction": "bidirectional" if bidirectional else "forward"}
        if kind == "GRU":
            options["linear_before_reset"] = 1
        if activation:
            options["activations"] = [activation] * directions
        name = g.op("Transpose", input, perm=[1, 0, 2]) if batch_first else input.name
        finals: list[list[str]] = [[] for _ in states]
        for layer in range(num_layers):
            start = layer * directions
            own = [params[count * (start + d) : count * (start + d + 1)] for d in range(directions)]
            weights = [_gates(g, kind, [one[place] for one in own]) for place in range(count)]
            bias = g.op("Concat", weights[2], weights[3], axis=1) if has_biases else None
            first = [cut(g, state, 0, start, start + directions) for state in states]
            hidden = _hidden(kind, own[0][0])
            made = g.ops(
                kind, 1 + len(states), name, weights[0], weights[1], bias, None, *first, hidden_size=hidden, **options
            )
            name = g.op("Reshape", g.op("Transpose", made[0], perm=[0, 2, 1, 3]), [0, 0, directions * hidden])
            for final, one in zip(finals, made[1:], strict=True):
                final.append(one)
        if batch_first:
            name = g.op("Transpose", name, perm=[1, 0, 2])
        return [name, *(g.op("Concat", *final, axis=0) for final in finals)]

    return run


OPERATORS |= {
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU"),
    "rnn_tanh": _recurrent("RNN", "Tanh"),
    "rnn_relu": _recurrent("RNN", "Relu"),
}


def _cell(kind: str) -> Operator:
    def run(
        g: Graph, input: Value, hx: Any, w_ih: Value, w_hh: Value, b_ih: Value | None = None, b_hh: Value | None = None
    ) -> list[str]:
        states = hx if isinstance(hx, (list, tuple)) else [hx]
        bias = None
        if b_ih is not None and b_hh is not None:
            bias = g.op("Concat", _gates(g, kind, [b_ih]), _gates(g, kind, [b_hh]), axis=1)
        options = {"linear_before_reset": 1} if kind == "GRU" else {}
        sequence, *first = (g.op("Unsqueeze", one, [0]) for one in (input, *states))
        weights = _gates(g, kind, [w_ih]), _gates(g, kind, [w_hh])
        hidden = _hidden(kind, w_ih)
        made = g.ops(kind, 1 + len(states), sequence, *weights, bias, None, *first, hidden_size=hidden, **options)
        return [g.op("Squeeze", one, [0]) for one in made[1:]]

    return run


OPERATORS |= {"lstm_cell": _cell("LSTM"), "gru_cell": _cell("GRU")}


@operator("constant_pad_nd")
def constant_pad(g: Graph, input: Value, pad_: Sequence[int], value: float = 0) -> str:
    return str(pad(g, input, pad_, "constant", value))
