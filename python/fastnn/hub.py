"""Files of weights from a folder of downloads. Nothing is downloaded unless the file is missing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from typing import Any, NoReturn
from urllib.parse import urlparse

from ._missing import missing_attribute

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_hub_dir: str | None = None


def _get_torch_home() -> str:
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The folder for downloads: that of :func:`set_dir`, or ``$TORCH_HOME/hub``, or ``~/.cache/torch/hub``."""
    return os.path.join(_get_torch_home(), "hub") if _hub_dir is None else _hub_dir


def set_dir(d: str | os.PathLike[str]) -> None:
    """Choose the folder for downloads.

    Example:
        >>> import fastnn
        >>> fastnn.hub.set_dir("weights")
        >>> fastnn.hub.get_dir()
        'weights'
    """
    global _hub_dir
    _hub_dir = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Save a file from the network.

    Args:
        url: where it is.
        dst: the file to write; it appears when it is complete.
        hash_prefix: the SHA-256 of the file must begin like this.
        progress: accepted for compatibility.

    Raises:
        RuntimeError: the file is another one than `hash_prefix` says.
        OSError: the file cannot be reached.
    """
    from urllib.request import Request, urlopen

    digest = hashlib.sha256()
    folder = os.path.dirname(os.path.abspath(os.path.expanduser(dst)))
    with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as target:
            try:
                while chunk := source.read(1 << 20):
                    digest.update(chunk)
                    target.write(chunk)
                if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
                    raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
            except BaseException:
                os.unlink(target.name)
                raise
    shutil.move(target.name, os.path.expanduser(dst))


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> dict[str, Any]:
    """A checkpoint by its address: from the folder of downloads, where it is put first if it is missing.

    Args:
        url: where the checkpoint is.
        model_dir: the folder; ``<get_dir()>/checkpoints`` if None.
        map_location, weights_only: for :func:`fastnn.load`.
        progress: accepted for compatibility.
        check_hash: the name of the file ends in ``-<first digits of its SHA-256>.<suffix>``; check them.
        file_name: the name of the file in the folder; by default that in the address.

    Raises:
        OSError: the file is not there and cannot be downloaded; the message says where to put it.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        print(f'Downloading: "{url}" to {path}\n', file=sys.stderr)
        match = HASH_REGEX.search(name) if check_hash else None
        try:
            download_url_to_file(url, path, match[1] if match else None, progress)
        except OSError as error:
            raise OSError(
                f"load_state_dict_from_url: {path} is not there, and {url} cannot be downloaded ({error}); "
                "without a network, put the file there"
            ) from error
    from .serialization import load as load_file

    checkpoint: dict[str, Any] = load_file(path, map_location=map_location, weights_only=weights_only)
    return checkpoint


def _local_hub(repo_or_dir: str, source: str) -> Any:
    import importlib.util

    if source != "local":
        _fail_remote(repo_or_dir)
    path = os.path.join(repo_or_dir, "hubconf.py")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, repo_or_dir)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(repo_or_dir)
    return module


def _fail_remote(repo: str) -> NoReturn:
    raise RuntimeError(
        f"torch.hub: {repo} would be downloaded and run; clone it, look at it, and pass its folder with source='local'"
    )


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """Call a function of ``hubconf.py`` in a folder.

    Args:
        repo_or_dir: the folder.
        model: the name of the function.
        args, kwargs: its arguments.
        source: ``"local"``; repositories are not downloaded.

    Raises:
        RuntimeError: the source is another, or there is no such function.
    """
    for name in ("trust_repo", "force_reload", "verbose", "skip_validation"):
        kwargs.pop(name, None)
    entry = getattr(_local_hub(repo_or_dir, source), model, None)
    if not callable(entry):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return entry(*args, **kwargs)


def list(github: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The names of the functions of ``hubconf.py`` in a folder."""
    module = _local_hub(github, source)
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(github: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The docstring of a function of ``hubconf.py`` in a folder."""
    return getattr(_local_hub(github, source), model).__doc__


class _NoProgress:
    """``tqdm`` where it is not installed: the same loop without a progress bar."""

    def __init__(self, iterable: Any = (), *args: Any, **kwargs: Any) -> None:
        self._iterable = iterable

    def __iter__(self) -> Any:
        return iter(self._iterable)

    def __enter__(self) -> _NoProgress:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing is shown."""


def __getattr__(name: str) -> Any:
    if name == "tqdm":
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return _NoProgress
        return tqdm
    return missing_attribute("torch.hub")(name)
