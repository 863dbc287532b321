"""Matrix factorisation and a wide-and-deep model on embedding bags, with hooks and gradient accumulation."""

import json

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class WideDeep(nn.Module):
    def __init__(self, users, items, dim=8):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim), nn.Embedding(items, dim, max_norm=2.0)
        self.bag = nn.EmbeddingBag(30, dim, mode="mean")
        self.deep = nn.Sequential(nn.Linear(3 * dim, 16), nn.ELU(), nn.Linear(16, 1))
        self.bias = nn.ParameterDict(
            {"user": nn.Parameter(torch.zeros(users)), "item": nn.Parameter(torch.zeros(items))}
        )

    def forward(self, user, item, tags):
        u, i, b = self.user(user), self.item(item), self.bag(tags)
        deep = self.deep(torch.cat([u, i, b], dim=1)).squeeze(-1)
        return (u * i).sum(1) + deep + self.bias["user"][user] + self.bias["item"][item]


def main():
    torch.manual_seed(24)
    n = 96
    users, items = torch.randint(10, (n,)), torch.randint(15, (n,))
    tags = torch.randint(30, (n, 4))
    ratings = (users % 3 + items % 2).float() + 0.1 * torch.randn(n)
    train, held = random_split(TensorDataset(users, items, tags, ratings), [80, 16])
    model = WideDeep(10, 15)
    sparse_like = torch.optim.Adagrad(model.user.parameters(), lr=0.1)
    others = [p for n, p in model.named_parameters() if not n.startswith("user.")]
    dense = torch.optim.SGD(others, lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4)
    seen = []
    handle = model.deep[0].register_forward_hook(lambda m, args, out: seen.append(out.abs().mean().item()))
    losses = []
    for _ in range(6):
        for step, (u, i, t, r) in enumerate(DataLoader(train, batch_size=10, shuffle=True)):
            loss = nn.functional.huber_loss(model(u, i, t), r) / 2
            loss.backward()
            losses.append(loss.item())
            if step % 2:
                nn.utils.clip_grad_value_(model.parameters(), 0.5)
                sparse_like.step()
                dense.step()
                model.zero_grad()
    handle.remove()
    with torch.no_grad():
        u, i, t, r = next(iter(DataLoader(held, batch_size=16)))
        losses.append(nn.functional.l1_loss(model(u, i, t), r).item())
    return losses + seen


if __name__ == "__main__":
    print(json.dumps(main()))
