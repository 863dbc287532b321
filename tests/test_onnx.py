"""Export to ONNX: what onnxruntime computes from the file is what the model computes."""

from __future__ import annotations

import io

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import functional as F

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def session_of(program):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(program.model_proto.SerializeToString(), options)


def as_list(result):
    if isinstance(result, fastnn.Tensor):
        return [result]
    return [leaf for one in result for leaf in as_list(one)]


def assert_agrees(model, args, *others, tolerance=1e-4, **options):
    """What is exported from a run with `args` gives the model's results for them and for other arguments."""
    names = [f"x{place}" for place in range(len(args))]
    if isinstance(model, nn.Module):
        model.eval()
    program = fastnn.onnx.export(model, args, input_names=names, **options)
    session = session_of(program)
    for own in (args, *others):
        with fastnn.no_grad():
            expected = as_list(model(*own))
        got = session.run(None, {name: one.numpy() for name, one in zip(names, own, strict=True)})
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert one.shape == tuple(other.shape) and one.dtype == other.numpy().dtype
            np.testing.assert_allclose(one, other.numpy(), rtol=tolerance, atol=tolerance)
    return program


BATCH = {"x0": {0: "batch"}}


# --- models ----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """A block of a residual network."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.short(x)
        return self.relu(out)


class UNet(nn.Module):
    """A network that goes down and up again, with a connection across."""

    def __init__(self):
        super().__init__()
        self.down, self.middle = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.last = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        across = F.leaky_relu(self.down(x))
        deep = F.silu(self.middle(F.max_pool2d(across, 2)))
        return self.last(fastnn.cat([self.up(deep), across], 1)) + F.interpolate(
            deep[:, :2], scale_factor=2, mode="bilinear"
        )


class SelfAttention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        B, L, C = x.shape
        q, k, v = (part.view(B, L, self.heads, -1).transpose(1, 2) for part in self.project(x).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).contiguous().view(B, L, C))


class GPT(nn.Module):
    """A causal language model."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(16, 8)
        self.norm1, self.attention = nn.LayerNorm(8), SelfAttention(8, 2, True)
        self.norm2 = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.Dropout(0.1))
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places(fastnn.arange(tokens.size(1), device=tokens.device))
        x = x + self.attention(self.norm1(x))
        return self.head(x + self.mlp(self.norm2(x)))


class Bert(nn.Module):
    """An encoder with a mask, and a matrix of scores made by hand."""

    def __init__(self):
        super().__init__()
        self.tokens, self.project, self.norm = nn.Embedding(11, 8), nn.Linear(8, 24), nn.LayerNorm(8)
        self.pooler = nn.Linear(8, 8)

    def forward(self, tokens, mask):
        x = self.norm(self.tokens(tokens))
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -10000.0
        q, k, v = self.project(x).chunk(3, -1)
        q, k, v = (part.reshape(*part.shape[:2], 2, 4).permute(0, 2, 1, 3) for part in (q, k, v))
        weights = F.softmax(q @ k.transpose(-1, -2) / 4**0.5 + bias, dim=-1)
        x = x + (weights @ v).permute(0, 2, 1, 3).flatten(2)
        return x, fastnn.tanh(self.pooler(x[:, 0]))


class ViT(nn.Module):
    """A transformer over the patches of an image."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.first, self.places = nn.Parameter(fastnn.randn(1, 1, 8)), nn.Parameter(fastnn.randn(1, 5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3)

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = fastnn.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        return self.head(self.encoder(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, batch_first=True, **options)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        out, state = self.rnn(x)
        return self.head(out[:, -1]), state


def randn(*shape):
    return fastnn.randn(*shape, generator=fastnn.Generator().manual_seed(0))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)), (4,)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2),
        ),
        (3, 8, 8),
    ),
    "resnet": (
        lambda: nn.Sequential(
            Block(3, 4, 1), Block(4, 8, 2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        ),
        (3, 8, 8),
    ),
    "unet": (UNet, (1, 8, 8)),
    "vit": (ViT, (3, 8, 8)),
    "lstm": (lambda: Recurrent("LSTM"), (5, 3)),
    "gru": (lambda: Recurrent("GRU"), (5, 3)),
    "rnn": (lambda: Recurrent("RNN", bias=False), (5, 3)),
    "attention": (lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), None),
}  # fmt: skip


