"""A hook of MkDocs: a page for each namespace of fastnn, from the docstrings of what it exports.

Docstrings have sections (``Args:``, ``Raises:``, ``Example:``) as in Google's style; the rest is text.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NAMESPACES = """
    fastnn fastnn.nn fastnn.nn.functional fastnn.nn.init fastnn.nn.utils fastnn.nn.utils.rnn fastnn.nn.utils.parametrize
    fastnn.nn.utils.parametrizations fastnn.nn.utils.prune fastnn.nn.attention fastnn.optim fastnn.optim.lr_scheduler
    fastnn.optim.swa_utils fastnn.autograd fastnn.autograd.functional fastnn.autograd.graph fastnn.func fastnn.linalg
    fastnn.fft fastnn.special fastnn.signal.windows fastnn.distributions fastnn.utils.data fastnn.utils.checkpoint
    fastnn.amp fastnn.serialization fastnn.serialization.safetensors fastnn.finetune fastnn.onnx fastnn.profiler
    fastnn.library fastnn.overrides fastnn.random
""".split()
LISTED = {"Args", "Attributes", "Raises"}
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Shape|Example|Examples|Note|Notes)::?")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The pages appear in the navigation."""
    assert config.nav is not None
    config.nav.append({"Reference": [{name: f"reference/{name}.md"} for name in ["fastnn.Tensor", *NAMESPACES]]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages themselves."""
    import fastnn

    pages = {name: namespace_page(importlib.import_module(name)) for name in NAMESPACES}
    pages["fastnn.Tensor"] = "\n\n".join(["# fastnn.Tensor", *members_of(fastnn.Tensor, "Tensor", "##")])
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def namespace_page(module: Any) -> str:
    """A namespace: its docstring, and what it exports."""
    name = module.__name__
    parts = [f"# {name}", *markdown(inspect.getdoc(module) or "")]
    exported = getattr(module, "__all__", [key for key in dir(module) if not key.startswith("_")])
    for key in sorted(exported, key=str.lower):
        value = getattr(module, key)
        if inspect.ismodule(value) or (not callable(value) and not isinstance(value, type)):
            continue
        parts += entry(f"{name}.{key}", value, "##")
    return "\n\n".join(parts)


def entry(name: str, value: Any, heading: str) -> Iterator[str]:
    """A class or function: signature, docstring, and the methods of a class."""
    short = name.rpartition(".")[2]
    yield f"{heading} {escaped(short)} {{ #{name} }}"
    lines = (inspect.getdoc(value) or "").split("\n")
    signatures = []
    while lines and re.match(rf"{re.escape(short)}\(.*", lines[0]):  # how operations begin their docstrings
        signatures.append(lines.pop(0))
    if not signatures:
        signatures = [f"{short}{signature_of(value)}"]
    yield "```python\n" + "\n".join(signatures) + "\n```"
    yield from markdown("\n".join(lines))
    if isinstance(value, type):
        yield from members_of(value, name, heading + "#")


def members_of(kind: type, name: str, heading: str) -> Iterator[str]:
    """The public methods that a class defines itself and documents."""
    for key, member in sorted(vars(kind).items()):
        member = getattr(member, "__func__", member)
        if not key.startswith("_") and callable(member) and not isinstance(member, type) and member.__doc__:
            yield from entry(f"{name}.{key}", member, heading)


def signature_of(value: Any) -> str:
    """The parameters, as they are written."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r"'([^']*)'", r"\1", re.sub(r" -> '?None'?$", "", text))


def markdown(doc: str) -> Iterator[str]:
    """The paragraphs and sections of a docstring."""
    for title, body in sections(doc):
        if title:
            yield f"**{title}**"
        if title.startswith("Example"):
            yield "```pycon\n" + textwrap.dedent(body).strip("\n") + "\n```"
        elif title in LISTED:
            yield "\n".join(f"- {item}" for item in items(textwrap.dedent(body)))
        else:
            for paragraph in re.split(r"\n\s*\n", textwrap.dedent(body).strip("\n")):
                yield prose(paragraph)


def sections(doc: str) -> Iterator[tuple[str, str]]:
    """The titles and texts; what comes before and between sections has no title."""
    title, lines = "", list[str]()
    for line in doc.split("\n"):
        found = SECTION.fullmatch(line)
        ends = title and line and not line.startswith(" ")
        if found or ends:
            yield title, "\n".join(lines)
            title, lines = (found.group(1), []) if found else ("", [line])
        else:
            lines.append(line)
    yield title, "\n".join(lines)


def items(text: str) -> Iterator[str]:
    """``name: what it is``, with further lines indented."""
    for item in re.split(r"\n(?=\S)", text.strip("\n")):
        name, colon, rest = item.partition(": ")
        if colon and "\n" not in name:
            yield f"`{name.strip('`')}`: {prose(rest)}"
        else:
            yield prose(item)


def prose(text: str) -> str:
    """Text whose stars and angle brackets are no markup; formulas and tables stay as they are."""
    if re.match(r"\.\. math::|=+ ", text) or re.search(r"^\s*(\.\. math::|={3,})", text, re.MULTILINE):
        return "```text\n" + text.replace(".. math::", "").strip("\n") + "\n```"
    return escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    """Markup characters outside of code as they are."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    parts = re.split(r"(``.*?``|`.*?`)", text)
    return "".join(part if i % 2 else re.sub(r"([*<\[\]_])", r"\\\1", part) for i, part in enumerate(parts))
