"""Writes docs/parity.md: PyTorch's public names one by one, and what fastnn does with each.

    python tools/parity.py --jobs 2 --json build/parity.json
    python tools/parity_table.py build/parity.json

"yes": the name is there, and where PyTorch has operator samples for it, they agree. "partly": samples of the kinds in
brackets differ. "no": not there yet. Names that are absent on purpose are listed with the reason, and not as "no".
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import fastnn

DOCUMENT = Path(__file__).parents[1] / "docs" / "parity.md"
SECTIONS = [
    "torch",
    "torch.Tensor",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.nn.utils.rnn",
    "torch.nn.utils.parametrize",
    "torch.nn.utils.parametrizations",
    "torch.nn.utils.prune",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.utils.data",
    "torch.utils.checkpoint",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.autograd.graph",
    "torch.func",
    "torch.linalg",
    "torch.fft",
    "torch.special",
    "torch.signal.windows",
    "torch.distributions",
    "torch.amp",
    "torch.random",
]
# Absent on purpose: a pattern of names, and why.
ON_PURPOSE = {
    r"cuda|cudnn|miopen|mkldnn|vulkan|metal|xpu|(^|_)ipu|stream|[gs]et_device_states|xla|maia|mtia"
    r"|hpu|_mps|mps_|nccl": "other devices",
    r"quantiz|qint|quint|^q_|qscheme|fbgemm|fake_quant|choose_qparams|int_repr|fused_moving_avg": "quantised tensors",
    r"sparse|coalesce|crow_|ccol_|col_indices|row_indices|^(indices|values|smm|sspaddmm|saddmm|hspmm|spmm|dsmm|hsmm)$"
    r"|to_padded_tensor|(indices|values)_copy": "sparse and nested tensors",
    r"^(names|align_|refine_names|rename)|^index$": "named tensors, and dimensions as objects",
    r"^(bit|bits\d.*|chalf)$|^Q\w+Storage$|^per_(channel|tensor)_|Scaling|Swizzle|scaled_(grouped_)?mm"
    r"|tf32": "8-bit floats, complex32 and other types of devices",
    r"DataPipe$|DataChunk|datapipe|_validation|non_deterministic": "data pipes, no longer developed in PyTorch itself",
    r"^(CheckpointPolicy|SelectiveCheckpointContext|SAC_IGNORED_OPS|GraphExecGroup)$|selective_checkpoint"
    r"|activation_memory_budget|debug_unwrap": "rules for the operations under torch.compile",
    r"^sym_|Sym(Int|Bool|Float)|JIT|^jit|script|parse_|import_ir|merge_type|unify_type|TracingState|Graph$|GraphExecutor"
    r"|Node$|ScriptM|compilation_unit|CompilationUnit|FileCheck|dynamo|export|(Any|Bool|Class|Complex|Dict|Enum|Float|Int"
    r"|Interface|List|None|Number|Optional|Pyobject|PyObject|Stream|String|Tensor|Tuple|Union|Device|DeviceObj|Future"
    r"|Inferred|Await|RRef|Symbolic|Opaque)(Obj)?Type$|Mobile|Deserialization|BenchmarkC|Capsule|ErrorReport|IODesc"
    r"|^(fork|wait|Future|Await|Argument|Block|Code|Gradient|Use|Value|Type|Module(Dict)?|OperatorInfo)$": "JIT internals",  # noqa: E501
    r"^native_|_backward|_elemt$|gather_stats|batch_norm_stats|batch_norm_update_stats|^hash_tensor|segment_reduce"
    r"|_meta|^(conv_tbc|while_loop|cond|lobpcg|classproperty|vitals|set_vital|read_vitals)$|slice_inverse|thread_safe"
    r"|_nesting$|sym_constrain|lite_interpreter|profiler_|prepare_multiprocessing|grad_dtype|storage_type|const_data_ptr"
    r"|module_load|reinforce|volatile|^(eig|symeig|solve|lstsq|matrix_rank)$|DisableTorchFunction|dim_order|BufferDict"
    r"|Dispatch|^(BroadcastingList\d|DType|TYPE_CHECKING|USE_\w+|PRIVATE_OPS|GRID_SAMPLE_\w+|boolean_dispatch"
    r"|assert_int_or_pair|has_torch_function\w*|handle_torch_function|\w+_notes|factory_kwargs|Container|swap_in_optimizer_params_and_state"
    r"|variable|Tag|get_file_path|ParameterDict|DeepCopyMemoTable|SerializationStorageContext|PyTorchFile\w+|\w*Error"
    r"|Script\w+|ArgumentSpec|CompleteArgumentSpec|CallStack|ConcreteModuleType\w*|FunctionSchema|LoggerBase|NoopLogger"
    r"|AVG|SUM|Tensor)$|^(Aggregation|Alias|Execution|Logging|Throughput|Under|Ben|Lock|Stat)": "internals, or removed from PyTorch",  # noqa: E501
}


def reason_of(name: str) -> str | None:
    return next((reason for pattern, reason in ON_PURPOSE.items() if re.search(pattern, name)), None)


def public_names(section: str) -> list[str]:
    space: Any = torch.Tensor if section == "torch.Tensor" else importlib.import_module(section)
    listed = getattr(space, "__all__", None)
    names = listed if listed and section not in ("torch", "torch.nn") else dir(space)
    found = []
    for name in names:
        if name.startswith("_"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = getattr(space, name, None)
        if inspect.ismodule(value) or (section.startswith("torch.nn") and getattr(value, "__module__", "") == "typing"):
            continue
        if listed is None and getattr(value, "__module__", section).split(".")[0] not in ("torch", "builtins", "None"):
            continue
        found.append(name)
    return sorted(set(found), key=lambda n: (n.lower(), n))


def has(section: str, name: str) -> bool:
    try:
        if section == "torch.Tensor":
            return hasattr(fastnn.Tensor, name)
        return hasattr(importlib.import_module(section.replace("torch", "fastnn", 1)), name)
    except ImportError:
        return False


def differences(results: dict[str, Any]) -> dict[str, set[str]]:
    """For each operation (variants of one name together), the kinds of samples that differ."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for full_name, result in results.items():
        parts = full_name.split(".")
        depth = 3 if full_name.startswith("nn.functional.") else 2 if parts[0] in ("linalg", "fft", "special") else 1
        kinds[".".join(parts[:depth])] |= result["failures"].keys()
    return kinds


