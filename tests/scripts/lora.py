"""LoRA by hand: low-rank updates around frozen linear layers, merged at the end."""

import json
import math

import torch
import torch.nn as nn


class LoRALinear(nn.Module):
    def __init__(self, base, r=4, alpha=8):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad = False
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling = alpha / r

    def forward(self, x):
        return self.base(x) + (x @ self.lora_A.T @ self.lora_B.T) * self.scaling

    def merge(self):
        self.base.weight.data += self.scaling * self.lora_B @ self.lora_A
        return self.base


def main():
    torch.manual_seed(18)
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"),
        num_layers=2,
        enable_nested_tensor=False,
    )
    model = nn.Sequential(encoder, nn.Flatten(), nn.Linear(16 * 6, 3))
    for layer in encoder.layers:
        layer.linear1, layer.linear2 = LoRALinear(layer.linear1), LoRALinear(layer.linear2)
    for name, p in model.named_parameters():
        p.requires_grad = "lora_" in name or name.startswith("2.")
    frozen = {n: p.detach().clone() for n, p in model.named_parameters() if not p.requires_grad}
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=5e-3)
    x, y = torch.randn(12, 6, 16), torch.arange(12) % 3
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    now = dict(model.named_parameters())
    assert all(torch.equal(now[n], p) for n, p in frozen.items())
    before = model(x)
    for layer in encoder.layers:
        layer.linear1, layer.linear2 = layer.linear1.merge(), layer.linear2.merge()
    assert torch.allclose(before, model(x), atol=1e-4)
    return [*losses, float(sum(p.numel() for p in trainable))]


if __name__ == "__main__":
    print(json.dumps(main()))
