"""A mixture of experts with top-2 routing and a load-balancing loss."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F


class MoE(nn.Module):
    def __init__(self, dim, experts, k=2):
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim)) for _ in range(experts)]
        )
        self.k = k

    def forward(self, x):
        flat = x.view(-1, x.shape[-1])
        logits = self.gate(flat)
        weights = F.softmax(logits, dim=1, dtype=torch.float)
        top, chosen = torch.topk(weights, self.k, dim=-1)
        top = (top / top.sum(dim=-1, keepdim=True)).to(flat.dtype)
        out = torch.zeros_like(flat)
        mask = F.one_hot(chosen, num_classes=len(self.experts)).permute(2, 1, 0)
        for i, expert in enumerate(self.experts):
            idx, rows = torch.where(mask[i])
            if rows.numel() == 0:
                continue
            out.index_add_(0, rows, expert(flat[None, rows].reshape(-1, flat.shape[-1])) * top[rows, idx, None])
        share = mask.float().mean(dim=(1, 2)) * len(self.experts)
        return out.view_as(x), (share * weights.mean(0)).sum()


def main():
    torch.manual_seed(17)
    x = torch.randn(6, 10, 8)
    target = torch.sin(x.cumsum(1))
    model, head = MoE(8, 4), nn.Linear(8, 8)
    optimizer = torch.optim.NAdam([*model.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(50):
        hidden, balance = model(x)
        loss = F.mse_loss(head(hidden + x), target) + 0.01 * balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
