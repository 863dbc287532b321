"""A normalising flow of affine coupling layers, invertible linear maps and actnorm."""

import json

import torch
import torch.nn as nn
from torch import distributions


class Coupling(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)
        self.s = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2), nn.Tanh())
        self.t = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2))

    def inverse(self, x):
        kept = x * self.mask
        s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
        return (1 - self.mask) * (x - t) * torch.exp(-s) + kept, -s.sum(dim=1)

    def forward(self, z):
        kept = z * self.mask
        s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
        return kept + (1 - self.mask) * (z * torch.exp(s) + t)


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(2, 2))[0])

    def inverse(self, x):
        return x @ self.weight, torch.slogdet(self.weight)[1].expand(len(x))

    def forward(self, z):
        return z @ torch.inverse(self.weight)


def main():
    torch.manual_seed(21)
    layers = nn.ModuleList()
    for i in range(4):
        layers += [Coupling(torch.tensor([1.0, 0.0]) if i % 2 else torch.tensor([0.0, 1.0])), Mixing()]
    prior = distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    angle = torch.rand(128) * 6.28
    data = torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(128, 2)
    optimizer = torch.optim.RAdam(layers.parameters(), lr=5e-3)
    losses = []
    for _ in range(50):
        z, log_det = data, torch.zeros(len(data))
        for layer in layers:
            z, change = layer.inverse(z)
            log_det = log_det + change
        loss = -(prior.log_prob(z) + log_det).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        for layer in reversed(layers):
            z = layer(z)
        assert torch.allclose(z, data, atol=0.1)
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
