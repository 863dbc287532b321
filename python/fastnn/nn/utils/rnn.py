"""Sequences of different lengths: packed for recurrent networks, or padded to one length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences of different lengths, step after step: first the first elements of all, then the second, ...

    Made by `pack_padded_sequence` and `pack_sequence`; all recurrent networks take it.

    Attributes:
        data: (sum of the lengths, *): the elements.
        batch_sizes: how many sequences have a first, a second, ... element.
        sorted_indices: the order by falling length in which the sequences are here; None if it is the given one.
        unsorted_indices: the inverse of that permutation.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pack_sequence
        >>> packed = pack_sequence([fastnn.tensor([1, 2, 3]), fastnn.tensor([4, 5])])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    if TYPE_CHECKING:

        def __init__(
            self,
            data: Any,
            batch_sizes: Tensor | None = None,
            sorted_indices: Tensor | None = None,
            unsorted_indices: Tensor | None = None,
        ) -> None: ...

    def _with_data(self, data: Tensor) -> Self:
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the elements; arguments as `Tensor.to`. Returns this object if nothing changes."""
        return self._with_data(self.data.to(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """Return this object: it is on the CPU. Arguments as `Tensor.to`."""
        return self.to(*args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Raise an error: there is no CUDA device.

        Raises:
            AssertionError: always.
        """
        return self._with_data(self.data.cuda(*args, **kwargs))

    def pin_memory(self) -> Self:
        """Pin the memory of the elements, as `Tensor.pin_memory`."""
        return self._with_data(self.data.pin_memory())

    def double(self) -> Self:
        """Convert the elements to float64."""
        return self._with_data(self.data.double())

    def float(self) -> Self:
        """Convert the elements to float32."""
        return self._with_data(self.data.float())

    def half(self) -> Self:
        """Convert the elements to float16."""
        return self._with_data(self.data.half())

    def long(self) -> Self:
        """Convert the elements to int64."""
        return self._with_data(self.data.long())

    def int(self) -> Self:
        """Convert the elements to int32."""
        return self._with_data(self.data.int())

    def short(self) -> Self:
        """Convert the elements to int16."""
        return self._with_data(self.data.short())

    def char(self) -> Self:
        """Convert the elements to int8."""
        return self._with_data(self.data.char())

    def byte(self) -> Self:
        """Convert the elements to uint8."""
        return self._with_data(self.data.byte())

    @property
    def is_cuda(self) -> bool:
        """Whether the elements are on a CUDA device: never."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the memory of the elements is pinned."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the inverse of a permutation of 0, 1, ...; None for None.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import invert_permutation
        >>> invert_permutation(fastnn.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    return None if permutation is None else _C.argsort(permutation)


def _present(lengths: Tensor, steps: int) -> Tensor:
    """(steps, batch): whether a sequence has an element at a step."""
    result: Tensor = _C.arange(steps).unsqueeze(1) < lengths
    return result


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a batch of padded sequences.

    Args:
        input: (T, B, *), with `batch_first` (B, T, *).
        lengths: the length of each sequence.
        batch_first: whether the batch is the first dimension. Default: False.
        enforce_sorted: whether the sequences must come by falling length; if not, they are sorted. Default: True.

    Raises:
        RuntimeError: `lengths` has the wrong number of elements, one that is not above 0, or is not sorted though
            `enforce_sorted` is set; or there is nothing to pack.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pack_padded_sequence
        >>> padded = fastnn.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
        >>> packed = pack_padded_sequence(padded, [2, 1, 3], batch_first=True, enforce_sorted=False)
        >>> packed.data.tolist(), packed.sorted_indices.tolist()
        ([4, 1, 3, 5, 2, 6], [2, 0, 1])
    """
    lengths = _C.as_tensor(lengths, dtype=_C.int64)
    batch = 0 if batch_first else 1
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = _C.sort(lengths, descending=True)
        input = input.index_select(batch, sorted_indices)
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    steps = input.transpose(0, 1) if batch_first else input
    if lengths.dim() != 1 or len(lengths) != steps.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {lengths.numel()} (batch_size={steps.size(1)})"
        )
    if int(lengths.min()) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if bool((lengths[1:] > lengths[:-1]).any()):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    longest = int(lengths[0])
    if longest > steps.size(0):
        raise RuntimeError(f"Expected lengths of at most {steps.size(0)}, the padded length, but got {longest}")
    present = _present(lengths, longest)
    return PackedSequence(steps[:longest][present], present.sum(1), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the padded sequences of a PackedSequence in their original order, and their lengths.

    Args:
        sequence: the packed sequences.
        batch_first: whether the result is (B, T, *) rather than (T, B, *). Default: False.
        padding_value: what stands behind the end of a sequence. Default: 0.
        total_length: the length to pad to. Default: that of the longest sequence.

    Raises:
        ValueError: `total_length` is less than the longest sequence.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> packed = pack_sequence([fastnn.tensor([1, 2, 3]), fastnn.tensor([4, 5])])
        >>> padded, lengths = pad_packed_sequence(packed, batch_first=True)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2, 3], [4, 5, 0]], [3, 2])
    """
    data, batch_sizes, _, unsorted_indices = sequence
    steps = batch_sizes.size(0)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    count = int(batch_sizes[0])
    lengths = (_C.arange(count).unsqueeze(1) < batch_sizes).sum(1)
    padded = data.new_full((steps, count, *data.shape[1:]), padding_value)
    padded = padded.index_put((_present(lengths, steps),), data)
    if batch_first:
        padded = padded.transpose(0, 1)
    if unsorted_indices is None:
        return padded, lengths
    return padded.index_select(0 if batch_first else 1, unsorted_indices), lengths[unsorted_indices]


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences (L, *) of different lengths, padded to the longest.

    Args:
        sequences: the sequences; dimensions other than the first are equal.
        batch_first: whether the result is (B, T, *) rather than (T, B, *). Default: False.
        padding_value: what is put beside the sequences. Default: 0.
        padding_side: "right" or "left". Default: "right".

    Raises:
        RuntimeError: `sequences` cannot be iterated over or is empty, `padding_side` is another word, or the other
            dimensions differ.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pad_sequence
        >>> pad_sequence([fastnn.ones(2), fastnn.ones(3)], batch_first=True).tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    items = tuple(sequences)
    if not items:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(item.size(0) for item in items)

    def padded(item: Tensor) -> Tensor:
        fill = item.new_full((longest - item.size(0), *items[0].shape[1:]), padding_value)
        return _C.cat((item, fill) if padding_side == "right" else (fill, item))

    return _C.stack([padded(item) for item in items], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences of a padded batch: the inverse of `pad_sequence`.

    Args:
        padded_sequences: (T, B, *), with `batch_first` (B, T, *).
        lengths: the length of each sequence.
        batch_first: whether the batch is the first dimension. Default: False.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import unpad_sequence
        >>> padded = fastnn.tensor([[1, 2, 3], [4, 5, 0]])
        >>> [s.tolist() for s in unpad_sequence(padded, fastnn.tensor([3, 2]), batch_first=True)]
        [[1, 2, 3], [4, 5]]
    """
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    index = _C.arange(batch.size(1))
    return [sequence[index < length] for sequence, length in zip(batch, lengths, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, *) of different lengths.

    Args:
        sequences: the sequences.
        enforce_sorted: whether they must come by falling length; if not, they are sorted. Default: True.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pack_sequence
        >>> pack_sequence([fastnn.tensor([1, 2]), fastnn.tensor([3])]).data.tolist()
        [1, 3, 2]
    """
    lengths = _C.tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences of a PackedSequence: the inverse of `pack_sequence`.

    Example:
        >>> import fastnn; from fastnn.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> packed = pack_sequence([fastnn.tensor([1, 2]), fastnn.tensor([3])])
        >>> [s.tolist() for s in unpack_sequence(packed)]
        [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
