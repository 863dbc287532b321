"""Activations as modules; the input of each may have any shape unless said otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .attention import MultiheadAttention
from .module import Module

if TYPE_CHECKING:
    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _InPlace(Module):
    """An activation whose only option is `inplace`: whether the input is overwritten."""

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


def _inplace_suffix(inplace: bool) -> str:
    return ", inplace=True" if inplace else ""


class ReLU(_InPlace):
    """`max(0, x)`.

    Args:
        inplace: whether the input is overwritten. Default: False.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReLU()(fastnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class SiLU(_InPlace):
    """`x * sigmoid(x)` (Elfwing et al., 2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.SiLU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """`x * tanh(softplus(x))` (Misra, 2019).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Mish()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class SELU(_InPlace):
    """`scale * (max(0, x) + min(0, alpha * (exp(x) - 1)))`, which keeps mean 0 and variance 1.

    Klambauer et al., Self-Normalizing Neural Networks (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.SELU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class Hardsigmoid(_InPlace):
    """`relu6(x + 3) / 6`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Hardsigmoid()(fastnn.tensor([-1.0, 2.0]))
        tensor([0.3333, 0.8333])
    """

    def extra_repr(self) -> str:
        return ""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """`x * relu6(x + 3) / 6` (Howard et al., Searching for MobileNetV3, 2019).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Hardswish()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.3333,  1.6667])
    """

    def extra_repr(self) -> str:
        return ""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Tanh(Module):
    """`tanh(x)`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Tanh()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """`1 / (1 + exp(-x))`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Sigmoid()(fastnn.tensor([-1.0, 2.0]))
        tensor([0.2689, 0.8808])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """`log(1 / (1 + exp(-x)))`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LogSigmoid()(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.3133, -0.1269])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softsign(Module):
    """`x / (1 + |x|)`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softsign()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.5000,  0.6667])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """`x - tanh(x)`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Tanhshrink()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.2384,  1.0360])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class GELU(Module):
    """`x * Phi(x)` with Phi the normal distribution function (Hendrycks and Gimpel, 2016).

    Args:
        approximate: "none", or "tanh" for `0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.GELU()(fastnn.tensor([-1.0, 1.0]))
        tensor([-0.1587,  0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Threshold(Module):
    """`x` where it is above `threshold`, else `value`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Threshold(0.5, 9.0)(fastnn.tensor([-1.0, 2.0]))
        tensor([9., 2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}{_inplace_suffix(self.inplace)}"


class RReLU(Module):
    """`x`, and below 0 `a * x` with `a` drawn from [lower, upper]; in evaluation `a` is their mean.

    Xu et al., Empirical Evaluation of Rectified Activations in Convolution Network (2015).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.RReLU(0.1, 0.3).eval()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.2000,  2.0000])
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}{_inplace_suffix(self.inplace)}"


class Hardtanh(Module):
    """`min(max(x, min_val), max_val)`.

    Args:
        min_val, max_val: the range. Default: -1 and 1.
        inplace: whether the input is overwritten. Default: False.

    Raises:
        AssertionError: `max_val` is not above `min_val`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Hardtanh()(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.,  1.])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, new, given in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if given is not None:
                import warnings

                warnings.warn(
                    f"keyword argument `{old}` is deprecated and rename to `{new}`", FutureWarning, stacklevel=2
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}{_inplace_suffix(self.inplace)}"


class ReLU6(Hardtanh):
    """`min(max(0, x), 6)`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReLU6()(fastnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ELU(Module):
    """`x`, and below 0 `alpha * (exp(x) - 1)` (Clevert et al., 2015).

    Args:
        alpha: minus the value that negative inputs saturate at. Default: 1.
        inplace: whether the input is overwritten. Default: False.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ELU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{_inplace_suffix(self.inplace)}"


class CELU(ELU):
    """`x`, and below 0 `alpha * (exp(x / alpha) - 1)` (Barron, 2017); arguments as `ELU`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CELU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class GLU(Module):
    """`a * sigmoid(b)`, where a and b are the two halves of the input along `dim`.

    Dauphin et al., Language Modeling with Gated Convolutional Networks (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.GLU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.8808])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LeakyReLU(Module):
    """`x`, and below 0 `negative_slope * x`.

    Args:
        negative_slope: Default: 0.01.
        inplace: whether the input is overwritten. Default: False.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LeakyReLU()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.0100,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{_inplace_suffix(self.inplace)}"


class PReLU(Module):
    """`x`, and below 0 `weight * x` with a learned weight (He et al., 2015).

    Args:
        num_parameters: 1, or the number of channels of the input, (N, C, *). Default: 1.
        init: the weight at the start. Default: 0.25.
        device, dtype: of the weight.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.PReLU()(fastnn.tensor([-1.0, 2.0])).tolist()
        [-0.25, 2.0]
    """

    weight: Tensor

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(_C.empty((num_parameters,), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its value at the start."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softplus(Module):
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x` is above `threshold`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softplus()(fastnn.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardshrink(Module):
    """`x` outside [-lambd, lambd], else 0.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Hardshrink()(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """`x` moved towards 0 by `lambd`, and no further.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softshrink()(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.5000,  1.5000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softmax(Module):
    """`exp(x) / sum(exp(x))` along `dim`.

    Args:
        dim: the dimension along which the result sums to 1.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softmax(dim=-1)(fastnn.zeros(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """`log(exp(x) / sum(exp(x)))` along `dim`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LogSoftmax(dim=0)(fastnn.zeros(2))
        tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """Softmax of `-x` along `dim`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softmin(dim=0)(fastnn.tensor([-1.0, 2.0]))
        tensor([0.9526, 0.0474])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of an input of shape (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: the input has another number of dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Softmax2d()(fastnn.zeros(2, 1, 1)).tolist()
        [[[0.5]], [[0.5]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)
