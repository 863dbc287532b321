"""What ``torch.compile`` makes of a module."""

from __future__ import annotations

from typing import Any

from ..nn.modules.module import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """A module as ``torch.compile`` returns it: calls, attributes, modes and parameters are those of the original.

    Names in its ``state_dict`` begin with ``_orig_mod.``, as in PyTorch.
    """

    _orig_mod: Module

    def __init__(self, mod: Module, dynamo_ctx: Any = None) -> None:
        super().__init__()
        self._orig_mod = mod
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the original module."""
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return super().__getattr__(name)
        return getattr(super().__getattr__("_orig_mod"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_orig_mod" or name in ("training", "_modules") or "_modules" not in self.__dict__:
            super().__setattr__(name, value)
        elif "_orig_mod" in self._modules and not name.startswith("_"):
            setattr(self._orig_mod, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def train(self, mode: bool = True) -> OptimizedModule:
        """Set the mode of both."""
        super().train(mode)
        return self
