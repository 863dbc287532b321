"""A siamese network with contrastive and triplet losses, hard negatives by distance."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    def __init__(self):
        self.x = torch.randn(40, 12) + torch.arange(40).remainder(4).unsqueeze(1)
        self.y = torch.arange(40) % 4

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        j = (i * 7 + 3) % len(self)
        return {"a": self.x[i], "b": self.x[j], "same": float(self.y[i] == self.y[j]), "label": self.y[i]}


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        distance = F.pairwise_distance(a, b, keepdim=True).squeeze(1)
        return torch.mean(same * distance.pow(2) + (1 - same) * torch.clamp(self.margin - distance, min=0.0).pow(2))


def main():
    torch.manual_seed(13)
    net = nn.Sequential(nn.Linear(12, 16), nn.PReLU(), nn.LayerNorm(16), nn.Linear(16, 6))
    loader = DataLoader(Pairs(), batch_size=10, shuffle=True, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    contrastive, triplet = ContrastiveLoss(), nn.TripletMarginLoss(margin=1.0, p=2)
    losses = []
    for _ in range(10):
        for batch in loader:
            a, b = net(batch["a"]), net(batch["b"])
            loss = contrastive(a, b, batch["same"].float())
            distance = torch.cdist(a, a)
            different = batch["label"][:, None] != batch["label"][None, :]
            negative = distance.masked_fill(~different, float("inf")).argmin(dim=1)
            loss = loss + triplet(a, b, a[negative]) + 0.1 * (1 - F.cosine_similarity(a, b)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
