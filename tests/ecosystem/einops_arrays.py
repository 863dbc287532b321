"""einops: rearrange, reduce, repeat, einsum, pack, and the layers, with gradients."""

import torch
from common import numbers, record
from einops import asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
from torch import nn


def main():
    x = numbers(2, 3, 8, 8).requires_grad_()
    patches = rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4)
    record("rearrange", patches)
    record("rearrange a list", rearrange([x[0], x[1]], "b c h w -> c (b h) w"))
    for kind in ("mean", "max", "min", "sum", "prod"):
        record(f"reduce {kind}", reduce(x, "b c (h 2) (w 2) -> b h w", kind))
    record("repeat", repeat(x[0, 0], "h w -> h (w k) j", k=2, j=3))
    record("einsum", einsum(x, numbers(8, 5), "b c h w, w k -> b c h k"))
    packed, shapes = pack([x, numbers(2, 3, 5)], "b c *")
    record("pack", packed)
    record("unpack", unpack(packed, shapes, "b c *")[0])
    record("shape", parse_shape(x, "b _ h w"))
    record("numpy", asnumpy(rearrange(x, "b c h w -> (b c h w)")).tolist())

    torch.manual_seed(0)
    net = nn.Sequential(
        Rearrange("b c (h p) (w q) -> b (h w) (c p q)", p=4, q=4),
        nn.LayerNorm(48),
        EinMix("b t c -> b t d", weight_shape="c d", bias_shape="d", c=48, d=6),
        Reduce("b t d -> b d", "mean"),
    )
    with torch.no_grad():
        net[2].weight.copy_(numbers(*net[2].weight.shape))
        net[2].bias.copy_(numbers(*net[2].bias.shape))
    output = net(x)
    (output.square().sum() + patches.sin().sum()).backward()
    record("layers", output)
    record("gradient", x.grad)
    record("EinMix gradient", net[2].weight.grad)
    record("names", list(net.state_dict()))
