"""Denoising diffusion: a noise schedule, a time-conditioned network, an averaged copy, and sampling."""

import copy
import json
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, t):
        half = self.dim // 2
        emb = torch.exp(torch.arange(half, device=t.device) * -(math.log(10000) / (half - 1)))
        emb = t[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class Block(nn.Module):
    def __init__(self, dim, dim_out, time):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, dim_out * 2))
        self.proj = nn.Conv2d(dim, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(4, dim_out)

    def forward(self, x, t):
        scale, shift = self.mlp(t)[:, :, None, None].chunk(2, dim=1)
        return F.silu(self.norm(self.proj(x)) * (scale + 1) + shift)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(SinusoidalPosEmb(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 32))
        self.inc, self.mid, self.out = Block(1, 8, 32), Block(8, 8, 32), nn.Conv2d(8, 1, 1)

    def forward(self, x, t):
        t = self.time(t)
        h = self.inc(x, t)
        return self.out(h + self.mid(h, t))


def extract(a, t, x_shape):
    return a.gather(-1, t).reshape(t.shape[0], *((1,) * (len(x_shape) - 1)))


def main():
    torch.manual_seed(16)
    betas = torch.linspace(1e-4, 0.05, 20)
    alphas = 1.0 - betas
    cumulative = torch.cumprod(alphas, dim=0)
    images = (torch.rand(8, 1, 8, 8) > 0.5).float() * 2 - 1
    model = Model()
    ema = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(50):
        t = torch.randint(0, 20, (8,)).long()
        noise = torch.randn_like(images)
        noisy = extract(cumulative.sqrt(), t, images.shape) * images
        noisy = noisy + extract((1 - cumulative).sqrt(), t, images.shape) * noise
        loss = F.smooth_l1_loss(model(noisy, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 0.1)
        losses.append(loss.item())

    @torch.inference_mode()
    def sample():
        x = torch.randn(2, 1, 8, 8)
        for i in reversed(range(20)):
            t = torch.full((2,), i, dtype=torch.long)
            mean = (x - betas[i] / (1 - cumulative[i]).sqrt() * ema(x, t)) / alphas[i].sqrt()
            x = mean + betas[i].sqrt() * torch.randn_like(x) if i else mean
        return x

    return [*losses, sample().abs().mean().item()]


if __name__ == "__main__":
    print(json.dumps(main()))
