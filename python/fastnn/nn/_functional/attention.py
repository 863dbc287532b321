"""Multi-head attention over projected queries, keys and values."""

from __future__ import annotations

import math

from fastnn import _C
from fastnn._C import Tensor
from fastnn._C import nn as _nn

from .padding import pad


def _additive_mask(mask: Tensor | None, name: str, other: Tensor | None, dtype: _C.dtype) -> Tensor | None:
    """`mask` as a summand: where a bool mask is True, minus infinity."""
    if mask is None:
        return None
    if mask.dtype == _C.bool:
        return _C.zeros(mask.shape, dtype=dtype).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype != mask.dtype:
        from warnings import warn

        warn(
            "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type for both instead.",
            stacklevel=4,
        )
    return mask


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Whether the input is a batch; raises unless all shapes go together."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    kind = "batched 3-D" if batched else "unbatched 2-D"
    if not query.dim() == key.dim() == value.dim():
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D "
            f"but found {key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != query.dim() - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {query.dim() - 1}-D "
            f"but found {key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
                f"but found {attn_mask.dim()}-D tensor instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}")
    return batched


def _project(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    in_proj_weight: Tensor,
    in_proj_bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from one stacked weight; what is the same tensor is multiplied once."""
    width = query.size(-1)
    if query is key and key is value:
        q, k, v = _nn.linear(query, in_proj_weight, in_proj_bias).chunk(3, -1)
        return q, k, v
    if key is value:
        weights = in_proj_weight.split([width, 2 * width])
        biases = (None, None) if in_proj_bias is None else in_proj_bias.split([width, 2 * width])
        k, v = _nn.linear(key, weights[1], biases[1]).chunk(2, -1)
        return _nn.linear(query, weights[0], biases[0]), k, v
    biases3 = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (
        _nn.linear(x, w, b) for x, w, b in zip((query, key, value), in_proj_weight.chunk(3), biases3, strict=True)
    )
    return q, k, v


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`concat(head_1, ..., head_h) @ W_o` with `head_i = softmax(Q_i K_i^T / sqrt(d)) V_i`.

    Args:
        query: shape (L, N, E) or (L, E).
        key, value: shape (S, N, E) or (S, E).
        embed_dim_to_check: E. num_heads: how many heads; a divisor of E.
        in_proj_weight, in_proj_bias: the stacked projections of query, key and value, (3E, E) and (3E,).
        bias_k, bias_v: one more key and value for every sequence, shape (1, 1, E).
        add_zero_attn: whether a key and a value of zeros are added.
        dropout_p: the probability with which attention weights are zeroed in training.
        out_proj_weight, out_proj_bias: the projection of the result.
        training: whether dropout is applied.
        key_padding_mask: shape (N, S) or (S,); True (or minus infinity) for keys to leave out.
        need_weights: whether the attention weights are returned too.
        attn_mask: shape (L, S) or (N * num_heads, L, S); True for places not to attend to, or a summand.
        use_separate_proj_weight: whether q_proj_weight, k_proj_weight and v_proj_weight are used.
        static_k, static_v: projected keys and values to use instead, shape (N * num_heads, S, E / num_heads).
        average_attn_weights: whether the weights are averaged over the heads.
        is_causal: a hint that `attn_mask` is the causal mask.

    Returns:
        The result, shaped like `query`, and the weights: (N, L, S), or (N, num_heads, L, S) if not averaged.

    Vaswani et al., Attention Is All You Need (2017).
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if not batched:
        same = query is key, key is value
        query = query.unsqueeze(1)
        key = query if same[0] else key.unsqueeze(1)
        value = key if same[1] else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    target_len, batch, embed_dim = query.shape
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    q_in, k_in, v_in = query, key, value
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        projections: list[Tensor] = []
        for name, weight in (("q", q_proj_weight), ("k", k_proj_weight), ("v", v_proj_weight)):
            if weight is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
            projections.append(weight)
        biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = (_nn.linear(x, w, b) for x, w, b in zip((q_in, k_in, v_in), projections, biases, strict=True))
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project(q_in, k_in, v_in, in_proj_weight, in_proj_bias)

    # Masks become summands, and are broadcast to (N * num_heads, L, S) only where they differ.
    padding = _additive_mask(key_padding_mask, "key_padding_mask", attn_mask, q.dtype)
    mask = _additive_mask(attn_mask, "attn_mask", None, q.dtype)
    source_len = k.size(0)
    if mask is not None:
        expected = (target_len, source_len) if mask.dim() == 2 else (batch * num_heads, target_len, source_len)
        if tuple(mask.shape) != expected:
            raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}.")
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key or value.")
        k, v = _C.cat([k, bias_k.repeat(1, batch, 1)]), _C.cat([v, bias_v.repeat(1, batch, 1)])
        mask, padding = _widened(mask), _widened(padding)
    elif bias_k is not None or bias_v is not None:
        raise AssertionError("bias_k and bias_v must both be given, or neither")

    q = _split_heads(q, num_heads, head_dim)
    k = _split_heads(k, num_heads, head_dim) if static_k is None else _checked_static("static_k", static_k, q)
    v = _split_heads(v, num_heads, head_dim) if static_v is None else _checked_static("static_v", static_v, q)
    if add_zero_attn:
        zeros = k.new_zeros((k.size(0), 1, head_dim))
        k, v = _C.cat([k, zeros], 1), _C.cat([v, zeros], 1)
        mask, padding = _widened(mask), _widened(padding)
    source_len = k.size(1)
    if padding is not None:
        if tuple(padding.shape) != (batch, source_len):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, source_len)}, but got {tuple(padding.shape)}"
            )
        padding = padding.reshape(batch, 1, 1, source_len)
        padding = padding.expand(batch, num_heads, 1, source_len).reshape(-1, 1, source_len)
        mask = padding if mask is None else mask + padding

    dropout_p = dropout_p if training else 0.0
    if need_weights:
        scores = _C.bmm(q * (1.0 / math.sqrt(head_dim)), k.transpose(1, 2))
        weights = _C.softmax(scores if mask is None else scores + mask, -1)
        if dropout_p > 0.0:
            weights = _nn.dropout(weights, dropout_p)
        attended = _C.bmm(weights, v)
    else:
        shape = (batch, num_heads)
        if mask is not None and mask.dim() == 3:
            mask = mask.reshape(*shape, -1, source_len)
        # A fused kernel builds the causal mask itself, so the tensor is not needed.
        causal = is_causal and key_padding_mask is None and source_len == target_len
        attended = _nn.scaled_dot_product_attention(
            q.reshape(*shape, target_len, head_dim),
            k.reshape(*shape, source_len, head_dim),
            v.reshape(*shape, source_len, head_dim),
            None if causal else mask,
            dropout_p,
            causal,
        ).reshape(batch * num_heads, target_len, head_dim)
        weights = None
    merged = attended.transpose(0, 1).reshape(target_len * batch, embed_dim)
    output = _nn.linear(merged, out_proj_weight, out_proj_bias).reshape(target_len, batch, -1)
    if weights is not None:
        weights = weights.reshape(batch, num_heads, target_len, source_len)
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    return (output if batched else output.squeeze(1)), weights


def _split_heads(x: Tensor, num_heads: int, head_dim: int) -> Tensor:
    """(S, N, E) to (N * num_heads, S, head_dim)."""
    return x.reshape(x.size(0), x.size(1) * num_heads, head_dim).transpose(0, 1)


def _widened(mask: Tensor | None) -> Tensor | None:
    """`mask` with one more key, which is not masked."""
    return None if mask is None else pad(mask, (0, 1))


def _checked_static(name: str, static: Tensor, q: Tensor) -> Tensor:
    if static.size(0) != q.size(0):
        raise AssertionError(f"expecting {name}.size(0) of {q.size(0)}, but got {static.size(0)}")
    if static.size(2) != q.size(2):
        raise AssertionError(f"expecting {name}.size(2) of {q.size(2)}, but got {static.size(2)}")
    return static