@pytest.mark.parametrize("opset", [17, 18, 20])
@pytest.mark.parametrize("name", MODELS)
def test_models_with_a_dynamic_batch(name, opset):
    make, shape = MODELS[name]
    fastnn.manual_seed(0)
    model = make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    if shape is None:
        axes = {"x0": {0: "batch"}, "x1": {0: "batch"}}
        inputs = [(randn(size, 3, 8), randn(size, 4, 8)) for size in (1, 3, 6)]
    else:
        axes, inputs = BATCH, [(randn(size, *shape),) for size in (2, 1, 5)]
    program = assert_agrees(model, *inputs, dynamic_axes=axes, opset_version=opset)
    assert program.model_proto.opset_import[0].version == opset
    assert program.model_proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_fixed_shape_needs_no_dynamic_axes():
    program = assert_agrees(MODELS["cnn"][0](), (randn(2, 3, 8, 8),))
    dims = program.model_proto.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 3, 8, 8]
    constants = {one.name for one in program.model_proto.graph.initializer}
    assert {"0.weight", "9.bias"} <= constants
    assert constants <= {name for node in program.model_proto.graph.node for name in node.input}


@pytest.mark.parametrize("axes", [{"x0": {0: "batch", 1: "length"}}, {"x0": [0, 1]}], ids=["named", "listed"])
def test_gpt_with_dynamic_batch_and_length(axes):
    fastnn.manual_seed(0)
    inputs = [(fastnn.randint(0, 11, shape),) for shape in ((2, 5), (1, 1), (3, 9))]
    assert_agrees(GPT(), *inputs, dynamic_axes=axes)


def test_bert_with_dynamic_batch_and_length():
    fastnn.manual_seed(0)
    axes = {"x0": {0: "batch", 1: "length"}, "x1": {0: "batch", 1: "length"}}
    inputs = [
        (fastnn.randint(0, 11, shape), (fastnn.rand(shape) > 0.3).long().index_fill(1, fastnn.tensor([0]), 1))
        for shape in ((2, 5), (1, 3), (4, 7))
    ]
    program = assert_agrees(Bert(), *inputs, dynamic_axes=axes, output_names=["states", "pooled"])
    shapes = [[dim.dim_param for dim in one.type.tensor_type.shape.dim] for one in program.model_proto.graph.output]
    assert shapes == [["batch", "length", ""], ["batch", ""]]


def test_kwargs_numbers_and_several_results():
    class Model(nn.Module):
        def forward(self, x, power, *, y=None):
            return {"a": x**power, "b": [x + y, x > y]}

    x, y = randn(2, 3), randn(2, 1)
    program = fastnn.onnx.export(Model(), (x, 3), kwargs={"y": y}, output_names=["a"])
    a, b, c = session_of(program).run(None, {"input_0": x.numpy(), "input_1": y.numpy()})
    np.testing.assert_allclose(a, (x**3).numpy(), rtol=1e-5)
    np.testing.assert_allclose(b, (x + y).numpy(), rtol=1e-5)
    assert c.tolist() == (x > y).tolist()


# --- operations ------------------------------------------------------------------------------------------------------

GRID = randn(2, 4, 6)
IMAGE = randn(2, 4, 6, 6)


def rolled_in_place(x):
    y = x.clone()
    y += 1
    y.mul_(2).clamp_(min=-1)
    return y - 1


