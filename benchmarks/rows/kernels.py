"""Rows of single operations: forward and backward of each, and products of many shapes."""

from __future__ import annotations

from typing import Any

from benchmarks.rows.base import Step, add_row, forward_backward, row

MILLION = 1 << 20
TOKENS = (1024, 768)


@row("element-wise chain, 1M elements, forward and backward")
def elementwise(torch: Any) -> Step:
    x = torch.randn(MILLION, requires_grad=True)

    def step() -> Any:
        x.grad = None
        y = (x * 0.5 + 1.0).tanh() * x.sigmoid() + (x * x).mul(-0.5).exp() - x.relu() / 3.0
        y.mean().backward()
        return x.grad * MILLION  # gradients of a mean are small: compared at the size of a sum's

    return step


@row("softmax, 512 x 1000, forward and backward")
def softmax(torch: Any) -> Step:
    return forward_backward(torch, lambda x: torch.softmax(x, -1) * 1000.0, torch.randn(512, 1000, requires_grad=True))


@row("layer norm, 1024 x 512, forward and backward")
def layer_norm(torch: Any) -> Step:
    norm = torch.nn.LayerNorm(512)
    return forward_backward(torch, norm, torch.randn(1024, 512, requires_grad=True))


@row("matmul, 512 x 512 x 512")
def matmul(torch: Any) -> Step:
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    return lambda: a @ b


@row("embedding and cross entropy, 2048 tokens, 256 classes, forward and backward")
def embedding(torch: Any) -> Step:
    tokens, targets = torch.randint(256, (32, 64)), torch.randint(256, (32 * 64,))
    table = torch.nn.Embedding(256, 256)
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> Any:
        table.weight.grad = None
        loss = cross_entropy(table(tokens).view(-1, 256), targets)
        loss.backward()
        return loss.detach() + table.weight.grad

    return step


def add_unary(name: str, title: str, apply: Any, shape: tuple[int, ...] = TOKENS) -> None:
    """A row of one differentiable function of one tensor."""

    def build(torch: Any) -> Step:
        return forward_backward(torch, lambda x: apply(torch, x), torch.randn(*shape, requires_grad=True))

    add_row(name, f"{title}, {' x '.join(map(str, shape))}, forward and backward", build)


add_unary("gelu", "GELU", lambda torch, x: torch.nn.functional.gelu(x))
add_unary("silu", "SiLU", lambda torch, x: torch.nn.functional.silu(x))
add_unary("rms_norm", "RMS norm", lambda torch, x: torch.nn.functional.rms_norm(x, x.shape[-1:]))
add_unary("log_softmax", "log softmax", lambda torch, x: torch.log_softmax(x, -1))
add_unary("sum_all", "sum of everything", lambda torch, x: x.sum())
add_unary("sum_rows", "sum along rows", lambda torch, x: x.sum(1))
add_unary("sum_columns", "sum along columns", lambda torch, x: x.sum(0))
add_unary("mean_short", "mean of short rows", lambda torch, x: x.mean(1), (50_000, 8))
add_unary("amax", "largest of each row", lambda torch, x: x.amax(1))
add_unary("variance", "variance along rows", lambda torch, x: x.var(1))
add_unary("sort", "sort along rows", lambda torch, x: x.sort(1)[0], (256, 1024))
add_unary("topk", "ten largest of each row", lambda torch, x: x.topk(10, 1)[0], (256, 10_000))
add_unary("transpose", "transposed copy", lambda torch, x: x.transpose(0, 1).contiguous(), (1024, 1024))


@row("dropout, 1024 x 768, forward and backward", tolerance=None)
def dropout(torch: Any) -> Step:
    return forward_backward(
        torch, lambda x: torch.nn.functional.dropout(x, 0.1), torch.randn(*TOKENS, requires_grad=True)
    )


@row("cross entropy, 512 x 10,000, forward and backward")
def cross_entropy(torch: Any) -> Step:
    targets = torch.randint(10_000, (512,))
    x = torch.randn(512, 10_000, requires_grad=True)

    def step() -> Any:
        x.grad = None
        torch.nn.functional.cross_entropy(x, targets).backward()
        return x.grad * 512.0

    return step


@row("gather along rows, 1024 x 768, forward and backward")
def gather(torch: Any) -> Step:
    index = torch.randint(TOKENS[1], TOKENS)
    return forward_backward(torch, lambda x: x.gather(1, index), torch.randn(*TOKENS, requires_grad=True))


@row("scattered addition of rows, 8192 x 128 into 1024, forward and backward")
def index_add(torch: Any) -> Step:
    index = torch.randint(1024, (8192,))
    zeros = torch.zeros(1024, 128)
    return forward_backward(torch, lambda x: zeros.index_add(0, index, x), torch.randn(8192, 128, requires_grad=True))


def add_attention(name: str, title: str, batch: int, heads: int, length: int, width: int, causal: bool) -> None:
    def build(torch: Any) -> Step:
        q, k, v = (torch.randn(batch, heads, length, width, requires_grad=True) for _ in range(3))
        gradient = torch.randn(batch, heads, length, width)

        def step() -> Any:
            q.grad = k.grad = v.grad = None
            attention = torch.nn.functional.scaled_dot_product_attention
            attention(q, k, v, is_causal=causal).backward(gradient)
            return q.grad + k.grad + v.grad

        return step

    add_row(name, f"{title}, {batch} x {heads} heads of {width}, {length} tokens, forward and backward", build)


add_attention("attention", "attention", 4, 6, 256, 64, causal=False)
add_attention("attention_causal", "causal attention", 4, 6, 256, 64, causal=True)
add_attention("attention_long", "causal attention", 1, 8, 2048, 64, causal=True)


def add_product(name: str, left: tuple[int, ...], right: tuple[int, ...], flags: str = "nn") -> None:
    """A row of a product whose operands are transposed views where ``flags`` has a t."""

    def build(torch: Any) -> Step:
        def operand(shape: tuple[int, ...], flag: str) -> Any:
            if flag == "t":
                return torch.randn(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2)
            return torch.randn(*shape)

        a, b = operand(left, flags[0]), operand(right, flags[1])
        return lambda: a @ b

    shapes = (" x ".join(map(str, shape)) for shape in (left, right))
    marked = (shape + " transposed" * (flag == "t") for shape, flag in zip(shapes, flags, strict=True))
    add_row(name, "product of " + " and ".join(marked), build, tolerance=1e-3)


for size in (32, 128, 1024, 2048):
    add_product(f"matmul_{size}", (size, size), (size, size))
for flags in ("nt", "tn", "tt"):
    add_product(f"matmul_512_{flags}", (512, 512), (512, 512), flags)
add_product("matmul_skinny", (8, 4096), (4096, 4096), "nt")
add_product("matmul_vector", (1, 4096), (4096, 4096), "nt")
add_product("matmul_narrow", (4096, 768), (768, 64))
add_product("matmul_batched", (96, 64, 64), (96, 64, 64))
add_product("matmul_batched_wide", (24, 256, 64), (24, 64, 256), "nt")
