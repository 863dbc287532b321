"""A Wasserstein critic with gradient penalty: a second derivative through a convolutional net."""

import json

import torch
import torch.autograd as autograd
import torch.nn as nn


def compute_gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1, 1, 1)
    interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(interpolates)
    gradients = autograd.grad(
        outputs=scores,
        inputs=interpolates,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def main():
    torch.manual_seed(19)
    critic = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.GroupNorm(2, 16),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(64, 1),
    )
    generator = nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64, 0.8), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    losses = []
    for step in range(25):
        real, z = torch.randn(8, 1, 8, 8), torch.randn(8, 4)
        opt_c.zero_grad()
        fake = generator(z)
        penalty = compute_gradient_penalty(critic, real.data, fake.data)
        d_loss = -torch.mean(critic(real)) + torch.mean(critic(fake)) + 10 * penalty
        d_loss.backward()
        opt_c.step()
        losses.append(d_loss.item())
        if step % 3 == 0:
            opt_g.zero_grad()
            g_loss = -torch.mean(critic(generator(z)))
            g_loss.backward()
            opt_g.step()
            losses.append(g_loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
