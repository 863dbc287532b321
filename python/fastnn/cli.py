"""The ``fastnn`` command: ``fastnn info`` and ``fastnn demo``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["info_text", "main"]

_MEBIBYTE = 1 << 20
_LABELS = {
    "isa": "instruction set",
    "isa_available": "could also run",
    "blas": "BLAS",
    "num_threads": "threads",
    "num_threads_reason": "because",
}


def info_text(info: dict[str, Any]) -> str:
    """What ``fastnn info`` prints, from what ``fastnn._C.info()`` tells."""
    rows: list[tuple[str, str]] = [("fastnn", str(info["version"]))]
    for name, label in _LABELS.items():
        value = info[name]
        if name == "isa_available":
            value = ", ".join(str(one) for one in value if one != info["isa"]) or "nothing else"
        rows.append((label, str(value)))
    rows += [(f"allocator {name.replace('_', ' ')}", _amount(name, value)) for name, value in info["allocator"].items()]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def _amount(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return f"{value / _MEBIBYTE:,.1f} MiB"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastnn", description="PyTorch's API on an ordinary CPU.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="print version, instruction set, BLAS, threads and allocator")
    demo = commands.add_parser(
        "demo",
        help="train a classifier of handwritten digits, then fine-tune it for others",
        description="Train a classifier on five classes, then fine-tune it for five others with a frozen body.",
    )
    demo.add_argument("--data", metavar="DIR", help="a folder with MNIST or Fashion-MNIST as idx .gz files")
    demo.add_argument("--out", metavar="DIR", default="fastnn-demo", help="where to write (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; those of the process when None.

    Returns:
        The exit status: 0, or 1 after a message on standard error.

    Example:
        >>> from fastnn.cli import main
        >>> main(["info"])  # doctest: +ELLIPSIS
        fastnn ...
        0
    """
    arguments = _parser().parse_args(argv)
    if arguments.command == "info":
        from fastnn import _C

        print(info_text(_C.info()))
        return 0
    from fastnn.demo import DemoError, run

    try:
        run(data=arguments.data, out=arguments.out, seed=arguments.seed)
    except (DemoError, OSError) as error:
        print(f"fastnn demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nfastnn demo: stopped", file=sys.stderr)
        return 130
    return 0
