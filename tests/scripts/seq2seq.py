"""Sequence to sequence: a GRU encoder on packed sequences and a decoder with additive attention."""

import json
import random

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence


class Encoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden, padding_idx=0)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, hidden)

    def forward(self, source, lengths):
        packed = pack_padded_sequence(self.embedding(source), lengths, batch_first=True, enforce_sorted=False)
        output, hidden = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True)
        return output, torch.tanh(self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1)))


class Decoder(nn.Module):
    def __init__(self, vocab, hidden):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden)
        self.attention = nn.Linear(3 * hidden, hidden)
        self.v = nn.Parameter(torch.rand(hidden))
        self.cell = nn.GRUCell(3 * hidden, hidden)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, token, hidden, memory, mask):
        repeated = hidden.unsqueeze(1).repeat(1, memory.shape[1], 1)
        energy = torch.tanh(self.attention(torch.cat((repeated, memory), dim=2))) @ self.v
        weights = F.softmax(energy.masked_fill(mask, -1e10), dim=1)
        context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
        hidden = self.cell(torch.cat((self.embedding(token), context), dim=1), hidden)
        return self.out(hidden), hidden


def main():
    torch.manual_seed(5)
    random.seed(5)
    encoder, decoder = Encoder(20, 16), Decoder(20, 16)
    parameters = list(encoder.parameters()) + list(decoder.parameters())
    optimizer = optim.Adam(parameters, lr=5e-3)
    criterion = nn.CrossEntropyLoss(ignore_index=0)
    losses = []
    for _ in range(40):
        lengths = torch.randint(3, 8, (12,))
        rows = [torch.randint(2, 20, (int(n),)) for n in lengths]
        source = pad_sequence(rows, batch_first=True)
        target = pad_sequence([row.flip(0) for row in rows], batch_first=True)
        memory, hidden = encoder(source, lengths)
        mask = source == 0
        token, loss = torch.ones(12, dtype=torch.long), 0
        for t in range(target.size(1)):
            logits, hidden = decoder(token, hidden, memory, mask)
            loss = loss + criterion(logits, target[:, t]) if (target[:, t] != 0).any() else loss
            token = target[:, t] if random.random() < 0.5 else logits.argmax(1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    print(json.dumps(main()))
