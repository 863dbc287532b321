"""Meta-learning: gradients of gradients through steps of an inner optimizer, by hand and with torch.func."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap


def forward(x, w):
    x = torch.tanh(F.linear(x, w[0], w[1]))
    return F.linear(x, w[2], w[3])


def tasks():
    a, b = torch.rand(4, 1, 1) * 4 + 0.1, torch.rand(4, 1, 1) * 3
    x = torch.rand(4, 20, 1) * 10 - 5
    return x, a * torch.sin(x + b)


def main():
    torch.manual_seed(20)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        xs, ys = tasks()
        meta = 0.0
        for x, y in zip(xs, ys):
            weights = list(model.parameters())
            for _ in range(3):
                inner = F.mse_loss(forward(x[:10], weights), y[:10])
                gradients = torch.autograd.grad(inner, weights, create_graph=True)
                weights = [w - 0.01 * g for w, g in zip(weights, gradients)]
            meta = meta + F.mse_loss(forward(x[10:], weights), y[10:])
        optimizer.zero_grad()
        (meta / len(xs)).backward()
        optimizer.step()
        losses.append(meta.item())

    def loss_of(params, x, y):
        return F.mse_loss(functional_call(model, params, (x,)), y)

    def adapted(params, x, y):
        gradients = grad(loss_of)(params, x[:10], y[:10])
        return loss_of({k: p - 0.01 * gradients[k] for k, p in params.items()}, x[10:], y[10:])

    for _ in range(10):
        params = dict(model.named_parameters())
        xs, ys = tasks()
        loss = vmap(adapted, in_dims=(None, 0, 0))(params, xs, ys).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