OPERATIONS = {
    "unary": lambda x: [f(x) for f in (fastnn.abs, fastnn.exp, fastnn.sin, fastnn.tanh, fastnn.erf, fastnn.floor)],
    "positive": lambda x: [f(x.abs() + 1) for f in (fastnn.log, fastnn.sqrt, fastnn.rsqrt, fastnn.log2, fastnn.log1p)],
    "numbers on the left": lambda x: [1 - x, 2 / (x.abs() + 1), 2**x, 3 * x + 1, -x],
    "promotion": lambda x: [x * 2, (x > 0) + 1, (x > 0).float() * x, x.to(fastnn.float64) + x, (x * 5).long() // 1.5],
    "remainders": lambda x: [x % 0.3, x // 0.3, fastnn.fmod(x, 0.3), fastnn.div(x, 0.3, rounding_mode="trunc")],
    "comparisons": lambda x: [x == x, x != 0, x < 0, x >= 0.1, (x > 0) & (x < 1), ~(x > 0), (x > 0) | (x < -1)],
    "where": lambda x: [fastnn.where(x > 0, x, 0.0), x.masked_fill(x > 0, -1.0), fastnn.maximum(x, -x)],
    "limits": lambda x: [x.clamp(-0.5, 0.5), x.clamp(min=0), F.relu6(x * 9), F.hardtanh(x)],
    "activations": lambda x: [
        f(x) for f in (F.gelu, F.elu, F.selu, F.silu, F.mish, F.softplus, F.hardswish, F.hardsigmoid, F.logsigmoid)
    ],
    "more activations": lambda x: [
        F.gelu(x, approximate="tanh"), F.leaky_relu(x, 0.3), F.elu(x, 0.5), F.softplus(x, 2.0), F.glu(x),
        F.softsign(x), F.threshold(x, 0.1, 5.0), F.log_softmax(x, 1), F.prelu(x, fastnn.tensor([0.3])),
    ],
    "sums": lambda x: [x.sum(), x.sum(1), x.mean((0, 2), keepdim=True), x.prod(-1), x.amax(1), x.logsumexp(2)],
    "spreads": lambda x: [x.var(1), x.std(), x.std(2, keepdim=True), x.norm(dim=1), F.normalize(x, dim=2)],
    "extremes": lambda x: [*x.max(1), *x.min(2, keepdim=True), x.max(), x.argmax(1), x.argmin()],
    "truths": lambda x: [(x > 0).any(1), (x > -9).all(), x.isnan().any()],
    "order": lambda x: [*x.topk(2, dim=1), *x.sort(2, descending=True), x.cumsum(1)],
    "shapes": lambda x: [
        x.view(2, -1), x.flatten(1), x.unsqueeze(1).squeeze(1), x.permute(2, 0, 1), x.movedim(0, 2), x.mT, x[0].T,
        x.unflatten(1, (2, 2)), x.expand(3, 2, 4, 6), x.repeat(2, 1, 3), x.repeat_interleave(2, 1),
    ],
    "parts": lambda x: [
        *x.split(3, 1), *x.chunk(3, 2), *x.unbind(1), x.select(1, -1), x.narrow(2, 1, 3), fastnn.stack([x, x], 1),
        x.flip(1, 2), x.roll(1, 2), fastnn.cat([x, x[:, :1]], 1),
    ],
    "indices": lambda x: [
        x[0], x[:, 1], x[:, -1, 2:], x[..., ::2], x[:, None], x[:, :, [0, 2]], x[1:, ..., -2],
        x[:, fastnn.tensor([3, 0])], x.index_select(2, fastnn.tensor([1, 1])),
    ],
    "triangles": lambda x: [x.tril(), x.triu(1), x.masked_fill(fastnn.ones(4, 6).triu(1).bool(), 0.0)],
    "new tensors": lambda x: [fastnn.zeros_like(x) + x, x + x.new_ones(2, 1, 1), fastnn.full_like(x, 2.0) * x],
    "products": lambda x: [
        x @ x.mT, fastnn.einsum("bij,bkj->bik", x, x), fastnn.bmm(x, x.mT), x[0] @ fastnn.ones(6),
        fastnn.addmm(fastnn.ones(4), x[0], x[0].T), F.linear(x, fastnn.ones(3, 6), fastnn.ones(3)),
    ],
    "in place": rolled_in_place,
    "padding": lambda x: [F.pad(x, (1, 2)), F.pad(x, (1, 1, 2, 0), value=3.0), F.pad(x, (2, 1), mode="reflect")],
    "normalization": lambda x: [
        F.layer_norm(x, (6,)), F.layer_norm(x, (4, 6), fastnn.ones(4, 6), fastnn.ones(4, 6)), F.rms_norm(x, (6,)),
        F.group_norm(x, 2, fastnn.arange(4.0), fastnn.ones(4)), F.instance_norm(x),
    ],
}  # fmt: skip
ON_IMAGES = {
    "pooling": lambda x: [
        F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1), F.adaptive_avg_pool2d(x, (3, 2)), F.adaptive_max_pool2d(x, 1),
        F.avg_pool2d(x, 2, count_include_pad=False), F.avg_pool2d(x, 2, ceil_mode=True), F.max_pool2d(x, 3, ceil_mode=True),
    ],
    "resizing": lambda x: [
        F.interpolate(x, scale_factor=2), F.interpolate(x, size=(4, 9)), F.interpolate(x, size=(9, 8), mode="bilinear"),
        F.interpolate(x, size=(9, 8), mode="bilinear", align_corners=True), F.interpolate(x, scale_factor=2, mode="bicubic"),
    ],
    "pixels": lambda x: [F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2)],
    "convolutions": lambda x: [
        F.conv2d(x, fastnn.ones(4, 2, 3, 3), groups=2, dilation=2),
        F.conv1d(x[0], fastnn.ones(3, 6, 2), fastnn.ones(3)), F.conv1d(x[0, 0], fastnn.ones(3, 6, 2), stride=2),
        F.conv_transpose2d(x, fastnn.ones(4, 2, 3, 3), stride=2, padding=1, output_padding=1),
    ],
    "attention": lambda x: [
        F.scaled_dot_product_attention(x, x, x), F.scaled_dot_product_attention(x, x[:, :, :4], x[:, :, :4], scale=0.3),
        F.scaled_dot_product_attention(x, x, x, attn_mask=fastnn.ones(6, 6).tril().bool()),
        F.scaled_dot_product_attention(x, x, x, attn_mask=fastnn.ones(6, 6)),
    ],
    "unfold": lambda x: F.unfold(x, 2),
    "local norm": lambda x: F.local_response_norm(x, 2),
}  # fmt: skip
CASES = [(name, run, GRID) for name, run in OPERATIONS.items()] + [
    (name, run, IMAGE) for name, run in ON_IMAGES.items()
]


