"""Transformer layers, the choice of attention kernels and flex_attention, against torch."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import numpy as np
import pytest
from nn_parity import array, check_same, check_same_error

import fastnn
from fastnn import nn
from fastnn.nn.attention import SDPBackend, sdpa_kernel
from fastnn.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True", "ignore:.*mismatched")


def gradients(module: Any) -> list[Any]:
    return [p.grad for p in module.parameters()]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_encoder(activation: str, norm_first: bool, bias: bool) -> None:
    def function(T: Any) -> Any:
        function = T.nn.functional.silu if activation == "silu" else activation
        options = {"activation": function, "norm_first": norm_first, "bias": bias, "batch_first": True, "dropout": 0.0}
        layer = T.nn.TransformerEncoderLayer(8, 2, 12, **options)
        model = T.nn.TransformerEncoder(layer, 2, T.nn.LayerNorm(8), enable_nested_tensor=False)
        x = T.tensor(array(3, 4, 8).tolist()).requires_grad_()
        mask = T.nn.Transformer.generate_square_subsequent_mask(4)
        padding = T.tensor([[False, False, False, True]] * 3)
        outputs = [model(x), model(x, mask=mask), model(x, mask, is_causal=True), model(x[0])]
        outputs.append(model(x, src_key_padding_mask=padding, mask=mask == -math.inf))
        sum((output * output.detach().cos()).sum() for output in outputs).backward()
        return [repr(model), list(model.state_dict()), *outputs, x.grad, gradients(model)]

    check_same(function, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder(norm_first: bool) -> None:
    def function(T: Any) -> Any:
        layer = T.nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0, norm_first=norm_first)
        model = T.nn.TransformerDecoder(layer, 2)
        x = T.tensor(array(4, 3, 8).tolist()).requires_grad_()
        memory = T.tensor(array(5, 3, 8, seed=1).tolist()).requires_grad_()
        mask = T.nn.Transformer.generate_square_subsequent_mask(4)
        left_out = T.tensor([[False, False, True, False, True]] * 3)
        outputs = [
            model(x, memory),
            model(x, memory, tgt_mask=mask, memory_key_padding_mask=left_out),
            model(x, memory, tgt_mask=mask, tgt_is_causal=True),
            model(x, memory, memory_mask=T.tensor(array(4, 5).tolist())),
        ]
        sum((output * output.detach().cos()).sum() for output in outputs).backward()
        return [repr(model), list(model.state_dict()), *outputs, x.grad, memory.grad, gradients(model)]

    check_same(function, rtol=1e-3, atol=1e-4)


def test_blocks_may_be_overridden() -> None:
    class Doubled(nn.TransformerEncoderLayer):
        def _sa_block(self, *args: Any, **kwargs: Any) -> Any:
            return 0 * super()._sa_block(*args, **kwargs)

        def _ff_block(self, x: Any) -> Any:
            return x

    layer = Doubled(4, 2, 8, norm_first=True)
    x = fastnn.randn(3, 1, 4)
    assert fastnn.allclose(layer(x), x + layer.norm2(x))


def test_custom_parts() -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList()

        def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
            return x * 2

    model = nn.Transformer(4, 2, custom_encoder=Part(), custom_decoder=Part())
    x = fastnn.ones(2, 1, 4)
    assert fastnn.equal(model(x, x), x * 2)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_with_everything(batch_first: bool, bias: bool, need_weights: bool) -> None:
    def function(T: Any) -> Any:
        module = T.nn.MultiheadAttention(
            6, 3, bias=bias, add_bias_kv=True, add_zero_attn=True, kdim=4, vdim=5, batch_first=batch_first
        )
        first = (2, 4) if batch_first else (4, 2)
        second = (2, 5) if batch_first else (5, 2)
        q = T.tensor(array(*first, 6).tolist()).requires_grad_()
        k = T.tensor(array(*second, 4, seed=1).tolist()).requires_grad_()
        v = T.tensor(array(*second, 5, seed=2).tolist()).requires_grad_()
        masks = {
            "key_padding_mask": T.tensor([[False, True, False, False, False]] * 2),
            "attn_mask": T.tensor((array(6, 4, 5) > 1).tolist()),
        }
        output, weights = module(q, k, v, need_weights=need_weights, average_attn_weights=False, **masks)
        (output * output.detach().cos()).sum().backward()
        return [repr(module), list(module.state_dict()), output, weights, q.grad, k.grad, v.grad, gradients(module)]

    check_same(function, rtol=1e-4, atol=1e-5)


# --- choice of kernels ---


def test_sdpa_kernel() -> None:
    q = fastnn.randn(1, 2, 3, 4)
    expected = nn.functional.scaled_dot_product_attention(q, q, q)
    for backends in (SDPBackend.MATH, [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        with sdpa_kernel(backends, set_priority=True):
            assert fastnn.equal(nn.functional.scaled_dot_product_attention(q, q, q), expected)
    with pytest.raises(AssertionError, match="Backend must be an instance"), sdpa_kernel("math"):  # type: ignore[arg-type]
        pass
    torch = pytest.importorskip("torch")
    names = [name for name in dir(torch.nn.attention.SDPBackend) if name.isupper()]
    assert {name: int(getattr(SDPBackend, name)) for name in names} == {
        name: int(getattr(torch.nn.attention.SDPBackend, name)) for name in names
    }


# --- flex_attention ---


def causal(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return q >= kv


def window(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return (q - kv).abs() <= 3


@pytest.mark.parametrize("separate", [True, False])
@pytest.mark.parametrize("size", [4, (4, 8), 128])
def test_block_mask(size: Any, separate: bool) -> None:
    def function(T: Any) -> Any:
        flex = T.nn.attention.flex_attention
        results: list[Any] = []
        for mod in (causal, flex.and_masks(causal, window), flex.or_masks(causal, window), flex.noop_mask):
            mask = flex.create_block_mask(
                mod, 2, None, 18, 22, device="cpu", BLOCK_SIZE=size, separate_full_blocks=separate
            )
            results += [getattr(mask, name) for name in ("kv_num_blocks", "q_num_blocks", "full_kv_num_blocks")]
            results += [getattr(mask, name) for name in ("kv_indices", "q_indices", "full_q_indices")]
            results += [mask.to_dense(), list(mask.shape), mask.sparsity(), mask.numel(), str(mask), mask.seq_lengths]
            results += [list(mask[0].shape), mask[1, 0].to_dense()]
        return results

    pytest.importorskip("torch.nn.attention.flex_attention")
    check_same(function)


def test_create_mask() -> None:
    def function(T: Any) -> Any:
        flex = T.nn.attention.flex_attention
        document = T.tensor([0, 0, 1, 1, 1])
        return [
            flex.create_mask(lambda b, h, q, kv: document[q] == document[kv], 2, 3, 5, 5, device="cpu"),
            flex.create_mask(lambda s, b, h, q, kv: T.where(q >= kv, s, -math.inf), 1, 1, 3, 4, device="cpu"),
        ]

    pytest.importorskip("torch.nn.attention.flex_attention")
    check_same(function)


def reference(q: Any, k: Any, v: Any, bias: Any = 0.0, keep: Any = None, scale: float | None = None) -> Any:
    scores = q @ k.transpose(-2, -1) * (q.size(-1) ** -0.5 if scale is None else scale) + bias
    if keep is not None:
        scores = scores.masked_fill(~keep, -math.inf)
    return scores.softmax(-1) @ v, scores.logsumexp(-1)


def inputs(queries: int = 5, keys: int = 7) -> tuple[Any, Any, Any]:
    fastnn.manual_seed(0)
    shapes = ((2, 3, queries, 4), (2, 3, keys, 4), (2, 3, keys, 6))
    return tuple(fastnn.randn(*shape, dtype=fastnn.float64, requires_grad=True) for shape in shapes)  # type: ignore[return-value]


def test_score_mod() -> None:
    q, k, v = inputs()
    slopes = fastnn.tensor([0.5, 0.25, 0.125], dtype=fastnn.float64)
    distance = fastnn.arange(5).view(-1, 1) - fastnn.arange(7)
    bias = slopes.view(3, 1, 1) * distance
    expected, lse = reference(q, k, v, bias, scale=0.3)

    def alibi(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        return score + slopes[h] * (i - j)

    out, aux = flex_attention(q, k, v, alibi, scale=0.3, return_aux=AuxRequest(lse=True, max_scores=True))
    assert fastnn.allclose(out, expected)
    assert fastnn.allclose(aux.lse, lse)
    assert aux.max_scores.shape == (2, 3, 5)
    for ours, theirs in zip(
        fastnn.autograd.grad(out.sin().sum(), (q, k, v)),
        fastnn.autograd.grad(expected.sin().sum(), (q, k, v)),
        strict=True,
    ):
        assert fastnn.allclose(ours, theirs)


@pytest.mark.parametrize("with_score", [False, True])
def test_masked(with_score: bool) -> None:
    q, k, v = inputs(6, 6)
    mask = create_block_mask(window, None, None, 6, 6, BLOCK_SIZE=4)
    keep = create_mask(window, 1, 1, 6, 6)
    expected, lse = reference(q, k, v, keep=keep)
    score_mod = (lambda score, b, h, i, j: score) if with_score else None
    assert fastnn.allclose(flex_attention(q, k, v, score_mod, mask), expected)
    out, sums = flex_attention(q, k, v, score_mod, mask, return_lse=True)
    assert fastnn.allclose(out, expected)
    assert fastnn.allclose(sums, lse)


def test_blocks_that_are_not_listed_are_left_out() -> None:
    q, k, v = inputs(8, 8)
    mask = BlockMask.from_kv_blocks(
        fastnn.tensor([[[1, 1]]]), fastnn.tensor([[[[0, 1], [1, 0]]]]), BLOCK_SIZE=4, mask_mod=noop_mask
    )
    keep = fastnn.zeros(8, 8, dtype=fastnn.bool)
    keep[:4, :4] = True
    keep[4:, 4:] = True
    assert fastnn.allclose(flex_attention(q, k, v, block_mask=mask), reference(q, k, v, keep=keep)[0])


def test_rows_that_see_nothing_are_zero() -> None:
    q, k, v = inputs()
    mask = create_block_mask(lambda b, h, i, j: (i > 0) & (j >= 0), None, None, 5, 7)
    for score_mod in (None, lambda score, b, h, i, j: score * 2):
        out = flex_attention(q, k, v, score_mod, mask)
        assert float(out[:, :, 0].abs().sum()) == 0.0
        assert bool(out.isfinite().all())


def test_grouped_queries() -> None:
    q, k, v = inputs()
    k1, v1 = k[:, :1], v[:, :1]
    expected, _ = reference(q, k1.expand(-1, 3, -1, -1), v1.expand(-1, 3, -1, -1))
    assert fastnn.allclose(flex_attention(q, k1, v1, enable_gqa=True), expected)
    out, _ = flex_attention(q, k1, v1, enable_gqa=True, return_lse=True)
    assert fastnn.allclose(out, expected)


def test_copies_of_a_mask() -> None:
    mask = create_block_mask(and_masks(causal, or_masks(window)), None, 2, 16, 16, BLOCK_SIZE=4)
    assert copy.copy(mask).shape == mask.to("cpu").shape == (1, 2, 16, 16)
    assert len(mask.as_tuple()) == 13
    assert len(mask.as_tuple(flatten=False)) == 11
    assert "mask_mod=" in repr(mask)


FLEX_ERRORS: dict[str, Any] = {
    "dims": lambda T, flex: flex.flex_attention(*[T.ones(2, 3, 4)] * 3),
    "heads": lambda T, flex: flex.flex_attention(T.ones(1, 2, 3, 4), *[T.ones(1, 1, 3, 4)] * 2),
    "groups": lambda T, flex: flex.flex_attention(T.ones(1, 3, 3, 4), *[T.ones(1, 2, 3, 4)] * 2, enable_gqa=True),
    "width": lambda T, flex: flex.flex_attention(T.ones(1, 1, 3, 4), *[T.ones(1, 1, 3, 5)] * 2),
    "both": lambda T, flex: flex.flex_attention(
        *[T.ones(1, 1, 3, 4)] * 3, return_lse=True, return_aux=flex.AuxRequest()
    ),
    "mask_of_scores": lambda T, flex: flex.or_masks(1, 2),
    "kv_only": lambda T, flex: flex.BlockMask.from_kv_blocks(T.ones(1, 1, 1), T.ones(1, 1, 1, 1), T.ones(1, 1, 1)),
    "indices": lambda T, flex: flex.BlockMask.from_kv_blocks(T.ones(1), T.ones(1)),
}


@pytest.mark.parametrize("name", FLEX_ERRORS)
def test_flex_errors(name: str) -> None:
    pytest.importorskip("torch.nn.attention.flex_attention")
    check_same_error(lambda T: FLEX_ERRORS[name](T, T.nn.attention.flex_attention))


def test_length_of_mask() -> None:
    q, k, v = inputs()
    for length in (4, 8):
        with pytest.raises(ValueError, match="block_mask was created for"):
            flex_attention(q, k, v, block_mask=create_block_mask(causal, None, None, length, 7))
    with pytest.raises(RuntimeError, match="sliced"):
        flex_attention(q, k, v, block_mask=create_block_mask(causal, 1, 1, 5, 7)[0])
    with pytest.raises(AssertionError, match="mask_mod"):
        create_block_mask(lambda s, b, h, i, j: s, None, None, 2, 2)  # type: ignore[arg-type, misc]


PADDING = [[False] * 5, [False, False, True, True, True], [False] * 4 + [True]]
NOT_AT_THE_END = [[False] * 5, [False, True, False, True, True], [True, False, False, False, False]]


@pytest.mark.parametrize("padding", [PADDING, NOT_AT_THE_END], ids=["at the end", "elsewhere"])
@pytest.mark.parametrize(
    ("layer", "encoder", "call"),
    [
        ({}, {}, {}),
        ({}, {}, {"float": True}),
        ({}, {}, {"mask": True}),
        ({}, {}, {"train": True}),
        ({}, {}, {"grad": True}),
        ({}, {}, {"fast": False}),
        ({}, {"enable_nested_tensor": False}, {}),
        ({}, {"mask_check": False}, {}),
        ({}, {"norm": True}, {}),
        ({"norm_first": True}, {}, {}),
        ({"batch_first": False}, {}, {}),
        ({"bias": False}, {}, {}),
        ({"nhead": 1}, {}, {}),
        ({"activation": "gelu"}, {}, {}),
        ({"activation": "tanh"}, {}, {}),
    ],
)
def test_padding_is_left_out_where_pytorch_does(layer, encoder, call, padding):
    """In evaluation without gradients the result is zero at padding, under PyTorch's conditions for its fast path."""
    torch = pytest.importorskip("torch")
    models = []
    for T in (torch, fastnn):
        activation = T.tanh if layer.get("activation") == "tanh" else layer.get("activation", "relu")
        options = {"nhead": 2, "batch_first": True, **layer, "activation": activation}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = T.nn.TransformerEncoderLayer(8, dim_feedforward=16, dropout=0.0, **options)
            norm = T.nn.LayerNorm(8) if encoder.get("norm") else None
            models.append(T.nn.TransformerEncoder(one, 2, **{**encoder, "norm": norm}).train(bool(call.get("train"))))
    theirs, ours = models
    ours.load_state_dict({name: fastnn.from_numpy(value.numpy()) for name, value in theirs.state_dict().items()})
    if encoder.get("norm"):
        theirs.norm.bias.data.fill_(0.5)
        ours.norm.bias.data.fill_(0.5)
    x = np.random.default_rng(0).standard_normal((3, 5, 8) if layer.get("batch_first", True) else (5, 3, 8))
    results = []
    for T, model in ((torch, theirs), (fastnn, ours)):
        T.backends.mha.set_fastpath_enabled(call.get("fast", True))
        marks = T.tensor(padding)
        if call.get("float"):
            marks = T.zeros(3, 5).masked_fill(marks, float("-inf"))
        mask = T.zeros(5, 5) if call.get("mask") else None
        with T.set_grad_enabled(bool(call.get("grad"))), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append(model(T.from_numpy(x).float(), mask=mask, src_key_padding_mask=marks).detach().numpy())
        T.backends.mha.set_fastpath_enabled(True)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_a_sequence_of_padding_alone_gives_zeros() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1).eval()
    with fastnn.no_grad():
        result = encoder(fastnn.randn(2, 3, 8), src_key_padding_mask=fastnn.tensor([[False] * 3, [True] * 3]))
    assert result[1].tolist() == [[0.0] * 8] * 3 and bool((result[0] != 0).all())
