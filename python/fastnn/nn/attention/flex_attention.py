"""Attention whose scores go through a function, with masks made of blocks."""

from __future__ import annotations

import inspect
import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = 128


class AuxRequest(NamedTuple):
    """What `flex_attention` returns beside the result: the logarithms of sums, the largest scores."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What an AuxRequest asked for; None where it did not."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """The mask that leaves nothing out."""
    return batch.new_ones((), dtype=_C.bool)


def _combined(mask_mods: tuple[MaskMod, ...], start: bool, join: Callable[[Tensor, Tensor], Tensor]) -> MaskMod:
    if not all(callable(mask_mod) for mask_mod in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")

    def combined(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = b.new_full((), start, dtype=_C.bool)
        for mask_mod in mask_mods:
            result = join(result, mask_mod(b, h, q_idx, kv_idx))
        return result

    return combined


def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """Return a mask function that is true where any of the given ones is.

    Raises:
        RuntimeError: an argument is no function.
    """
    return _combined(mask_mods, False, lambda a, b: a | b)


def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """Return a mask function that is true where all given ones are.

    Raises:
        RuntimeError: an argument is no function.
    """
    return _combined(mask_mods, True, lambda a, b: a & b)


def _indices(*sizes: int) -> tuple[Tensor, ...]:
    """The index of each of four dimensions, shaped so that they broadcast against each other."""
    return tuple(_C.arange(n).view([n if d == i else 1 for d in range(4)]) for i, n in enumerate(sizes))


def create_mask(mod_fn: Any, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None) -> Tensor:
    """Return the mask (B, H, Q_LEN, KV_LEN) of a mask function, or where a score function is not minus infinity.

    Args:
        mod_fn: `f(batch, head, query, key)`, or with the score before them. The indices are integer tensors that
            broadcast against each other.
        B, H: how many batches and heads; None for 1.
        Q_LEN, KV_LEN: the lengths.
        device: accepted for compatibility.

    Example:
        >>> from fastnn.nn.attention.flex_attention import create_mask
        >>> create_mask(lambda b, h, q, kv: q >= kv, None, None, 2, 2).int().tolist()
        [[[[1, 0], [1, 1]]]]
    """
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    if len(inspect.signature(mod_fn).parameters) == 5:
        scores = mod_fn(_C.zeros(shape), *_indices(*shape))
        return ~_C.isneginf(scores.expand(shape))
    result: Tensor = mod_fn(*_indices(*shape)).expand(shape)
    return result


def _ordered(dense: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks each row of blocks has, and the columns with those first."""
    dense = dense.to(_C.int32)
    columns = _C.argsort(dense, dim=-1, descending=True, stable=True)
    return dense.sum(-1).to(_C.int32), columns.to(_C.int32)


def _dense(counts: Tensor, columns: Tensor) -> Tensor:
    """The inverse of `_ordered`: 1 where there is a block."""
    listed = (_C.arange(columns.size(-1)) < counts.unsqueeze(-1)).to(_C.int32)
    return _C.zeros(columns.shape, dtype=_C.int32).scatter(-1, columns.long(), listed)


