"""Settings of the whole test run."""

from __future__ import annotations

import os
import sys

# Under the sanitizers only the library itself is of interest: tests that compare with torch are skipped.
if os.environ.get("FASTNN_TESTS_WITHOUT_TORCH"):
    sys.modules["torch"] = None  # type: ignore[assignment]
