"""``import torch`` gives fastnn: in a script that is run so, in processes that it starts, for packages that ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn
from fastnn import _alias
from fastnn.torch_version import TorchVersion

PYTHON_PATH = str(Path(fastnn.__file__).resolve().parent.parent)


def run(*arguments: str, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints; it may not fail."""
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def under_alias(code: str) -> str:
    return run("-c", "import fastnn\nfastnn.install_as_torch()\n" + code)


def test_script_keeps_its_arguments_folder_and_name(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("import torch\nvalue = torch.ones(2).sum().item()\n")
    (tmp_path / "script.py").write_text(
        "import sys, torch, neighbour\nprint(__name__, sys.argv[1:], torch.__name__, neighbour.value, __file__)\n"
    )
    path = str(tmp_path / "script.py")
    printed = run("-m", "fastnn.run", path, "--lr", "1", cwd=tmp_path.parent)
    assert printed == f"__main__ ['--lr', '1'] fastnn 2.0 {path}\n"


def test_module_and_code(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text("import sys, torch\nprint(torch.__name__, sys.argv[1:])\n")
    assert run("-m", "fastnn.run", "-m", "tool", "a", cwd=tmp_path) == "fastnn ['a']\n"
    assert (
        run("-m", "fastnn.run", "-c", "import torch, sys; print(torch.__name__, sys.argv)", "b")
        == "fastnn ['-c', 'b']\n"
    )


def test_exit_status_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit(3)\n")
    assert subprocess.run([sys.executable, "-m", "fastnn.run", str(tmp_path / "script.py")]).returncode == 3
    assert subprocess.run([sys.executable, "-m", "fastnn.run"], capture_output=True).returncode == 2


def test_modules_are_fastnn_s_own() -> None:
    code = """
import fastnn, torch, torch.nn.functional as F, torch.utils.data.distributed
from torch.optim.lr_scheduler import StepLR
from torch.nn.modules.batchnorm import _BatchNorm
from torch.functional import einsum
import sys
assert torch is fastnn and torch.Tensor is fastnn.Tensor and F is fastnn.nn.functional
assert StepLR is fastnn.optim.lr_scheduler.StepLR and einsum is fastnn.einsum
assert fastnn.nn.__spec__.name == "fastnn.nn" and sys.modules["torch.nn"] is fastnn.nn
import fastnn.nn.functional as again
assert again is F
print(torch.float32, torch.Size([1]), torch.tensor([1.0]), torch.strided)
"""
    assert under_alias(code) == "torch.float32 torch.Size([1]) tensor([1.]) torch.strided\n"


def test_packages_find_a_distribution() -> None:
    code = """
import importlib.metadata, importlib.util
assert importlib.util.find_spec("torch") is not None and importlib.util.find_spec("torch.cuda.amp") is not None
assert importlib.util.find_spec("torch.nothing") is None
assert importlib.metadata.distribution("torch").metadata["Name"] == "torch"
import torch
assert importlib.metadata.version("torch") == torch.__version__ == torch.version.__version__
print(torch.__version__, torch.version.cuda, torch.version.hip, torch.version.fastnn)
"""
    assert under_alias(code) == f"2.13.0+fastnn None None {fastnn._C.__version__}\n"


def test_what_is_missing_is_named() -> None:
    code = """
import torch
for module, name in ((torch, "nothing"), (torch.nn, "Nothing"), (torch.cuda, "nothing"), (torch.utils, "nothing")):
    try:
        getattr(module, name)
    except AttributeError as error:
        print(error)
import torch.nn
print(hasattr(torch.nn, "Nothing"))
try:
    import torch.nothing
except ModuleNotFoundError as error:
    print(error.name)
"""
    lines = under_alias(code).splitlines()
    hint = "fastnn does not have it; docs/parity.md lists what it has of PyTorch"
    names = (("", "nothing"), (".nn", "Nothing"), (".cuda", "nothing"), (".utils", "nothing"))
    assert lines[:4] == [f"module 'torch{module}' has no attribute '{name}': {hint}" for module, name in names]
    assert lines[4:] == ["False", "torch.nothing"]


CHILD = """
import sys, torch
import torch.multiprocessing as mp
def work(rank, queue):
    queue.put((rank, torch.__name__, torch.ones(2) * rank))
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = mp.get_context(method)
        queue = context.Queue()
        process = context.Process(target=work, args=(2, queue))
        process.start()
        print(method, queue.get(timeout=60))
        process.join()
    import subprocess
    print(subprocess.check_output([sys.executable, "-c", "import torch.nn; print(torch.nn.__name__)"], text=True))
"""


def test_processes_that_are_started(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(CHILD)
    lines = run("-m", "fastnn.run", str(tmp_path / "script.py")).splitlines()
    assert lines[:3] == [f"{method} (2, 'fastnn', tensor([2., 2.]))" for method in ("fork", "spawn", "forkserver")]
    assert lines[3] == "fastnn.nn"


def test_twice_is_once_and_too_late_is_an_error() -> None:
    code = """
import sys, types
before = list(sys.meta_path)
fastnn.install_as_torch()
assert sys.meta_path == before
"""
    under_alias(code)
    late = (
        "import sys, types\nsys.modules['torch'] = types.ModuleType('torch')\nimport fastnn\nfastnn.install_as_torch()"
    )
    done = subprocess.run(
        [sys.executable, "-c", late], env={**os.environ, "PYTHONPATH": PYTHON_PATH}, capture_output=True, text=True
    )
    assert done.returncode == 1 and "RuntimeError: install_as_torch: PyTorch is imported already" in done.stderr


def test_metadata_says_the_same_version() -> None:
    files = [name for name in os.listdir(_alias.PATH) if name.endswith(".egg-info")]
    assert files == ["torch-2.13.0+fastnn.egg-info"]
    text = (Path(_alias.PATH) / files[0]).read_text(encoding="utf-8")
    assert f"Version: {fastnn.version.__version__}\n" in text


@pytest.mark.parametrize(
    "smaller, larger",
    [
        ("2.13.0", "2.13.0+fastnn"),
        ("2.9.1", "2.13.0"),
        ("2.0", "2.0.1"),
        ("2.0a1", "2.0b1"),
        ("2.0.dev3", "2.0a1"),
        ("2.0rc1", "2.0"),
        ("2.0", "2.0.post1"),
        ("1.0+1.a", "1.0+1.2"),
    ],
)
def test_version_order(smaller: str, larger: str) -> None:
    packaging = pytest.importorskip("packaging.version")
    assert packaging.Version(smaller) < packaging.Version(larger)
    low, high = TorchVersion(smaller), TorchVersion(larger)
    assert low < larger and low <= larger and high > smaller and high >= smaller and low != larger
    assert not low > larger and not low >= larger and not high < smaller and not high == smaller


def test_version_takes_tuples_and_packaging_versions() -> None:
    version = TorchVersion("2.13.0+fastnn")
    assert version >= (2, 13) and version < (2, 14) and version == "2.13+fastnn" and hash(version) == hash(str(version))
    assert (version.major, version.minor, version.micro) == (2, 13, 0)
    assert version.split("+")[0] == "2.13.0"
    packaging = pytest.importorskip("packaging.version")
    assert packaging.parse(version) >= packaging.parse("2.4") and version > packaging.parse("2.4")


ECOSYSTEM = """
import torch
from torch._C import _log_api_usage_once
_log_api_usage_once("x")
from torch import Tensor, nn
from torch._dynamo import allow_in_graph, OptimizedModule
from torch._dynamo.eval_frame import OptimizedModule as again
from torch.fx import Graph, GraphModule, Node, Proxy, wrap, symbolic_trace
from torch.fx.node import Argument, Target
from torch.library import Library, custom_op, impl, register_fake
from torch.types import Device, Number
from torch.export import Dim, ExportedProgram
from torch.cuda.amp import GradScaler, autocast
from torch.distributed import ReduceOp
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map
from torch.nn.parallel import DistributedDataParallel
"""


def test_imports_of_other_packages() -> None:
    lines = ECOSYSTEM.strip().splitlines()[:-1]
    under_alias("\n".join(lines))


def test_safetensors_takes_it_for_torch(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    code = f"""
import torch
from safetensors.torch import load_file, save_file, save, load
x = {{"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}}
save_file(x, {str(tmp_path / "x.safetensors")!r})
y = load_file({str(tmp_path / "x.safetensors")!r})
assert y["a"].equal(x["a"]) and y["b"].dtype is torch.bfloat16
assert load(save(x))["a"].equal(x["a"])
"""
    under_alias(code)