def _transposed(counts: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    return _ordered(_dense(counts, columns).transpose(-2, -1))


def _check_blocks(kv_indices: Tensor, full_kv_num_blocks: Tensor | None, full_kv_indices: Tensor | None) -> None:
    if kv_indices.dim() < 2:
        raise RuntimeError("BlockMask must have at least 2 dimensions")
    if (full_kv_num_blocks is None) != (full_kv_indices is None):
        raise AssertionError("full_kv_num_blocks and full_kv_indices must be both provided or omitted")


class BlockMask:
    """Which blocks of an attention matrix are computed: for each row of blocks, the columns in which there are some.

    Made by `create_block_mask` or `BlockMask.from_kv_blocks`.

    Attributes:
        kv_num_blocks, kv_indices: (B, H, rows) and (B, H, rows, columns): the blocks that are there in part; in them
            `mask_mod` decides.
        full_kv_num_blocks, full_kv_indices: the blocks that are there as a whole; None if they are not kept apart.
        q_num_blocks, q_indices, full_q_num_blocks, full_q_indices: the same by columns.
        BLOCK_SIZE: the size of a block in queries and keys.
        mask_mod: the function of the mask.
        seq_lengths: the lengths of queries and keys.
    """

    _TENSORS = (
        "kv_num_blocks",
        "kv_indices",
        "full_kv_num_blocks",
        "full_kv_indices",
        "q_num_blocks",
        "q_indices",
        "full_q_num_blocks",
        "full_q_indices",
    )

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None,
        q_num_blocks: Tensor | None,
        q_indices: Tensor | None,
        full_q_num_blocks: Tensor | None,
        full_q_indices: Tensor | None,
        BLOCK_SIZE: tuple[int, int] = (_DEFAULT_SPARSE_BLOCK_SIZE, _DEFAULT_SPARSE_BLOCK_SIZE),
        mask_mod: MaskMod = noop_mask,
    ) -> None:
        _check_blocks(kv_indices, full_kv_num_blocks, full_kv_indices)
        if (full_q_num_blocks is None) != (full_q_indices is None):
            raise AssertionError("full_q_num_blocks and full_q_indices must be both provided or omitted")
        self.seq_lengths = seq_lengths
        self.kv_num_blocks = kv_num_blocks
        self.kv_indices = kv_indices
        self.full_kv_num_blocks = full_kv_num_blocks
        self.full_kv_indices = full_kv_indices
        self.q_num_blocks = q_num_blocks
        self.q_indices = q_indices
        self.full_q_num_blocks = full_q_num_blocks
        self.full_q_indices = full_q_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: MaskMod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """Return a BlockMask from the blocks of each row; arguments as the attributes.

        Raises:
            RuntimeError: the indices have fewer than 2 dimensions.
            AssertionError: only one of the tensors of full blocks is given.

        Example:
            >>> import fastnn; from fastnn.nn.attention.flex_attention import BlockMask
            >>> mask = BlockMask.from_kv_blocks(
            ...     fastnn.tensor([[[1, 2]]]), fastnn.tensor([[[[0, 1], [0, 1]]]]), BLOCK_SIZE=4
            ... )
            >>> mask.shape, mask.to_dense().tolist()
            ((1, 1, 8, 8), [[[[1, 0], [1, 1]]]])
        """
        _check_blocks(kv_indices, full_kv_num_blocks, full_kv_indices)
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        partial: tuple[Tensor | None, Tensor | None] = (None, None)
        full: tuple[Tensor | None, Tensor | None] = (None, None)
        if compute_q_blocks:
            partial = _transposed(kv_num_blocks, kv_indices)
            if full_kv_num_blocks is not None and full_kv_indices is not None:
                full = _transposed(full_kv_num_blocks, full_kv_indices)
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            partial[0],
            partial[1],
            full[0],
            full[1],
            size,
            noop_mask if mask_mod is None else mask_mod,
        )

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """Return lengths, tensors, block size and mask function; with `flatten` the pairs as two items each."""
        lengths: tuple[Any, ...] = self.seq_lengths if flatten else (self.seq_lengths,)
        sizes: tuple[Any, ...] = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        return (*lengths, *(getattr(self, name) for name in self._TENSORS), *sizes, self.mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the mask: (B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """How many elements the mask has."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """Return which part of the mask is in blocks that are not computed, in per cent."""
        blocks = int(self.kv_num_blocks.sum())
        if self.full_kv_num_blocks is not None:
            blocks += int(self.full_kv_num_blocks.sum())
        return 100 * (1 - blocks * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / self.numel())

    def to_dense(self) -> Tensor:
        """Return (B, H, rows, columns): 1 for each block that is computed."""
        partial = _dense(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is None or self.full_kv_indices is None:
            return partial
        return partial | _dense(self.full_kv_num_blocks, self.full_kv_indices)

    def _visible(self) -> Tensor:
        """(B, H, queries, keys): what is not left out."""
        queries, keys = self.seq_lengths
        batch, heads = self.kv_indices.shape[:2]

        def elements(blocks: Tensor) -> Tensor:
            rows = blocks.bool().repeat_interleave(self.BLOCK_SIZE[0], dim=-2)
            return rows.repeat_interleave(self.BLOCK_SIZE[1], dim=-1)[..., :queries, :keys]

        mask = create_mask(self.mask_mod, batch, heads, queries, keys)
        visible = elements(_dense(self.kv_num_blocks, self.kv_indices)) & mask
        if self.full_kv_num_blocks is None or self.full_kv_indices is None:
            return visible
        return visible | elements(_dense(self.full_kv_num_blocks, self.full_kv_indices))

    def __getitem__(self, index: Any) -> BlockMask:
        """Select batches, heads and rows of blocks; a number keeps its dimension, with size 1."""
        parts = index if isinstance(index, tuple) else (index,)

        def as_slice(part: Any, size: int) -> Any:
            if not isinstance(part, int):
                return part
            start = part + size if part < 0 else part
            return slice(start, start + 1)

        padded = (*parts, slice(None), slice(None), slice(None))[:3]
        where = tuple(as_slice(part, size) for part, size in zip(padded, self.kv_num_blocks.shape, strict=True))
        tensors = {name: getattr(self, name) for name in self._TENSORS[:4]}
        selected: dict[str, Any] = {name: None if tensor is None else tensor[where] for name, tensor in tensors.items()}
        return self.from_kv_blocks(
            **selected,
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=_sliced_mask_mod,
            seq_lengths=self.seq_lengths,
            compute_q_blocks=self.q_indices is not None,
        )

    def to(self, device: Any) -> BlockMask:
        """Return the mask with its tensors on `device`."""
        tensors = {name: getattr(self, name) for name in self._TENSORS}
        moved = {name: None if tensor is None else tensor.to(device) for name, tensor in tensors.items()}
        return BlockMask(self.seq_lengths, **moved, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod)  # type: ignore[arg-type]

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """Return a picture of the blocks of each batch and head: computed, in part, not.

        Args:
            grid_size: at most so many rows and columns; -1 for all.
            limit: how many pictures at most.
        """
        dense = self.to_dense()
        rows, columns = dense.shape[-2:]
        if grid_size == -1:
            grid_size = (rows, columns)
        elif isinstance(grid_size, int):
            grid_size = (grid_size, grid_size)
        height, width = (max(1, -(-n // most)) for n, most in zip((rows, columns), grid_size, strict=True))
        pictures = []
        for where in itertools.islice(itertools.product(*map(range, dense.shape[:-2])), limit):
            lines = [f"{where}"]
            for r in range(0, rows, height):
                shares = [
                    float(dense[where][r : r + height, c : c + width].float().mean()) for c in range(0, columns, width)
                ]
                lines.append("".join(2 * ("█" if share == 1 else " " if share == 0 else "░") for share in shares))
            pictures.append("\n".join(lines) + "\n")
        if math.prod(dense.shape[:-2]) > limit:
            pictures += [
                "...",
                "To print out more, set BlockMask.to_string(limit=N)",
                "You can also index (BlockMask[batch, head]) to choose a specific batch or head",
            ]
        return "\n".join(pictures)

    def __str__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n{self.to_string().strip()}\n)"

    def __repr__(self) -> str:
        tensors = {name: getattr(self, name) for name in self._TENSORS}
        lines = [f"{name}={None if tensor is None else tensor.shape}" for name, tensor in tensors.items()]
        lines += [f"BLOCK_SIZE={self.BLOCK_SIZE}", f"shape={self.shape}", f"sparsity={self.sparsity():.2f}%"]
        mask_mod = getattr(self.mask_mod, "__name__", self.mask_mod)
        return "BlockMask(\n    " + ",\n    ".join([*lines, f"mask_mod={mask_mod}"]) + "\n)"


def _sliced_mask_mod(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    raise RuntimeError(
        "Cannot use mask_mod from a sliced BlockMask: its indices are those of the whole mask. Set mask_mod to a "
        "function of the indices within the slice, made from the mask_mod of the mask that was sliced."
    )


def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """Return the BlockMask of a mask function.

    Args:
        mask_mod: `f(batch, head, query, key)`, true where a query sees a key. The indices are integer tensors that
            broadcast against each other.
        B, H: how many batches and heads the mask differs in; None for 1.
        Q_LEN, KV_LEN: the lengths.
        device, _compile: accepted for compatibility.
        BLOCK_SIZE: the size of a block, or those in queries and keys. Default: 128.
        separate_full_blocks: whether blocks that are seen as a whole are kept apart. Default: True.

    Raises:
        AssertionError: `mask_mod` is no function of four indices.

    Example:
        >>> from fastnn.nn.attention.flex_attention import create_block_mask
        >>> mask = create_block_mask(lambda b, h, q, kv: q >= kv, None, None, 256, 256)
        >>> mask.shape, mask.to_dense().tolist(), mask.sparsity()
        ((1, 1, 256, 256), [[[[1, 0], [1, 1]]]], 25.0)
    """
    if len(inspect.signature(mask_mod).parameters) != 4:
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN)
    rows, columns = -(-Q_LEN // size[0]), -(-KV_LEN // size[1])
    mask = F.pad(mask, (0, columns * size[1] - KV_LEN, 0, rows * size[0] - Q_LEN))
    seen = mask.reshape(*mask.shape[:2], rows, size[0], columns, size[1]).sum((3, 5))
    full = seen == size[0] * size[1] if separate_full_blocks else None
    partial = (seen > 0) if full is None else (seen > 0) & ~full
    counts, indices = _ordered(partial)
    full_counts, full_indices = (None, None) if full is None else _ordered(full)
    return BlockMask.from_kv_blocks(
        counts, indices, full_counts, full_indices, size, mask_mod=mask_mod, seq_lengths=(Q_LEN, KV_LEN)
    )


def _check(query: Tensor, key: Tensor, value: Tensor, block_mask: BlockMask | None, enable_gqa: bool) -> None:
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    if query.size(-1) != key.size(-1):
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension but got "
            f"E={query.size(-1)} and E={key.size(-1)}."
        )
    heads, key_heads = query.size(1), key.size(1)
    if not enable_gqa and heads != key_heads:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and Hkv={key_heads}. "
            "Try setting enable_gqa=True for GQA."
        )
    if heads % key_heads:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} and Hkv={key_heads}."
        )
    if block_mask is None:
        return
    lengths = (query.size(2), key.size(2))
    if lengths[0] > block_mask.seq_lengths[0] or lengths[1] > block_mask.seq_lengths[1]:
        reason = "smaller length than you're using it for, you likely need to create a new block mask."
    elif lengths != block_mask.seq_lengths:
        reason = "larger length than you're using it for, create a new block mask with the correct length."
    else:
        return
    raise ValueError(
        f"block_mask was created for block_mask.shape={block_mask.shape} but got q_len={lengths[0]} and "
        f"kv_len={lengths[1]}. As the block mask was created for a {reason}"
    )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: dict[str, Any] | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Return `softmax(score_mod(scale * query @ key^T)) @ value`, with the keys that a mask leaves out.

    Args:
        query: (B, heads, L, E).
        key: (B, key heads, S, E).
        value: (B, key heads, S, Ev).
        score_mod: `f(score, batch, head, query, key)`, the new score. All scores come at once, the indices are integer
            tensors that broadcast against them.
        block_mask: which keys a query sees.
        scale: Default: 1 / sqrt(E).
        enable_gqa: whether several heads of the query may share one of the keys. Default: False.
        return_lse: old form of `return_aux=AuxRequest(lse=True)`.
        kernel_options: accepted for compatibility.
        return_aux: what to return beside the result.

    Returns:
        (B, heads, L, Ev), zeros for queries that see nothing; with `return_lse` also the logarithm of the sum of the
        exponentials of each row of scores, with `return_aux` an AuxOutput.

    Raises:
        NotImplementedError: an input has other than 4 dimensions.
        ValueError: shapes do not go together.

    Dong et al., Flex Attention: A Programming Model for Generating Optimized Attention Kernels (2024).

    Example:
        >>> import fastnn; from fastnn.nn.attention.flex_attention import flex_attention
        >>> q = fastnn.randn(1, 2, 5, 8)
        >>> flex_attention(q, q, q, score_mod=lambda score, b, h, i, j: score - (i - j).abs()).shape
        torch.Size([1, 2, 5, 8])
    """
    _check(query, key, value, block_mask, enable_gqa)
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, please use "
            "return_aux=AuxRequest(lse=True) instead."
        )
    visible = None if block_mask is None else block_mask._visible()
    wanted = return_aux or AuxRequest(lse=return_lse)
    if score_mod is None and not any(wanted):
        output = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, scale=scale, enable_gqa=enable_gqa
        )
        return output if return_aux is None else (output, AuxOutput())

    compute = query.dtype if query.dtype == _C.float64 else _C.float32
    group = query.size(1) // key.size(1)
    keys, values = (t.to(compute).repeat_interleave(group, dim=1) for t in (key, value))
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = (query.to(compute) @ keys.transpose(-2, -1)) * factor
    if score_mod is not None:
        scores = score_mod(scores, *_indices(*scores.shape)).to(compute)
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    powers = (scores - top.masked_fill(_C.isneginf(top), 0.0)).exp()
    total = powers.sum(-1, keepdim=True)
    output = ((powers / total.masked_fill(total == 0, 1.0)) @ values).to(query.dtype)
    lse = scores.logsumexp(-1) if wanted.lse else None
    if return_aux is not None:
        return output, AuxOutput(lse, scores.amax(-1) if wanted.max_scores else None)
    return (output, lse) if return_lse else output
