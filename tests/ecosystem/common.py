"""What the programs of this folder share: the same weights and inputs on both sides, and the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FOLDER = Path()
results: dict[str, Any] = {}


def same_weights(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """The model with the weights of the other side, or written down for it."""
    path = FOLDER / f"{name}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path), strict=True)
    else:
        save_file({key: value.detach().clone() for key, value in model.state_dict().items()}, path)
    return model


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers from a normal distribution, the same everywhere."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def tokens(*shape: int, below: int, seed: int = 0) -> torch.Tensor:
    """Token numbers, the same everywhere."""
    return torch.from_numpy(np.random.default_rng(seed).integers(3, below, shape))


def record(name: str, value: Any) -> None:
    """Keep a result under a name."""
    assert name not in results, name
    if isinstance(value, torch.Tensor):
        value = [str(value.dtype), list(value.shape), value.detach().double().flatten().tolist()]
    results[name] = value


def record_training(name: str, model: torch.nn.Module, loss_of: Any, steps: int = 3, lr: float = 1e-2) -> None:
    """Train with AdamW; keep the losses, the first gradients, and one row of the weights that come out."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    losses = []
    for step in range(steps):
        loss = loss_of(model)
        loss.backward()
        if step == 0:
            norms = {n: p.grad.norm().item() for n, p in model.named_parameters() if p.grad is not None}
            record(f"{name}: gradients", norms)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    record(f"{name}: losses", losses)
