"""Graph convolution and graph attention on a random graph, with scatter operations."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        self.bias = Parameter(torch.FloatTensor(out_features))
        stdv = 1.0 / self.weight.size(1) ** 0.5
        self.weight.data.uniform_(-stdv, stdv)
        self.bias.data.uniform_(-stdv, stdv)

    def forward(self, x, adj):
        return torch.spmm(adj, torch.mm(x, self.weight)) + self.bias


class GraphAttention(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.proj = nn.Linear(in_features, out_features, bias=False)
        self.att = nn.Parameter(torch.empty(1, 2 * out_features))
        nn.init.xavier_uniform_(self.att, gain=1.414)

    def forward(self, x, edges):
        h = self.proj(x)
        source, target = edges
        score = F.leaky_relu((torch.cat([h[source], h[target]], dim=1) * self.att).sum(1), 0.2)
        score = score - score.max()
        weight = score.exp()
        total = torch.zeros(len(x)).scatter_add_(0, target, weight)
        weight = weight / total[target].clamp(min=1e-9)
        out = torch.zeros_like(h)
        return out.index_add(0, target, h[source] * weight.unsqueeze(1))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc = GraphConvolution(8, 16)
        self.att = GraphAttention(16, 4)

    def forward(self, x, adj, edges):
        return F.log_softmax(self.att(F.elu(self.gc(x, adj)), edges), dim=1)


def main():
    torch.manual_seed(14)
    n = 30
    adj = (torch.rand(n, n) < 0.15).float()
    adj = ((adj + adj.t() + torch.eye(n)) > 0).float()
    degree = adj.sum(1).pow(-0.5)
    normal = degree[:, None] * adj * degree[None, :]
    edges = adj.nonzero(as_tuple=True)
    x, labels = torch.randn(n, 8), torch.arange(n) % 4
    train = torch.LongTensor(range(20))
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    losses = []
    for _ in range(50):
        model.train()
        optimizer.zero_grad()
        output = model(x, normal, edges)
        loss = F.nll_loss(output[train], labels[train])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    correct = output.max(1)[1].type_as(labels).eq(labels).double().sum()
    return [*losses, float(correct) + 1]


if __name__ == "__main__":
    print(json.dumps(main()))
