"""Batch and instance normalisation: the layers that keep running statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter
from .lazy import LazyModuleMixin, materialize
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """Parameters and running statistics of batch and instance normalisation.

    Frozen by `fastnn.finetune.freeze` (`_fastnn_frozen`), a layer uses its running statistics and leaves
    them as they are, in training mode too.
    """

    _version = 2
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = Parameter(_C.empty((num_features,), device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(_C.empty((num_features,), device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        tracked = track_running_stats
        zeros = _C.zeros((num_features,), device=device, dtype=dtype) if tracked else None
        ones = _C.ones((num_features,), device=device, dtype=dtype) if tracked else None
        self.register_buffer("running_mean", zeros)
        self.register_buffer("running_var", ones)
        self.register_buffer("num_batches_tracked", _C.tensor(0, dtype=_C.int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset the running statistics, and set the weight to 1, the bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say which inputs it takes")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *args: Any,
    ) -> None:
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            # Version 1 did not count batches.
            known = self.num_batches_tracked
            count = _C.tensor(0, dtype=_C.int64) if known is None else known
            state_dict = {**state_dict, key: count}
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class _BatchNorm(_NormBase):
    """What the batch normalisations share: the forward pass."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        running_mean, running_var = self.running_mean, self.running_var
        learns = self.training and not self._fastnn_frozen
        factor = 0.0 if self.momentum is None else self.momentum
        if learns and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain mean of all batches
                factor = 1.0 / float(self.num_batches_tracked)
        from_batch = learns or (running_mean is None and running_var is None)
        if learns and not self.track_running_stats:
            running_mean = running_var = None
        return F.batch_norm(input, running_mean, running_var, self.weight, self.bias, from_batch, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of an input of shape (N, C) or (N, C, L); arguments as `BatchNorm2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.BatchNorm1d(100)(fastnn.randn(20, 100)).shape
        torch.Size([20, 100])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class BatchNorm2d(_BatchNorm):
    """`y = (x - mean) / sqrt(var + eps) * weight + bias`, per channel over batch and space.

    In training, mean and (biased) variance are those of the batch, and the running statistics move towards
    them: `running = (1 - momentum) * running + momentum * new`, with the unbiased variance. In evaluation
    the running statistics are used.

    Args:
        num_features: the number of channels C.
        eps: added to the variance. Default: 1e-5.
        momentum: see above; None for the mean of all batches. Default: 0.1.
        affine: whether there are `weight` and `bias`. Default: True.
        track_running_stats: whether there are running statistics. Default: True.
        device, dtype: of the parameters and buffers.
        bias: whether there is a bias beside `weight`. Default: True.

    Shape:
        Input and output (N, C, H, W).

    Raises:
        ValueError: the input has another number of dimensions, or in training one value per channel.

    Ioffe and Szegedy, Batch Normalization (2015).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> y = nn.BatchNorm2d(3)(fastnn.randn(4, 3, 8, 8))
        >>> bool(y.mean((0, 2, 3)).abs().max() < 1e-5)
        True
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of an input of shape (N, C, D, H, W); arguments as `BatchNorm2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.BatchNorm3d(2)(fastnn.randn(2, 2, 3, 4, 5)).shape
        torch.Size([2, 2, 3, 4, 5])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of one process: the same as `BatchNorm2d`, for two and more dimensions.

    Args:
        num_features, eps, momentum, affine, track_running_stats: as for `BatchNorm2d`.
        process_group: must be None.
        device, dtype: of the parameters and buffers.
        bias: whether there is a bias beside `weight`. Default: True.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.SyncBatchNorm(3)(fastnn.randn(4, 3, 5)).shape
        torch.Size([4, 3, 5])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Device | str | None = None,
        dtype: DType | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)
        if process_group is not None:
            raise NotImplementedError("SyncBatchNorm: process groups are not supported")
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Return `module` with each batch normalisation in it replaced; parameters and statistics stay the same.

        Example:
            >>> from fastnn import nn
            >>> nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))[0]
            SyncBatchNorm(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for table in ("_parameters", "_buffers"):
                getattr(result, table).update(getattr(module, table))
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _InstanceNorm(_NormBase):
    """What the instance normalisations share: defaults and the forward pass."""

    spatial: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def _check_input_dim(self, input: Tensor) -> None:
        low, high = self.spatial + 1, self.spatial + 2
        if input.dim() not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        channels = input.size(-1 - self.spatial)
        if channels != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={input.dim() - self.spatial - 1} to match num_features "
                    f"({self.num_features}), but got: {channels}."
                )
            import warnings

            warnings.warn(
                f"input's size at dim={input.dim() - self.spatial - 1} does not match num_features. You can "
                "silence this warning by not passing in num_features, which is not used because affine=False",
                stacklevel=3,
            )
        batched = input.dim() == self.spatial + 2
        learns = self.training and not self._fastnn_frozen
        result = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            learns or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result if batched else result.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of an input of shape (N, C, L) or (C, L); arguments as `InstanceNorm2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.InstanceNorm1d(3)(fastnn.randn(2, 3, 8)).shape
        torch.Size([2, 3, 8])
    """

    spatial = 1


class InstanceNorm2d(_InstanceNorm):
    """`y = (x - mean) / sqrt(var + eps) * weight + bias`, per sample and channel.

    Args:
        num_features: the number of channels C.
        eps: added to the variance. Default: 1e-5.
        momentum: the share of the new statistics in the running ones. Default: 0.1.
        affine: whether there are `weight` and `bias`. Default: False.
        track_running_stats: whether there are running statistics, used in evaluation. Default: False.
        device, dtype: of the parameters and buffers.
        bias: whether there is a bias beside `weight`. Default: True.

    Shape:
        Input and output (N, C, H, W) or (C, H, W).

    Ulyanov et al., Instance Normalization (2016).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> y = nn.InstanceNorm2d(3)(fastnn.randn(2, 3, 8, 8))
        >>> bool(y.mean((2, 3)).abs().max() < 1e-5)
        True
    """

    spatial = 2


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of an input of shape (N, C, D, H, W); arguments as `InstanceNorm2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.InstanceNorm3d(2)(fastnn.randn(2, 2, 3, 4, 5)).shape
        torch.Size([2, 2, 3, 4, 5])
    """

    spatial = 3


# --- without num_features ---


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """A normalisation that takes `num_features` from its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
        if affine and bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            # In the places of those that are None, so that the order in state_dict() stays.
            self._buffers["running_mean"] = UninitializedBuffer(device=device, dtype=dtype)
            self._buffers["running_var"] = UninitializedBuffer(device=device, dtype=dtype)
            self._buffers["num_batches_tracked"] = _C.tensor(0, dtype=_C.int64)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for value in (self.weight, self.bias, self.running_mean, self.running_var):
                materialize(value, (self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, BatchNorm1d):
    """A `BatchNorm1d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `BatchNorm1d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyBatchNorm1d()(fastnn.randn(4, 3, 5)).shape
        torch.Size([4, 3, 5])
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNormBase, BatchNorm2d):
    """A `BatchNorm2d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `BatchNorm2d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyBatchNorm2d()(fastnn.randn(4, 3, 5, 5)).shape
        torch.Size([4, 3, 5, 5])
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNormBase, BatchNorm3d):
    """A `BatchNorm3d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `BatchNorm3d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyBatchNorm3d()(fastnn.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNormBase, InstanceNorm1d):
    """A `InstanceNorm1d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `InstanceNorm1d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyInstanceNorm1d()(fastnn.randn(4, 3, 5)).shape
        torch.Size([4, 3, 5])
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormBase, InstanceNorm2d):
    """A `InstanceNorm2d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `InstanceNorm2d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyInstanceNorm2d()(fastnn.randn(4, 3, 5, 5)).shape
        torch.Size([4, 3, 5, 5])
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormBase, InstanceNorm3d):
    """A `InstanceNorm3d` that takes `num_features` from its first input, and then is one.

    Args:
        eps, momentum, affine, track_running_stats, device, dtype, bias: as for `InstanceNorm3d`, but by default there
            are weights and running statistics.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyInstanceNorm3d()(fastnn.randn(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    cls_to_become = InstanceNorm3d
