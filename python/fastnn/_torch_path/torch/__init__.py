"""``import torch`` in a process that was told to take fastnn for it: this module replaces itself by fastnn."""

from __future__ import annotations

from fastnn._alias import install_as_torch

install_as_torch()