@pytest.mark.parametrize(("run", "x"), [pytest.param(run, x, id=name) for name, run, x in CASES])
def test_operations(run, x):
    assert_agrees(run, (x,))


def test_sizes_that_depend_on_dynamic_ones():
    def model(x):
        B, L, C = x.shape
        y = x.reshape(B * L, C) @ fastnn.ones(C, 2)
        y = y.view(B, L, 2) + fastnn.arange(L).view(1, L, 1) + fastnn.zeros(B, 1, 2) + L
        mask = fastnn.ones(L, L).tril()
        return y[:, L - 1], y[:, 1:], y.repeat(1, 2, 1), fastnn.full((B, 3), 2.0), mask @ y, y.sum(1) / L**0 + 2 * B

    axes = {"x0": {0: "batch", 1: "length"}}
    with pytest.raises(fastnn.onnx.OnnxExporterError, match="depending on a size"):
        fastnn.onnx.export(lambda x: x + 1 / x.shape[0], randn(2, 3), input_names=["x0"], dynamic_axes=axes)
    assert_agrees(model, (randn(2, 3, 4),), (randn(5, 7, 4),), (randn(1, 1, 4),), dynamic_axes=axes)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x: fastnn.linalg.svd(x)[1], "svd has no mapping"),
        (lambda x: F.dropout(x, 0.5, training=True), "dropout in training mode"),
        (lambda x: x + fastnn.randn(3), "randn has no mapping"),
        (lambda x: x[x > 0], "mask"),
        (lambda x: x.shape, "must return tensors"),
        (lambda x: F.avg_pool2d(x[None], 2, ceil_mode=True), "opset_version=19"),
    ],
)
def test_what_cannot_be_said_is_an_error_with_its_name(model, words):
    with pytest.raises(fastnn.onnx.OnnxExporterError, match=words):
        fastnn.onnx.export(model, randn(3, 3))


def test_changes_through_a_view_are_refused():
    def model(x):
        y = x.clone()
        y[0].add_(1)
        return y

    with pytest.raises(fastnn.onnx.OnnxExporterError, match="shares its memory"):
        fastnn.onnx.export(model, randn(3, 3))


def test_reading_values_warns():
    with pytest.warns(UserWarning, match="item"):
        fastnn.onnx.export(lambda x: x * x.sum().item(), randn(3))


def test_arguments_are_checked(monkeypatch):
    with pytest.raises(ValueError, match="opset_version must be from 17"):
        fastnn.onnx.export(nn.Linear(1, 1), randn(1, 1), opset_version=9)
    with pytest.raises(fastnn.onnx.OnnxExporterError, match="no input or output"):
        fastnn.onnx.export(nn.Linear(1, 1), randn(1, 1), dynamic_axes={"z": [0]})
    with pytest.raises(fastnn.onnx.OnnxExporterError, match="2 input names for 1"):
        fastnn.onnx.export(nn.Linear(1, 1), randn(1, 1), input_names=["a", "b"])
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"fastnn\[onnx\]"):
        fastnn.onnx.export(nn.Linear(1, 1), randn(1, 1))


def test_files_and_modes(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    model[0].eval()
    seen = []
    model.register_forward_hook(lambda *_: seen.append((fastnn.onnx.is_in_onnx_export(), model[1].training)))
    file = io.BytesIO()
    fastnn.onnx.export(model, randn(1, 2), file)
    fastnn.onnx.export(model, randn(1, 2), tmp_path / "model.onnx")
    assert seen == [(True, False)] * 2 and not fastnn.onnx.is_in_onnx_export()
    assert (model.training, model[0].training, model[1].training) == (True, False, True)
    assert onnx.load(tmp_path / "model.onnx").producer_name == "fastnn"
    assert onnx.load_from_string(file.getvalue()).graph.node[0].op_type == "Gemm"
