"""`python -m benchmarks` is `python -m benchmarks.vs_torch`."""

from __future__ import annotations

import sys

from benchmarks.vs_torch import main

if __name__ == "__main__":
    sys.exit(main())
