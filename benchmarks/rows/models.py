"""Rows of whole training steps: vision, transformers, recurrent nets, fine-tuning."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks.rows.base import IMAGES, OPTIMIZERS, Step, add_row, row, training_step


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


@row("MLP 1024-4096-4096-1000, batch 128, AdamW: training step", OPTIMIZERS)
def mlp_large(torch: Any, fused: bool | None = None) -> Step:
    model = perceptron(torch, (1024, 4096, 4096, 1000))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    return training_step(torch, model, optimizer, torch.randn(128, 1024), torch.randint(1000, (128,)))


# --- vision -----------------------------------------------------------------------------------------------------


def conv_norm_relu(nn: Any, before: int, after: int, stride: int = 1, size: int = 3, groups: int = 1) -> list[Any]:
    return [
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


def resnet18(torch: Any) -> Any:
    """ResNet-18 for images of 32 x 32: a first convolution of 3 x 3 without pooling after it."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *conv_norm_relu(nn, before, after, stride), *conv_norm_relu(nn, after, after)[:-1]
            )
            self.skip = nn.Identity()
            if stride > 1 or before != after:
                self.skip = nn.Sequential(*conv_norm_relu(nn, before, after, stride, size=1)[:-1])

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.skip(x))

    layers = conv_norm_relu(nn, 3, 64)
    widths = (64, 64, 128, 256, 512)
    for before, after in pairwise(widths):
        layers += [Block(before, after, 2 if after > before else 1), Block(after, after, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def depthwise_net(torch: Any) -> Any:
    nn = torch.nn
    layers = conv_norm_relu(nn, 3, 32)
    for before, after, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += conv_norm_relu(nn, before, before, stride, groups=before)
        layers += conv_norm_relu(nn, before, after, size=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def image_step(torch: Any, model: Any, fused: bool | None, channels_last: bool) -> Step:
    """Sixteen images of 3 x 32 x 32, ten classes, SGD with momentum."""
    inputs, targets = torch.randn(16, 3, 32, 32), torch.randint(10, (16,))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, fused=fused)
    return training_step(torch, model, optimizer, inputs, targets)


@row("ResNet-18, 16 images of 32 x 32: training step", IMAGES, tolerance=1e-3)
def resnet(torch: Any, fused: bool | None = None, channels_last: bool = False) -> Step:
    return image_step(torch, resnet18(torch), fused, channels_last)


@row("ResNet-18 frozen but for its head, 16 images of 32 x 32: training step", IMAGES, tolerance=1e-3)
def resnet_frozen(torch: Any, fused: bool | None = None, channels_last: bool = False) -> Step:
    model = resnet18(torch).eval().requires_grad_(False)
    model[-1].requires_grad_(True)
    return image_step(torch, model, fused, channels_last)


@row("depthwise-separable net, 16 images of 32 x 32: training step", IMAGES, tolerance=1e-3)
def depthwise(torch: Any, fused: bool | None = None, channels_last: bool = False) -> Step:
    return image_step(torch, depthwise_net(torch), fused, channels_last)


@row("U-Net with transposed convolutions, 4 images of 64 x 64: training step", IMAGES, tolerance=1e-3)
def unet(torch: Any, fused: bool | None = None, channels_last: bool = False) -> Step:
    nn = torch.nn

    def double(before: int, after: int) -> Any:
        return nn.Sequential(*conv_norm_relu(nn, before, after), *conv_norm_relu(nn, after, after))

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            widths = (32, 64, 128)
            self.down = nn.ModuleList([double(3, 32), double(32, 64), double(64, 128)])
            self.bottom = double(128, 256)
            self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths])
            self.merge = nn.ModuleList([double(2 * w, w) for w in widths])
            self.head = nn.Conv2d(32, 2, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for stage in self.down:
                x = stage(x)
                skips.append(x)
                x = nn.functional.max_pool2d(x, 2)
            x = self.bottom(x)
            for up, merge, skip in reversed(list(zip(self.up, self.merge, skips, strict=True))):
                x = merge(torch.cat([skip, up(x)], dim=1))
            return self.head(x)

    model = UNet()
    inputs, targets = torch.randn(4, 3, 64, 64), torch.randint(2, (4, 64, 64))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    return training_step(torch, model, optimizer, inputs, targets)


@row("1-D convolutions, 8 x 80 channels x 400 audio frames: training step", OPTIMIZERS, tolerance=1e-3)
def audio(torch: Any, fused: bool | None = None) -> Step:
    nn = torch.nn
    layers: list[Any] = []
    for before, after, stride in ((80, 256, 1), (256, 256, 2), (256, 256, 1), (256, 256, 2)):
        layers += [nn.Conv1d(before, after, 5, stride, 2), nn.BatchNorm1d(after), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(256, 30))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    return training_step(torch, model, optimizer, torch.randn(8, 80, 400), torch.randint(30, (8,)))


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


# --- transformers -----------------------------------------------------------------------------------------------


def language_model(
    torch: Any, vocabulary: int, width: int, context: int, layers: int, heads: int, dropout: float = 0.0
) -> Any:
    """A decoder: learned positions, pre-norm blocks with causal attention and a GELU MLP of four times the width."""
    nn = torch.nn
    attention = nn.functional.scaled_dot_product_attention

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
            self.query_key_value, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            self.dropout = nn.Dropout(dropout)

        def attend(self, x: Any) -> Any:
            batch, length, _ = x.shape
            parts = self.query_key_value(x).split(width, dim=2)
            q, k, v = (part.view(batch, length, heads, width // heads).transpose(1, 2) for part in parts)
            mixed = attention(q, k, v, dropout_p=dropout, is_causal=True)
            return self.project(mixed.transpose(1, 2).reshape(batch, length, width))

        def forward(self, x: Any) -> Any:
            x = x + self.dropout(self.attend(self.norm_attention(x)))
            return x + self.dropout(self.mlp(self.norm_mlp(x)))

    class LanguageModel(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.dropout = nn.Dropout(dropout)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, tokens: Any) -> Any:
            positions = self.positions(torch.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(self.dropout(self.tokens(tokens) + positions)))).view(-1, vocabulary)

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


def gpt_step(torch: Any, fused: bool | None, dropout: float = 0.0, dtype: str = "float32") -> Step:
    vocabulary, width, context, batch = 96, 384, 256, 4
    model = language_model(torch, vocabulary, width, context, layers=6, heads=6, dropout=dropout)
    model = model.to(getattr(torch, dtype))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    tokens, targets = torch.randint(vocabulary, (batch, context)), torch.randint(vocabulary, (batch * context,))
    return training_step(torch, model, optimizer, tokens, targets)


@row("GPT, 6 layers of 384, 4 x 256 tokens: training step", OPTIMIZERS)
def gpt(torch: Any, fused: bool | None = None) -> Step:
    return gpt_step(torch, fused)


@row("GPT, 6 layers of 384, 4 x 256 tokens, dropout 0.1: training step", OPTIMIZERS, tolerance=None)
def gpt_dropout(torch: Any, fused: bool | None = None) -> Step:
    return gpt_step(torch, fused, dropout=0.1)


@row("GPT, 6 layers of 384, 4 x 256 tokens, bfloat16: training step", OPTIMIZERS, tolerance=0.05)
def gpt_bfloat16(torch: Any, fused: bool | None = None) -> Step:
    return gpt_step(torch, fused, dtype="bfloat16")


@row("GPT, 6 layers of 384, 4 x 256 tokens, float16: training step", OPTIMIZERS, tolerance=0.05)
def gpt_float16(torch: Any, fused: bool | None = None) -> Step:
    return gpt_step(torch, fused, dtype="float16")


def lora(torch: Any, layer: Any, rank: int) -> Any:
    """The linear layer, frozen, beside a trained product of two matrices of this rank."""
    nn = torch.nn

    class LoRA(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.base = layer.requires_grad_(False)
            self.a = nn.Parameter(torch.randn(rank, layer.in_features) * 0.01)
            self.b = nn.Parameter(torch.randn(layer.out_features, rank) * 0.01)

        def forward(self, x: Any) -> Any:
            linear = nn.functional.linear
            return self.base(x) + linear(linear(x, self.a), self.b) * 2.0

    return LoRA()


def encoder(torch: Any, layers: int, width: int, heads: int, rank: int) -> Any:
    """A BERT-like classifier: post-norm blocks, GELU; with ``rank``, query and value are LoRA on a frozen base."""
    nn = torch.nn
    attention = nn.functional.scaled_dot_product_attention

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.project = nn.Linear(width, width)
            self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any, mask: Any) -> Any:
            batch, length, _ = x.shape
            q, k, v = (
                part(x).view(batch, length, heads, width // heads).transpose(1, 2)
                for part in (self.query, self.key, self.value)
            )
            mixed = attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(batch, length, width)
            x = self.norm_attention(x + self.project(mixed))
            return self.norm_mlp(x + self.mlp(x))

    class Encoder(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(2000, width), nn.Embedding(128, width)
            self.norm = nn.LayerNorm(width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            if rank:
                self.requires_grad_(False)
                for block in self.blocks:
                    block.query, block.value = (lora(torch, part, rank) for part in (block.query, block.value))
            self.head = nn.Linear(width, 4)

        def forward(self, inputs: Any) -> Any:
            tokens, mask = inputs
            x = self.norm(self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1])))
            for block in self.blocks:
                x = block(x, mask)
            return self.head(x[:, 0])

    return Encoder()


def encoder_step(torch: Any, fused: bool | None, rank: int = 0, padded: bool = False) -> Step:
    batch, length = 8, 128
    model = encoder(torch, layers=6, width=384, heads=6, rank=rank)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=fused)
    tokens, targets = torch.randint(2000, (batch, length)), torch.randint(4, (batch,))
    mask = None
    if padded:
        lengths = torch.linspace(16, 128, batch).long()
        mask = (torch.arange(length) < lengths[:, None])[:, None, None, :]
    return training_step(torch, model, optimizer, (tokens, mask), targets)


@row("BERT-like encoder, 6 layers of 384, 8 x 128 tokens: training step", OPTIMIZERS)
def bert(torch: Any, fused: bool | None = None) -> Step:
    return encoder_step(torch, fused)


@row("BERT-like encoder, LoRA of rank 8 on a frozen base: training step", OPTIMIZERS)
def bert_lora(torch: Any, fused: bool | None = None) -> Step:
    return encoder_step(torch, fused, rank=8)


@row("BERT-like encoder, padded batch of 16 to 128 tokens: training step", OPTIMIZERS)
def bert_padded(torch: Any, fused: bool | None = None) -> Step:
    return encoder_step(torch, fused, padded=True)


@row("LM head of 50,257 words over 768, 256 tokens, with its loss: forward and backward")
def lm_head(torch: Any) -> Step:
    head = torch.nn.Linear(768, 50_257, bias=False)
    x, targets = torch.randn(256, 768, requires_grad=True), torch.randint(50_257, (256,))

    def step() -> Any:
        x.grad = head.weight.grad = None
        loss = torch.nn.functional.cross_entropy(head(x), targets)
        loss.backward()
        return loss.detach()

    return step


# --- recurrent nets ---------------------------------------------------------------------------------------------


def add_recurrent(name: str, title: str, kind: str, **options: Any) -> None:
    """A language model with two recurrent layers of 256, 20 x 35 tokens."""

    def build(torch: Any, fused: bool | None = None) -> Step:
        nn = torch.nn
        vocabulary, width, batch, length = 96, 256, 20, 35

        class LanguageModel(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.tokens = nn.Embedding(vocabulary, width)
                self.recurrent = getattr(nn, kind)(width, width, 2, **options)
                self.head = nn.Linear(width * (2 if options.get("bidirectional") else 1), vocabulary)

            def forward(self, tokens: Any) -> Any:
                output, _ = self.recurrent(self.tokens(tokens))
                return self.head(output).view(-1, vocabulary)

        model = LanguageModel()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=fused)
        tokens = torch.randint(vocabulary, (length, batch))
        return training_step(torch, model, optimizer, tokens, torch.randint(vocabulary, (length * batch,)))

    add_row(name, f"{title}, 2 layers of 256, 20 x 35 tokens: training step", build, OPTIMIZERS)


add_recurrent("lstm", "LSTM", "LSTM")
add_recurrent("gru", "GRU", "GRU")
add_recurrent("lstm_bidirectional", "bidirectional LSTM", "LSTM", bidirectional=True)


# --- generation -------------------------------------------------------------------------------------------------


@row("decoding one token, 12 layers of 576, 256 tokens in the cache")
def decode(torch: Any) -> Step:
    nn = torch.nn
    width, heads, cached, layers, vocabulary = 576, 9, 256, 12, 8192
    attention = nn.functional.scaled_dot_product_attention
    norms = [nn.RMSNorm(width) for _ in range(2 * layers)]
    mixers = [nn.Linear(width, 3 * width, bias=False) for _ in range(layers)]
    projections = [nn.Linear(width, width, bias=False) for _ in range(layers)]
    gates = [nn.Linear(width, 1536 * 2, bias=False) for _ in range(layers)]
    outputs = [nn.Linear(1536, width, bias=False) for _ in range(layers)]
    embedding, head = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary, bias=False)
    keys, values = ([torch.randn(1, heads, cached, width // heads) for _ in range(layers)] for _ in range(2))
    token = torch.randint(vocabulary, (1, 1))

    def step() -> Any:
        with torch.no_grad():
            x = embedding(token)
            for i in range(layers):
                q, k, v = (
                    part.view(1, 1, heads, width // heads).transpose(1, 2)
                    for part in mixers[i](norms[2 * i](x)).split(width, dim=2)
                )
                k, v = torch.cat([keys[i], k], dim=2), torch.cat([values[i], v], dim=2)
                x = x + projections[i](attention(q, k, v).transpose(1, 2).reshape(1, 1, width))
                gate, up = gates[i](norms[2 * i + 1](x)).chunk(2, dim=2)
                x = x + outputs[i](nn.functional.silu(gate) * up)
            return head(x)

    return step
