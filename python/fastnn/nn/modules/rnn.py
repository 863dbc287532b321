"""Recurrent networks and their cells."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import TYPE_CHECKING, Any, overload

from fastnn import _C
from fastnn._C import Tensor

from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _run(operation: Callable[..., Any], lower: bool, input: Tensor, *arguments: Any) -> Any:
    """Call an operation; in an autocast block in the dtype of the block or, if not `lower`, of the state."""
    enabled, dtype, _ = _C._autocast_state()
    if not enabled:
        return operation(input, *arguments)
    from fastnn._autocast import run_as

    if not lower:
        state = next(one for one in arguments if isinstance(one, (tuple, list)) or one.is_floating_point())
        dtype = state.dtype if isinstance(state, Tensor) else state[0].dtype
    return run_as(dtype, operation, input, *arguments)


def _reset_uniform(module: Module, hidden_size: int) -> None:
    """Draw all parameters from the uniform distribution over +-1/sqrt(hidden_size)."""
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for weight in module.parameters():
        init.uniform_(weight, -bound, bound)


class RNNBase(Module):
    """What RNN, LSTM and GRU share: the parameters of all layers and directions, and the way through them.

    Args:
        mode: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".
        input_size: the number of features of the input.
        hidden_size: the number of features of the state.
        num_layers: how many layers, each of which reads the output of the one before. Default: 1.
        bias: whether there are biases. Default: True.
        batch_first: whether the batch is the first dimension rather than the second. Default: False.
        dropout: the probability of dropout on the output of all layers but the last. Default: 0.
        bidirectional: whether a second network reads the sequence from its end. Default: False.
        proj_size: above 0, the size to which LSTM projects its hidden state. Default: 0.
        device, dtype: of the parameters.

    Layer k has `weight_ih_l{k}` (gates * hidden_size, inputs), `weight_hh_l{k}` (gates * hidden_size, state),
    `bias_ih_l{k}` and `bias_hh_l{k}`, with proj_size also `weight_hr_l{k}`; those of the second direction end in
    `_reverse`. All are drawn from the uniform distribution over +-1/sqrt(hidden_size).
    """

    mode: str

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1 or isinstance(dropout, bool):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        for name, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size

        rows = _GATES[mode] * hidden_size
        directions = 2 if bidirectional else 1
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:directions]:
                features = input_size if layer == 0 else self._state_size * directions
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, features),
                    "weight_hh": (rows, self._state_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size > 0:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{kind}_l{layer}{suffix}" for kind in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(_C.empty(shape, device=device, dtype=dtype)))
                self._flat_weights_names += names
                self._all_weights.append(names)
        self.reset_parameters()

    @property
    def _state_size(self) -> int:
        """The size of the hidden state: that of its projection, where there is one."""
        return self.proj_size if self.proj_size > 0 else self.hidden_size

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # Modules that PyTorch has pickled keep lists of the parameters beside the parameters themselves.
        for name in ("_flat_weights", "_flat_weight_refs"):
            self.__dict__.pop(name, None)
        self.__dict__.setdefault("proj_size", 0)

    def flatten_parameters(self) -> None:
        """Do nothing: the parameters need no common memory. Accepted so that scripts run unchanged."""

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _reset_uniform(self, self.hidden_size)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise an error unless the input has the dtype, the dimensions and the features of this network."""
        dtype = self._flat_weights[0].dtype
        if input.dtype != dtype and not _C._autocast_state()[0]:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def _expected_state(self, input: Tensor, batch_sizes: Tensor | None, size: int) -> tuple[int, int, int]:
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0 if self.batch_first else 1)
        return self.num_layers * (2 if self.bidirectional else 1), batch, size

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """Return the shape that the hidden state must have for this input."""
        return self._expected_state(input, batch_sizes, self._state_size)

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Raise an error unless `hx` has the expected shape."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Raise an error unless input and state go together."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return the state with its sequences in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text

    # The state of LSTM is a pair; of the others one tensor.

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        return _C.zeros(self.get_expected_hidden_size(input, batch_sizes), dtype=input.dtype)

    def _check_state_dims(self, hx: Any, batched: bool) -> None:
        expected = 3 if batched else 2
        if hx.dim() != expected:
            kind = "batched" if batched else "unbatched"
            raise RuntimeError(
                f"For {kind} {expected}-D input, hx should also be {expected}-D but got {hx.dim()}-D tensor"
            )

    def _with_batch(self, hx: Any) -> Any:
        return hx.unsqueeze(1)

    def _without_batch(self, hx: Any) -> Any:
        return hx.squeeze(1)

    def _function(self, *arguments: Any) -> tuple[Tensor, Any]:
        result: tuple[Tensor, Any] = _run(getattr(_C, self.mode.lower()), self.mode != "GRU", *arguments)
        return result

    def _options(self) -> tuple[Any, ...]:
        return self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional

    def _run_packed(self, sequence: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, batch_sizes, sorted_indices, unsorted_indices = sequence
        hx = self._zero_state(data, batch_sizes) if hx is None else self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(data, hx, batch_sizes)
        output, state = self._function(data, batch_sizes, hx, *self._options())
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(state, unsorted_indices)

    def _run(self, input: Any, hx: Any) -> tuple[Any, Any]:
        if isinstance(input, PackedSequence):
            return self._run_packed(input, hx)
        if input.dim() not in (2, 3):
            tail = "tensor instead" if self.mode.startswith("RNN") else "instead"
            raise ValueError(f"{self.mode[:4].rstrip('_')}: Expected input to be 2D or 3D, got {input.dim()}D {tail}")
        batched = input.dim() == 3
        batch = 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch)
        if hx is not None:
            self._check_state_dims(hx, batched)
            if not batched:
                hx = self._with_batch(hx)
        else:
            hx = self._zero_state(input, None)
        self.check_forward_args(input, hx, None)
        output, state = self._function(input, hx, *self._options(), self.batch_first)
        return (output, state) if batched else (output.squeeze(batch), self._without_batch(state))

    if TYPE_CHECKING:

        @overload
        def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]: ...

        @overload
        def forward(self, input: PackedSequence, hx: Any = None) -> tuple[PackedSequence, Any]: ...

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the output of the last layer and the state after the last step."""
        return self._run(input, hx)


def _without_projection(arguments: dict[str, Any]) -> None:
    if "proj_size" in arguments:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """`h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`, over a sequence.

    Args:
        input_size, hidden_size, num_layers: as `RNNBase`.
        nonlinearity: "tanh" or "relu". Default: "tanh".
        bias, batch_first, dropout, bidirectional, device, dtype: as `RNNBase`.

    Shape:
        Input (L, N, input_size), with `batch_first` (N, L, input_size), (L, input_size), or a PackedSequence; state
        (layers * directions, N, hidden_size), zeros if it is not given. The output is (L, N, directions *
        hidden_size).

    Raises:
        ValueError: `nonlinearity` is neither "tanh" nor "relu", or a size is not above 0.
        RuntimeError: input and state do not go together.

    Elman, Finding Structure in Time (1990).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> output, h = nn.RNN(10, 20, 2)(fastnn.randn(5, 3, 10))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__("RNN_" + nonlinearity.upper(), *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory: with gates i, f, o and candidate g, `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`.

    Each gate is the sigmoid of (g: tanh of) `W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`, in the order i, f, g, o.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype: as
            `RNNBase`.

    Shape:
        Input (L, N, input_size), with `batch_first` (N, L, input_size), (L, input_size), or a PackedSequence; states
        (layers * directions, N, proj_size or hidden_size) and (layers * directions, N, hidden_size), zeros if they
        are not given. The output is (L, N, directions * hidden_size), or with proj_size of that size.

    Raises:
        ValueError: a size is not above 0.
        RuntimeError: input and states do not go together.

    Hochreiter and Schmidhuber, Long Short-Term Memory (1997); Gers et al., Learning to Forget (2000).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> output, (h, c) = nn.LSTM(10, 20, 2, bidirectional=True)(fastnn.randn(5, 3, 10))
        >>> output.shape, h.shape, c.shape
        (torch.Size([5, 3, 40]), torch.Size([4, 3, 20]), torch.Size([4, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """Return the shape that the cell state must have for this input."""
        return self._expected_state(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: tuple[Tensor, Tensor], batch_sizes: Tensor | None) -> None:
        self.check_input(input, batch_sizes)
        expected = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        for i, size in enumerate(expected):
            self.check_hidden_size(hidden[i], size, f"Expected hidden[{i}] size {{}}, got {{}}")

    def permute_hidden(self, hx: tuple[Tensor, Tensor], permutation: Tensor | None) -> tuple[Tensor, Tensor]:
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        cell = _C.zeros(self.get_expected_cell_size(input, batch_sizes), dtype=input.dtype)
        return super()._zero_state(input, batch_sizes), cell

    def _check_state_dims(self, hx: Sequence[Tensor], batched: bool) -> None:
        expected = 3 if batched else 2
        if hx[0].dim() != expected or hx[1].dim() != expected:
            kind = "batched" if batched else "unbatched"
            raise RuntimeError(
                f"For {kind} {expected}-D input, hx and cx should also be {expected}-D but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )

    def _with_batch(self, hx: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return hx[0].unsqueeze(1), hx[1].unsqueeze(1)

    def _without_batch(self, hx: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return hx[0].squeeze(1), hx[1].squeeze(1)

    def _function(self, *arguments: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        is_packed = isinstance(arguments[1], Tensor)  # sizes of batches come before the state
        output, hidden, cell = _run(_C.lstm, not is_packed, *arguments)
        return output, (hidden, cell)


class GRU(RNNBase):
    """Gated recurrent unit: with gates r, z and candidate n, `h_t = (1 - z) n + z h_{t-1}`.

    `n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))`; the parameters have the order r, z, n.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype: as `RNNBase`.

    Shape:
        As `RNN`.

    Raises:
        ValueError: a size is not above 0.
        RuntimeError: input and state do not go together.

    Cho et al., Learning Phrase Representations using RNN Encoder-Decoder (2014).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> output, h = nn.GRU(10, 20, batch_first=True)(fastnn.randn(3, 5, 10))
        >>> output.shape, h.shape
        (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _without_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """What the cells share: `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`.

    Args:
        input_size: the number of features of the input.
        hidden_size: the number of features of the state.
        bias: whether there are biases.
        num_chunks: how many gates there are.
        device, dtype: of the parameters.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(_C.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(_C.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(_C.empty((rows,), device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _reset_uniform(self, self.hidden_size)

    def _check_input(self, input: Tensor) -> None:
        if input.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected input to be 1D or 2D, got {input.dim()}D instead")

    def _check_hidden(self, hx: Tensor) -> None:
        if hx.dim() not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected hidden to be 1D or 2D, got {hx.dim()}D instead")

    def _step(self, function: Any, input: Tensor, hx: Tensor | None) -> Tensor:
        """One step of a cell whose state is one tensor."""
        self._check_input(input)
        if hx is not None:
            self._check_hidden(hx)
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            hx = None if hx is None else hx.unsqueeze(0)
        if hx is None:
            hx = _C.zeros((input.size(0), self.hidden_size), dtype=input.dtype)
        lower = function is not _C.gru_cell
        result: Tensor = _run(function, lower, input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return result if batched else result.squeeze(0)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"


class RNNCell(RNNCellBase):
    """One step of `RNN`: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size, hidden_size: the features of input and state.
        bias: whether there are biases. Default: True.
        nonlinearity: "tanh" or "relu". Default: "tanh".
        device, dtype: of the parameters.

    Shape:
        Input (N, input_size) or (input_size,); state and result (N, hidden_size) or (hidden_size,). The state is
        zeros if it is not given.

    Raises:
        ValueError: input or state have another number of dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.RNNCell(10, 20)(fastnn.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(_C.rnn_tanh_cell if self.nonlinearity == "tanh" else _C.rnn_relu_cell, input, hx)


class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Args:
        input_size, hidden_size: the features of input and states.
        bias: whether there are biases. Default: True.
        device, dtype: of the parameters.

    Shape:
        Input (N, input_size) or (input_size,); a pair of states, and of results, (N, hidden_size) or (hidden_size,).
        The states are zeros if they are not given.

    Raises:
        ValueError: input or states have another number of dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> h, c = nn.LSTMCell(10, 20)(fastnn.randn(3, 10))
        >>> h.shape, c.shape
        (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        self._check_input(input)
        for i, value in enumerate(hx or ()):
            if value.dim() not in (1, 2):
                raise ValueError(f"LSTMCell: Expected hx[{i}] to be 1D or 2D, got {value.dim()}D instead")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
            hx = None if hx is None else (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        if hx is None:
            zeros = _C.zeros((input.size(0), self.hidden_size), dtype=input.dtype)
            hx = (zeros, zeros)
        h, c = _run(_C.lstm_cell, False, input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Args:
        input_size, hidden_size: the features of input and state.
        bias: whether there are biases. Default: True.
        device, dtype: of the parameters.

    Shape:
        As `RNNCell`.

    Raises:
        ValueError: input or state have another number of dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.GRUCell(10, 20)(fastnn.randn(3, 10)).shape
        torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(_C.gru_cell, input, hx)
