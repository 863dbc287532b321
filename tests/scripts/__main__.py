"""Runs the scripts of this folder, all or those named, in one process; prints {name: losses or traceback} as JSON."""

import importlib.util
import json
import sys
import traceback
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def run(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.set_default_dtype(torch.float32)
    return module.main()


if __name__ == "__main__":
    results = {}
    for name in sys.argv[1:] or NAMES:
        try:
            results[name] = run(name)
        except Exception:
            results[name] = traceback.format_exc()
    print(json.dumps(results))
