"""Settings that are module attributes: changing them for a block or a function."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["patcher"]


def patcher(settings: dict[str, Any]) -> Callable[..., AbstractContextManager[None]]:
    """``patch(name, value)``, ``patch({name: value})``, ``patch(name=value)``, as block or decorator."""

    @contextmanager
    def patch(arg1: str | dict[str, Any] | None = None, arg2: Any = None, **kwargs: Any) -> Iterator[None]:
        """Change settings within a block, or in calls of a decorated function."""
        changes = {arg1: arg2} if isinstance(arg1, str) else {**(arg1 or {}), **kwargs}
        before = {name: settings[name] for name in changes if name in settings}
        settings.update(changes)
        try:
            yield
        finally:
            for name in changes:
                settings.pop(name)
            settings.update(before)

    return patch
