"""What is compared: one function a row, which knows no library by name.

A row gets the library as its argument ``torch`` (PyTorch itself, or fastnn), makes its inputs from the seed that is
set, and returns a step: a function without arguments that does the work once and returns a tensor to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Step = Callable[[], Any]
Options = Mapping[str, Any]
Settings = tuple[tuple[str, Options], ...]  # names for the table, and what the row is called with

# How PyTorch may be set up for a row; the quickest counts. fastnn always runs as it comes.
AS_IT_COMES: Settings = (("default", {}),)
OPTIMIZERS: Settings = (*AS_IT_COMES, ("fused", {"fused": True}))
IMAGES: Settings = (*OPTIMIZERS, ("fused, channels last", {"fused": True, "channels_last": True}))

# Relative; one-element sums and elementwise results agree to rounding, training steps add up a few roundings.
TOLERANCE = 1e-4

CALLS = 100  # what a step of the rows on one-element tensors repeats, so that calling the step does not count
MILLION = 1 << 20


@dataclass(frozen=True)
class Row:
    """A comparison: its name on the command line, its line in the table, how to build a step."""

    name: str
    title: str
    build: Callable[..., Step]
    torch_settings: Settings = AS_IT_COMES
    tolerance: float = TOLERANCE


ROWS: dict[str, Row] = {}


def row(
    title: str, torch_settings: Settings = AS_IT_COMES, tolerance: float = TOLERANCE
) -> Callable[[Callable[..., Step]], Callable[..., Step]]:
    """Adds the decorated function to ``ROWS`` under its own name."""

    def add(build: Callable[..., Step]) -> Callable[..., Step]:
        ROWS[build.__name__] = Row(build.__name__, title, build, torch_settings, tolerance)
        return build

    return add


def training_step(torch: Any, model: Any, optimizer: Any, inputs: Any, targets: Any) -> Step:
    """One step of a classifier on a fixed batch; returns the loss."""
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> Any:
        loss = cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def forward_backward(torch: Any, function: Callable[[Any], Any], x: Any) -> Step:
    """``function(x)`` and the gradient of its product with a fixed tensor; returns the gradient."""
    gradient = torch.randn(*function(x).shape)

    def step() -> Any:
        x.grad = None
        function(x).backward(gradient)
        return x.grad

    return step


# --- what an operation costs that has nothing to compute ------------------------------------------------------


@row("two-operand op, one element")
def op(torch: Any) -> Step:
    a, b = torch.rand(1), torch.rand(1)

    def step() -> Any:
        for _ in range(CALLS):
            result = a + b
        return result

    return step


@row("two-operand op, one element, recorded")
def op_grad(torch: Any) -> Step:
    a, b = torch.rand(1, requires_grad=True), torch.rand(1)

    def step() -> Any:
        for _ in range(CALLS):
            result = a * b
        return result.detach()

    return step


@row("100 additions of one element, forward and backward")
def op_chain(torch: Any) -> Step:
    a, b = torch.rand(1, requires_grad=True), torch.rand(1)

    def step() -> Any:
        a.grad = None
        result = a
        for _ in range(CALLS):
            result = result + b
        result.backward()
        return result.detach() + a.grad

    return step


# --- kernels --------------------------------------------------------------------------------------------------


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


# --- optimizers -----------------------------------------------------------------------------------------------


def optimizer_step(torch: Any, make: Callable[[list[Any]], Any]) -> Step:
    """The step alone, over 100 tensors of 128 x 128 whose gradients stay."""
    parameters = [torch.nn.Parameter(torch.randn(128, 128)) for _ in range(100)]
    for parameter in parameters:
        parameter.grad = torch.randn(128, 128)
    optimizer = make(parameters)

    def step() -> Any:
        optimizer.step()
        return parameters[-1].detach()

    return step


@row("AdamW, 100 tensors", OPTIMIZERS)
def adamw(torch: Any, fused: bool | None = None) -> Step:
    return optimizer_step(torch, lambda parameters: torch.optim.AdamW(parameters, lr=1e-4, fused=fused))


@row("SGD with momentum, 100 tensors", OPTIMIZERS)
def sgd(torch: Any, fused: bool | None = None) -> Step:
    return optimizer_step(torch, lambda parameters: torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=fused))


# --- training steps -------------------------------------------------------------------------------------------


def perceptron(torch: Any, widths: tuple[int, ...]) -> Any:
    """Linear layers of these widths with ReLU between them."""
    layers: list[Any] = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def perceptron_step(torch: Any, widths: tuple[int, ...], batch: int, fused: bool | None) -> Step:
    model = perceptron(torch, widths)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=fused)
    targets = torch.randint(widths[-1], (batch,))
    return training_step(torch, model, optimizer, torch.randn(batch, widths[0]), targets)


@row("linear 784-10, batch 64: training step", OPTIMIZERS)
def linear(torch: Any, fused: bool | None = None) -> Step:
    return perceptron_step(torch, (784, 10), 64, fused)


@row("MLP 8-16-16-2, batch 4: training step", OPTIMIZERS)
def mlp_small(torch: Any, fused: bool | None = None) -> Step:
    return perceptron_step(torch, (8, 16, 16, 2), 4, fused)


@row("MLP 784-512-512-10, batch 64: training step", OPTIMIZERS)
def mlp(torch: Any, fused: bool | None = None) -> Step:
    return perceptron_step(torch, (784, 512, 512, 10), 64, fused)


@row("small CNN, 32 images of 1 x 28 x 28: training step", IMAGES)
def cnn(torch: Any, fused: bool | None = None, channels_last: bool = False) -> Step:
    nn = torch.nn

    def stage(before: int, after: int) -> list[Any]:
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]

    model = nn.Sequential(*stage(1, 16), *stage(16, 32), nn.Flatten(), nn.Linear(32 * 7 * 7, 10))
    inputs, targets = torch.randn(32, 1, 28, 28), torch.randint(10, (32,))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=fused)
    return training_step(torch, model, optimizer, inputs, targets)


def language_model(torch: Any, vocabulary: int, width: int, context: int, layers: int, heads: int) -> Any:
    """A decoder: learned positions, pre-norm blocks with causal attention and a GELU MLP of four times the width."""
    nn = torch.nn
    attention = nn.functional.scaled_dot_product_attention

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query_key_value, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def attend(self, x: Any) -> Any:
            batch, length, _ = x.shape
            parts = self.query_key_value(x).split(width, dim=2)
            q, k, v = (part.view(batch, length, heads, width // heads).transpose(1, 2) for part in parts)
            mixed = attention(q, k, v, is_causal=True)
            return self.project(mixed.transpose(1, 2).reshape(batch, length, width))

        def forward(self, x: Any) -> Any:
            x = x + self.attend(self.norm_attention(x))
            return x + self.mlp(self.norm_mlp(x))

    class LanguageModel(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            positions = self.positions(torch.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(self.tokens(tokens) + positions))).view(-1, vocabulary)

    return LanguageModel()


def transformer_step(torch: Any, width: int, context: int, batch: int, fused: bool | None) -> Step:
    vocabulary = 96
    model = language_model(torch, vocabulary, width, context, layers=4, heads=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    tokens = torch.randint(vocabulary, (batch, context))
    targets = torch.randint(vocabulary, (batch * context,))
    return training_step(torch, model, optimizer, tokens, targets)


@row("transformer, 4 layers, width 128, 8 x 64 tokens: training step", OPTIMIZERS)
def transformer(torch: Any, fused: bool | None = None) -> Step:
    return transformer_step(torch, 128, 64, 8, fused)


@row("transformer, 4 layers, width 256, 8 x 128 tokens: training step", OPTIMIZERS)
def transformer_wide(torch: Any, fused: bool | None = None) -> Step:
    return transformer_step(torch, 256, 128, 8, fused)


@row("LSTM, 2 layers of 256, 20 x 35 tokens: training step", OPTIMIZERS)
def lstm(torch: Any, fused: bool | None = None) -> Step:
    nn = torch.nn
    vocabulary, width, batch, length = 96, 256, 20, 35

    class LanguageModel(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.lstm = nn.Embedding(vocabulary, width), nn.LSTM(width, width, 2)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, tokens: Any) -> Any:
            output, _ = self.lstm(self.tokens(tokens))
            return self.head(output).view(-1, vocabulary)

    model = LanguageModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=fused)
    tokens = torch.randint(vocabulary, (length, batch))
    return training_step(torch, model, optimizer, tokens, torch.randint(vocabulary, (length * batch,)))
