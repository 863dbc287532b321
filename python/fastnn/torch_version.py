"""The PyTorch release that fastnn follows, as a version that compares with strings and tuples."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]

_PATTERN = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<number>\d*))?"
    r"(?:(?:-|[-_.]?post[-_.]?)(?P<post>\d+))?"
    r"(?:[-_.]?dev[-_.]?(?P<dev>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_PHASES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = 3


def _key(text: str) -> tuple[Any, ...] | None:
    """What sorts as PEP 440 says, or None if the text is no version."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        return None
    release = [int(part) for part in match["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    post = int(match["post"]) if match["post"] else -1
    is_dev = match["dev"] is not None
    if match["phase"]:
        phase = (_PHASES[match["phase"].lower()], int(match["number"] or 0))
    else:
        phase = (-1 if is_dev and post < 0 else _FINAL, 0)  # 1.0.dev1 comes before 1.0a1
    dev = int(match["dev"] or 0) if is_dev else float("inf")
    parts = re.split(r"[-_.]", match["local"].lower()) if match["local"] else []
    local = [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
    return release, phase, post, dev, local


class TorchVersion(str):
    """A version string that compares as a version, with strings, tuples and versions of the ``packaging`` library.

    Example:
        >>> from fastnn.torch_version import TorchVersion
        >>> version = TorchVersion("2.13.0+fastnn")
        >>> version >= "2.4", version > (2, 12, 1), version < "10.0.0a", version.major, version.minor
        (True, True, True, 2, 13)
    """

    def _pair(self, other: Any) -> tuple[Any, Any]:
        text = ".".join(str(part) for part in other) if isinstance(other, (tuple, list)) else str(other)
        own, their = _key(str(self)), _key(text)
        return (str(self), text) if own is None or their is None else (own, their)

    def __lt__(self, other: Any) -> bool:
        own, their = self._pair(other)
        return bool(own < their)

    def __le__(self, other: Any) -> bool:
        own, their = self._pair(other)
        return bool(own <= their)

    def __gt__(self, other: Any) -> bool:
        own, their = self._pair(other)
        return bool(own > their)

    def __ge__(self, other: Any) -> bool:
        own, their = self._pair(other)
        return bool(own >= their)

    def __eq__(self, other: object) -> bool:
        own, their = self._pair(other)
        return bool(own == their)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    @property
    def release(self) -> tuple[int, ...]:
        """The numbers before any suffix."""
        match = _PATTERN.match(self)
        return tuple(int(part) for part in match["release"].split(".")) if match else ()

    @property
    def major(self) -> int:
        """The first number."""
        return self.release[0]

    @property
    def minor(self) -> int:
        """The second number."""
        return self.release[1] if len(self.release) > 1 else 0

    @property
    def micro(self) -> int:
        """The third number."""
        return self.release[2] if len(self.release) > 2 else 0


__version__ = TorchVersion("2.13.0+fastnn")