def table(results: dict[str, Any]) -> str:
    differ = differences(results)
    lines = [
        "# Parity with PyTorch",
        "",
        "Written by `python tools/parity_table.py` from what runs. A name is **partly** there when some of PyTorch's",
        f"own operator samples of the kinds in brackets differ (PyTorch {torch.__version__.split('+')[0]}).",
        "",
        "Values agree when they are within a tolerance of PyTorch's, or, where PyTorch itself rounds (16-bit floats",
        "after each step, sums in float32), when they are at least as near to its result in double precision as its",
        "own are. Eigenvectors and singular vectors are compared up to their phase. What is wrong in PyTorch 2.13 is",
        "not imitated: the gradient of `as_strided_scatter`, and that of `istft` to a window that is padded, which is",
        "missing.",
        "",
    ]
    absent: dict[str, list[str]] = defaultdict(list)
    summary = ["| namespace | yes | partly | no |", "|---|---|---|---|"]
    body: list[str] = []
    for section in SECTIONS:
        groups: dict[str, list[str]] = defaultdict(list)
        for name in public_names(section):
            reason = reason_of(name)
            key = ".".join([*section.split(".")[1:], name]) if section != "torch.Tensor" else name.rstrip("_")
            if has(section, name):
                kinds = sorted(differ.get(key, ()))
                if kinds and kinds != ["missing"]:
                    groups["partly"].append(f"`{name}` ({', '.join(kinds)})")
                else:
                    groups["yes"].append(f"`{name}`")
            elif reason is not None:
                absent[reason].append(f"`{section}.{name}`")
            else:
                groups["no"].append(f"`{name}`")
        summary.append(f"| {section} | {len(groups['yes'])} | {len(groups['partly'])} | {len(groups['no'])} |")
        body += [f"## {section}", ""]
        for group in ("no", "partly", "yes"):
            if groups[group]:
                body += [f"**{group}:** " + ", ".join(groups[group]), ""]
    whole = sum(not result["failures"] for result in results.values())
    lines += [f"Of PyTorch's {len(results)} sampled dense operations, {whole} agree in everything.", ""]
    lines += [*summary, "", "## Absent on purpose", ""]
    for reason, names in absent.items():
        lines += [f"**{reason}:** " + ", ".join(names), ""]
    return "\n".join([*lines, *body])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what `tools/parity.py --json` wrote")
    options = parser.parse_args()
    DOCUMENT.write_text(table(json.loads(options.results.read_text())))
    print(f"written: {DOCUMENT}")


if __name__ == "__main__":
    main()
