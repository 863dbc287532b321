"""An encoder-decoder transformer that learns to sort digits."""

import json
import math

import torch
from torch import nn


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=64):
        super().__init__()
        pe = torch.zeros(max_len, d_model)
        position = torch.arange(0, max_len, dtype=torch.float).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(10000.0) / d_model))
        pe[:, 0::2] = torch.sin(position * div_term)
        pe[:, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe.unsqueeze(0).transpose(0, 1))

    def forward(self, x):
        return x + self.pe[: x.size(0), :]


class Model(nn.Module):
    def __init__(self, vocab, d_model):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.position = PositionalEncoding(d_model)
        self.transformer = nn.Transformer(d_model, 2, 2, 2, 4 * d_model, dropout=0.0)
        self.out = nn.Linear(d_model, vocab)
        self.scale = math.sqrt(d_model)

    def forward(self, source, target, padding):
        mask = nn.Transformer.generate_square_subsequent_mask(target.size(0))
        hidden = self.transformer(
            self.position(self.embed(source) * self.scale),
            self.position(self.embed(target) * self.scale),
            tgt_mask=mask,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        return self.out(hidden)


def main():
    torch.manual_seed(7)
    model = Model(12, 16)
    for p in model.parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98), eps=1e-9)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    losses = []
    for _ in range(40):
        source = torch.randint(2, 12, (7, 10))
        padding = torch.zeros(10, 7, dtype=torch.bool)
        padding[:5, 5:] = True
        ordered, _ = source.sort(dim=0)
        start = torch.ones(1, 10, dtype=torch.long)
        logits = model(source, torch.cat([start, ordered[:-1]]), padding)
        loss = criterion(logits.reshape(-1, 12), ordered.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
