"""Transformer encoders and decoders."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn._C import _has_torch_function as has_torch_function
from fastnn._C import device as Device
from fastnn._C import dtype as DType
from fastnn.backends.mha import get_fastpath_enabled

from .. import functional as F
from .. import init
from .activation import GELU, ReLU
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


def _get_activation_fn(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


def _generate_square_subsequent_mask(size: int, device: Any = None, dtype: DType | None = None) -> Tensor:
    """Minus infinity above the diagonal, 0 elsewhere."""
    return _C.triu(_C.full((size, size), float("-inf"), device=device, dtype=dtype), 1)


def _detect_is_causal_mask(mask: Tensor | None, given: bool | None, size: int | None) -> bool:
    """Whether `mask` is the causal one; looked up in it unless `given` says."""
    if given is not None or mask is None:
        return given is True
    causal = _generate_square_subsequent_mask(mask.shape[-1] if size is None else size, dtype=mask.dtype)
    return mask.shape == causal.shape and bool((mask == causal).all())


def _get_seq_len(x: Tensor, batch_first: bool) -> int | None:
    if x.dim() == 2:
        return int(x.shape[0])
    return int(x.shape[1 if batch_first else 0]) if x.dim() == 3 else None


def _get_clones(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _attend(
    attention: MultiheadAttention,
    x: Tensor,
    memory: Tensor,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
) -> Tensor:
    attended, _ = attention(
        x,
        memory,
        memory,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
        is_causal=is_causal,
        need_weights=False,
    )
    result: Tensor = attended
    return result


class _TransformerLayer(Module):
    """What encoder and decoder layers share: self-attention and the feed-forward network."""

    self_attn: MultiheadAttention
    dropout1: Dropout
    linear1: Linear
    linear2: Linear
    dropout: Dropout
    norm_first: bool
    activation: Callable[[Tensor], Tensor]

    def _sa_block(
        self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """Self-attention."""
        result: Tensor = self.dropout1(_attend(self.self_attn, x, x, attn_mask, key_padding_mask, is_causal))
        return result

    def _feed_forward(self, x: Tensor, dropout: Module) -> Tensor:
        result: Tensor = dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))
        return result


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward network, each with a residual connection and a LayerNorm.

    Args:
        d_model: the size of the features.
        nhead: how many attention heads; a divisor of `d_model`.
        dim_feedforward: the inner size of the feed-forward network. Default: 2048.
        dropout: Default: 0.1.
        activation: "relu", "gelu" or a function. Default: relu.
        layer_norm_eps: `eps` of the LayerNorms. Default: 1e-5.
        batch_first: whether the batch is the first dimension rather than the second. Default: False.
        norm_first: whether the LayerNorms come before attention and network. Default: False.
        bias: whether linear layers and LayerNorms have a bias. Default: True.
        device, dtype: of the parameters.

    Shape:
        Input and output (S, N, d_model), with `batch_first` (N, S, d_model), or (S, d_model).

    Vaswani et al., Attention Is All You Need (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> layer(fastnn.randn(10, 2, 16)).shape
        torch.Size([10, 2, 16])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _get_activation_fn(activation)
        # PyTorch's fast path for inference knows these two.
        is_relu = self.activation is F.relu or isinstance(self.activation, ReLU)
        is_gelu = self.activation is F.gelu or isinstance(self.activation, GELU)
        self.activation_relu_or_gelu = 1 if is_relu else 2 if is_gelu else 0

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask, is_causal=is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask, is_causal=is_causal))
        result: Tensor = self.norm2(x + self._ff_block(x))
        return result

    def _ff_block(self, x: Tensor) -> Tensor:
        return self._feed_forward(x, self.dropout2)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to a memory, and a feed-forward network; arguments as the encoder layer.

    Shape:
        Input and output (T, N, d_model), memory (S, N, d_model); with `batch_first` (N, T, d_model) and so on.

    Vaswani et al., Attention Is All You Need (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> layer(fastnn.randn(7, 2, 16), fastnn.randn(10, 2, 16)).shape
        torch.Size([7, 2, 16])
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        attention: dict[str, Any] = {"dropout": dropout, "batch_first": batch_first, "bias": bias, **made}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _get_activation_fn(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), tgt_mask, tgt_key_padding_mask, tgt_is_causal)
            x = x + self._mha_block(self.norm2(x), memory, memory_mask, memory_key_padding_mask, memory_is_causal)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self.norm2(x + self._mha_block(x, memory, memory_mask, memory_key_padding_mask, memory_is_causal))
        result: Tensor = self.norm3(x + self._ff_block(x))
        return result

    def _mha_block(
        self, x: Tensor, mem: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None, is_causal: bool = False
    ) -> Tensor:
        """Attention to the memory."""
        result: Tensor = self.dropout2(_attend(self.multihead_attn, x, mem, attn_mask, key_padding_mask, is_causal))
        return result

    def _ff_block(self, x: Tensor) -> Tensor:
        return self._feed_forward(x, self.dropout3)


class TransformerEncoder(Module):
    """Copies of one encoder layer, one after the other.

    Args:
        encoder_layer: the layer that is copied; all copies start with its weights.
        num_layers: how many.
        norm: a module applied to the result.
        enable_nested_tensor: whether, in evaluation without gradients, the result is zero at positions that
            `src_key_padding_mask` marks as padding, as it is in PyTorch, which leaves them out there. That is for
            `TransformerEncoderLayer` with `batch_first`, without `norm_first`, with biases, relu or gelu and an even
            number of heads, when there is no other mask. Default: True.
        mask_check: whether that is done only if all padding is at the end. Default: True.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> nn.TransformerEncoder(layer, num_layers=2)(fastnn.randn(10, 2, 16)).shape
        torch.Size([10, 2, 16])
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _leaves_padding_out(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        if len(self.layers) > 0:
            attention = getattr(self.layers[0], "self_attn", None)
            length = _get_seq_len(src, bool(getattr(attention, "batch_first", False)))
            is_causal = _detect_is_causal_mask(mask, is_causal, length)
        padding = self._padding_to_leave_out(src, mask, src_key_padding_mask)
        output = src
        for layer in self.layers:
            masked = src_key_padding_mask if padding is None else padding
            output = layer(output, src_mask=mask, is_causal=is_causal, src_key_padding_mask=masked)
        if padding is not None:
            output = output.masked_fill(padding.unsqueeze(-1), 0.0)
        if self.norm is not None:
            output = self.norm(output)
        return output

    def _padding_to_leave_out(
        self, src: Tensor, mask: Tensor | None, src_key_padding_mask: Tensor | None
    ) -> Tensor | None:
        """Which positions PyTorch's fast path for inference would leave out, if it took this call."""
        if not self.use_nested_tensor or self.layers[0].training or not get_fastpath_enabled():
            return None
        if src.dim() != 3 or mask is not None or src_key_padding_mask is None:
            return None
        tensors = (src, *self.layers[0].parameters())
        if has_torch_function(tensors) or (_C.is_grad_enabled() and any(one.requires_grad for one in tensors)):
            return None
        kept = src_key_padding_mask.logical_not()
        at_the_end = _C.arange(src.size(1)) >= kept.sum(1, keepdim=True)
        return at_the_end if not self.mask_check or bool((at_the_end != kept).all()) else None


def _leaves_padding_out(layer: Module) -> bool:
    """Whether PyTorch has its fast path for inference for such a layer."""
    if not isinstance(layer, TransformerEncoderLayer) or layer.norm_first or layer.norm1.eps != layer.norm2.eps:
        return False
    attention = layer.self_attn
    whole = attention._qkv_same_embed_dim and attention.in_proj_bias is not None and attention.num_heads % 2 == 0
    return bool(layer.activation_relu_or_gelu and attention.batch_first and whole)


class TransformerDecoder(Module):
    """Copies of one decoder layer, one after the other.

    Args:
        decoder_layer: the layer that is copied; all copies start with its weights.
        num_layers: how many.
        norm: a module applied to the result.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> nn.TransformerDecoder(layer, num_layers=2)(fastnn.randn(7, 2, 16), fastnn.randn(9, 2, 16)).shape
        torch.Size([7, 2, 16])
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        if len(self.layers) > 0:
            attention = getattr(self.layers[0], "self_attn", None)
            length = _get_seq_len(tgt, bool(getattr(attention, "batch_first", False)))
            tgt_is_causal = _detect_is_causal_mask(tgt_mask, tgt_is_causal, length)
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        if self.norm is not None:
            output = self.norm(output)
        return output


class Transformer(Module):
    """An encoder and a decoder that attends to its result.

    Args:
        d_model: the size of the features. Default: 512.
        nhead: how many attention heads. Default: 8.
        num_encoder_layers, num_decoder_layers: Default: 6.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as for
            `TransformerEncoderLayer`.
        custom_encoder, custom_decoder: modules to use instead.
        device, dtype: of the parameters.

    Shape:
        src (S, N, d_model), tgt and result (T, N, d_model); with `batch_first` (N, S, d_model) and so on.

    Raises:
        RuntimeError: batch or feature sizes of src and tgt do not go together.

    Vaswani et al., Attention Is All You Need (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> model = nn.Transformer(16, 4, 1, 1, dim_feedforward=32)
        >>> model(fastnn.randn(10, 2, 16), fastnn.randn(7, 2, 16)).shape
        torch.Size([7, 2, 16])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            self.encoder = TransformerEncoder(
                TransformerEncoderLayer(*sizes, **made),
                num_encoder_layers,
                LayerNorm(d_model, eps=layer_norm_eps, **made),
            )
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            self.decoder = TransformerDecoder(
                TransformerDecoderLayer(*sizes, **made),
                num_decoder_layers,
                LayerNorm(d_model, eps=layer_norm_eps, **made),
            )
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        """Draw every matrix anew from the Xavier distribution."""
        for param in self.parameters():
            if param.dim() > 1:
                init.xavier_uniform_(param)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(batch) != tgt.size(batch):
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        result: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return result

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Device | str | None = None, dtype: DType | None = None
    ) -> Tensor:
        """Return the causal mask of shape (sz, sz): minus infinity above the diagonal, 0 elsewhere.

        Example:
            >>> from fastnn import nn
            >>> nn.Transformer.generate_square_subsequent_mask(2).tolist()
            [[0.0, -inf], [0.0, 0.0]]
        """
        return _generate_square_subsequent_mask(sz, device, dtype)
