"""torchvision without its compiled part: models and transforms."""

import torch
from common import numbers, record, record_training, same_weights
from torch.nn.functional import cross_entropy
from torchvision import models, ops, transforms, utils
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F


def main():
    images, labels = numbers(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    for name, options in (
        ("resnet18", {"width_per_group": 64}),
        ("shufflenet_v2_x0_5", {}),
        ("mobilenet_v3_small", {"dropout": 0.0}),
        ("squeezenet1_1", {"dropout": 0.0}),
    ):
        model = same_weights(models.get_model(name, num_classes=10, **options), f"torchvision {name}").eval()
        with torch.no_grad():
            record(f"{name}: output", model(images))
        # Statistics over four numbers make batch norm sensitive to rounding.
        precise = images.double()
        record_training(
            name, model.double().train(), lambda m, x=precise: cross_entropy(m(x), labels), lr=1e-3, steps=2
        )

    picture = (numbers(3, 24, 30).abs() * 100).clamp(max=255).to(torch.uint8)
    real = picture.float() / 255
    for name, transform in {
        "resize": transforms.Resize((12, 18), antialias=True),
        "crop": transforms.CenterCrop(16),
        "pad": transforms.Pad(3, padding_mode="reflect"),
        "gray": transforms.Grayscale(),
        "normalize": transforms.Normalize([0.5] * 3, [0.25] * 3),
        "blur": transforms.GaussianBlur(5, sigma=1.5),
        "v2 resize": v2.Resize(15, antialias=True),
        "v2 dtype": v2.ToDtype(torch.float32, scale=True),
        "v2 flip": v2.RandomHorizontalFlip(1.0),
    }.items():
        record(f"transform {name}", transform(real))
    for name, value in {
        "rotate": F.rotate(real, 30.0),
        "affine": F.affine(real, 10.0, [2, 3], 1.2, [5.0, 0.0]),
        "perspective": F.perspective(real, [[0, 0], [29, 0], [29, 23], [0, 23]], [[2, 1], [27, 2], [28, 22], [1, 21]]),
        "brightness": F.adjust_brightness(picture, 1.4),
        "hue": F.adjust_hue(real, 0.2),
        "saturation": F.adjust_saturation(real, 0.3),
        "contrast": F.adjust_contrast(real, 0.3),
        "sharpness": F.adjust_sharpness(real, 2.0),
        "equalize": F.equalize(picture),
        "posterize": F.posterize(picture, 3),
        "solarize": F.solarize(picture, 100),
        "invert": F.invert(picture),
        "elastic": F.elastic(real, numbers(1, 24, 30, 2) * 0.02),
        "resized crop": F.resized_crop(picture, 2, 3, 10, 12, [20, 20]),
    }.items():
        record(f"function {name}", value)
    torch.manual_seed(0)
    random = v2.Compose([v2.RandomResizedCrop(16, antialias=True), v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2)])
    record("random transforms", random(real))
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 2.0, 12.0, 11.0], [20.0, 20.0, 30.0, 25.0]])
    record("iou", ops.box_iou(boxes, boxes))
    record("giou", ops.generalized_box_iou(boxes, boxes))
    record("focal loss", ops.sigmoid_focal_loss(images[0], (images[1] > 0).float(), reduction="mean"))
    record("drop path", ops.stochastic_depth(images, 0.0, "row"))
    record("grid", utils.make_grid(images, nrow=2, normalize=True))
    record("drawn boxes", utils.draw_bounding_boxes(picture, boxes[:2] + 1))
