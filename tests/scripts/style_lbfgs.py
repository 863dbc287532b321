"""Neural style: an image optimised with LBFGS against Gram matrices of random features."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def gram_matrix(input):
    a, b, c, d = input.size()
    features = input.view(a * b, c * d)
    return torch.mm(features, features.t()).div(a * b * c * d)


class Normalization(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean = mean.clone().detach().view(-1, 1, 1)
        self.std = std.clone().detach().view(-1, 1, 1)

    def forward(self, img):
        return (img - self.mean) / self.std


def main():
    torch.manual_seed(15)
    torch.set_default_dtype(torch.float64)
    content, style = torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)
    body = nn.Sequential(
        Normalization(torch.tensor([0.48, 0.46, 0.41]), torch.tensor([0.23, 0.22, 0.23])),
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(inplace=False),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
    )
    body.eval().requires_grad_(False)
    with torch.no_grad():
        content_target, style_target = body(content), gram_matrix(body(style))
    image = content.clone()
    image.requires_grad_(True)
    optimizer = optim.LBFGS([image], max_iter=4)
    strong = optim.LBFGS([image], lr=0.8, max_iter=5, history_size=4, line_search_fn="strong_wolfe")
    losses = []

    def closure_for(which):
        def closure():
            with torch.no_grad():
                image.clamp_(0, 1)
            which.zero_grad()
            features = body(image)
            loss = 100 * F.mse_loss(gram_matrix(features), style_target) + F.mse_loss(features, content_target)
            loss.backward()
            losses.append(loss.item())
            return loss

        return closure

    for _ in range(5):
        optimizer.step(closure_for(optimizer))
    for _ in range(3):
        strong.step(closure_for(strong))
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
