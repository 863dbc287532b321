"""safetensors: tensors of every kind and whole models into files and back; the other side reads them too."""

import common
import torch
from common import numbers, record
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model
from torch import nn


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x):
        return self.norm(self.head(self.embed(x)))


KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "bool")


def main():
    x = numbers(4, 6)
    tensors = {name: (x * 10).to(getattr(torch, name)) for name in KINDS}
    tensors |= {"scalar": torch.tensor(3), "empty": torch.zeros(0, 2), "uint8": torch.arange(9, dtype=torch.uint8)}
    path = common.FOLDER / "tensors.safetensors"
    if not path.exists():
        save_file(tensors, path, metadata={"made by": "the first"})
    for name, tensor in load_file(path).items():
        record(f"file: {name}", tensor)
    with safe_open(path, framework="pt") as file:
        record("metadata", file.metadata())
        record("keys", sorted(file.keys()))
        part = file.get_slice("float32")
        record("slice", part[1:3, :2])
        record("slice shape", list(part.get_shape()))
        record("slice dtype", part.get_dtype())
    again = load(save(tensors))
    record("bytes", [name for name in tensors if not torch.equal(again[name], tensors[name])])

    model = Tied()
    path = common.FOLDER / "tied_model.safetensors"
    if not path.exists():
        save_model(model, path)
    record("load_model", [sorted(kind) for kind in load_model(model, path)])
    record("output", model.eval()(torch.tensor([[0, 1, 2, 3, 4]]).repeat(5, 1)[:, :5]))
    record("tied", model.head.weight.data_ptr() == model.embed.weight.data_ptr())
    try:
        save_file(model.state_dict(), common.FOLDER / "shared.safetensors")
    except RuntimeError as error:
        record("shared tensors", str(error)[:60])
    try:
        save_file({"x": x.t()}, common.FOLDER / "strided.safetensors")
    except ValueError as error:
        record("strided tensor", str(error)[:60])
