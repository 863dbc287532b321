"""``python -m fastnn.run script.py args...`` or ``-m module args...``: run a PyTorch program on fastnn, unchanged."""

from __future__ import annotations

import os
import runpy
import sys

from fastnn._alias import install_as_torch

__all__ = ["main"]

USAGE = """\
usage: python -m fastnn.run script.py [arguments]
       python -m fastnn.run -m module [arguments]
       python -m fastnn.run -c code [arguments]

Runs a program in which `import torch` gives fastnn."""


def main(arguments: list[str] | None = None) -> int:
    """Run a script, a module or code with fastnn in place of PyTorch.

    Args:
        arguments: of the command line; those of the process when None.

    Returns:
        The exit status: 0 after the program, or after help was asked for; 2 if there is no program.

    Example:
        >>> from fastnn.run import main
        >>> main(["--help"]).bit_length()  # doctest: +ELLIPSIS
        usage: python -m fastnn.run script.py [arguments]
        ...
        0
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if given else sys.stderr)
        return 0 if given else 2
    kind = given[0] if given[0] in ("-m", "-c") else ""
    if kind and len(given) < 2:
        print(f"python -m fastnn.run: argument expected for {kind}\n{USAGE}", file=sys.stderr)
        return 2
    program = given[1] if kind else given[0]
    install_as_torch()
    sys.argv = given[1:] if kind else given
    if kind == "-m":
        # The folder of this process is first on the path already, as it is for python -m.
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *given[2:]]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.path[0] = os.path.dirname(os.path.realpath(program))
        runpy.run_path(program, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
