"""Runs programs of this folder in one process: `__main__.py FOLDER PROGRAM...`; prints their results as JSON.

They are run first with PyTorch, then with fastnn under the name `torch`. FOLDER holds the weights: the first run writes
those that the second one reads. A result is a dict of values, or the text of the error.
"""

import importlib
import json
import sys
import traceback
from pathlib import Path

import torch

try:
    import torchvision  # noqa: F401
except ImportError:
    pass
except RuntimeError:  # its binaries are for another build of PyTorch; its Python files need no more than this
    for operation in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operation}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")

sys.path.insert(0, str(Path(__file__).parent))
import common

if __name__ == "__main__":
    common.FOLDER = Path(sys.argv[1])
    everything = {}
    for name in sys.argv[2:]:
        common.results.clear()
        torch.manual_seed(0)
        try:
            importlib.import_module(name).main()
            everything[name] = dict(common.results)
        except Exception:
            everything[name] = traceback.format_exc()
    print(json.dumps(everything))
