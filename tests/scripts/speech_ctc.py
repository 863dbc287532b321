"""Speech: one-dimensional convolutions and a bidirectional GRU on spectrograms, with the CTC loss."""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F


class Recogniser(nn.Module):
    def __init__(self, mels, classes):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(mels, 16, 5, stride=2, padding=2), nn.BatchNorm1d(16), nn.Hardtanh(0, 20, inplace=True)
        )
        self.rnn = nn.GRU(16, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(24, classes)

    def forward(self, x):
        x = self.conv(x).permute(0, 2, 1)
        x, _ = self.rnn(x)
        return F.log_softmax(self.fc(x), dim=2)


def main():
    torch.manual_seed(23)
    waves = torch.randn(5, 640)
    window = torch.hann_window(32)
    spectrum = torch.stft(waves, 32, hop_length=16, window=window, return_complex=True)
    features = torch.log1p(spectrum.abs() ** 2)
    model = Recogniser(features.shape[1], 7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    criterion = nn.CTCLoss(blank=0, zero_infinity=True)
    targets = torch.randint(1, 7, (5, 6), dtype=torch.long)
    target_lengths = torch.tensor([6, 4, 5, 6, 3])
    losses = []
    for _ in range(40):
        output = model(features).transpose(0, 1)
        input_lengths = torch.full((5,), output.size(0), dtype=torch.long)
        loss = criterion(output, targets, input_lengths, target_lengths)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()
        losses.append(loss.item())
    decoded = output.argmax(2).transpose(0, 1)
    return losses + [float(row.unique_consecutive().numel()) for row in decoded]


if __name__ == "__main__":
    print(json.dumps(main()))
