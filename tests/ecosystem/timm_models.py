"""timm: networks made by name, forward, backward and trained."""

import timm
import torch
from common import numbers, record, record_training, same_weights
from torch.nn.functional import cross_entropy

MODELS = {
    "resnet10t": {},
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 3},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "mobilenetv3_small_050": {},
}


def main():
    images, labels = numbers(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    for name, options in MODELS.items():
        model = same_weights(timm.create_model(name, num_classes=10, **options), name)
        model.eval()
        with torch.no_grad():
            record(f"{name}: output", model(images))
            record(f"{name}: features", model.forward_features(images))
        model.train()
        record_training(name, model, lambda m: cross_entropy(m(images), labels), lr=1e-3)
