"""The rules of docs/architecture.md, checked over the sources and over the compiled objects."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="needs a checkout with csrc/")

# Who may include whom: room -> the rooms whose headers it may include.
MAY_INCLUDE = {
    "core": {"core"},
    "kernels": {"kernels", "core"},
    "cpu": {"cpu", "kernels", "core"},
    "cpu_host": {"cpu_host", "kernels", "core"},
    "autograd": {"autograd", "core"},
    "ops": {"ops", "autograd", "kernels", "core"},
    "bindings": {"bindings", "ops", "autograd", "kernels", "cpu_host", "core"},
    "tests": {"tests", "ops", "autograd", "kernels", "cpu_host", "cpu", "core"},
    "benchmarks": {"benchmarks", "ops", "autograd", "kernels", "cpu_host", "cpu", "core"},
}
# `cpu` and `kernels` see views, never the tensors that own the memory.
OWNING_HEADERS = {"core/tensor.h", "core/storage.h", "core/allocator.h"}

WIDE_ISAS = ("avx2", "avx512")


INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)


def sources(*rooms: str) -> list[Path]:
    """The C++ files of these rooms, or of all."""
    folders = [CSRC / room for room in rooms] if rooms else [CSRC]
    return sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in (".cpp", ".h"))


def name_of(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()


def code_of(path: Path) -> str:
    """The text of a C++ file without its comments."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def includes_of(path: Path) -> list[str]:
    return [name for _, name in INCLUDE.findall(path.read_text(encoding="utf-8"))]


def files_matching(pattern: str, paths: list[Path]) -> list[str]:
    expression = re.compile(pattern, re.MULTILINE)
    return [name_of(path) for path in paths if expression.search(code_of(path))]


def outside(found: list[str], *allowed: str) -> list[str]:
    """The names found that match none of the allowed ones (files, or folders that end in a slash)."""
    return [name for name in found if name not in allowed and name.split("/")[0] + "/" not in allowed]


def test_rooms_are_the_known_ones() -> None:
    assert {p.name for p in CSRC.iterdir() if p.is_dir()} == set(MAY_INCLUDE)


@pytest.mark.parametrize("room", sorted(MAY_INCLUDE))
def test_room_includes_only_what_it_may(room: str) -> None:
    wrong = []
    for path in sources(room):
        for include in includes_of(path):
            other = include.split("/")[0]
            if other in MAY_INCLUDE and "/" in include and other not in MAY_INCLUDE[room]:
                wrong.append(f"{name_of(path)} includes {include}")
    assert wrong == []


def test_includes_name_the_room() -> None:
    """`#include "core/tensor.h"`, never `"tensor.h"`: otherwise the rules above could be walked around."""
    wrong = []
    for path in sources():
        for mark, include in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if mark == '"' and not ("/" in include and (CSRC / include).is_file()):
                wrong.append(f"{name_of(path)} includes {include}")
    assert wrong == []


def test_kernels_are_headers() -> None:
    assert [name_of(p) for p in sources("kernels") if p.suffix != ".h"] == []


def test_kernels_see_views_not_tensors() -> None:
    wrong = [
        f"{name_of(path)} includes {include}"
        for path in sources("kernels", "cpu")
        for include in includes_of(path)
        if include in OWNING_HEADERS
    ]
    assert wrong == []


def test_ops_name_no_device() -> None:
    assert files_matching(r"\bcpu_host\b|\bcblas_|\bavx(2|512)\b|\bAVX", sources("ops", "autograd")) == []


def test_only_bindings_know_python() -> None:
    found = files_matching(r'#\s*include\s*[<"](Python\.h|pybind11/|numpy/)|\bPy_\w+|\bPyObject\b', sources())
    assert outside(found, "bindings/") == []


def test_only_parallel_names_openmp() -> None:
    found = files_matching(r"#\s*pragma\s+omp|\bomp_\w+\s*\(|<omp\.h>|\b_OPENMP\b", sources())
    assert outside(found, "core/parallel.cpp") == []


def test_only_blas_names_a_blas() -> None:
    found = files_matching(r"\bcblas_\w+|<(cblas|lapacke?|openblas_config)\.h>|openblas_\w+\s*\(", sources())
    assert outside(found, "cpu_host/blas.cpp") == []
    assert (
        outside(files_matching(r"\bFASTNN_LAPACK\(", sources()), "cpu_host/lapack.cpp", "cpu_host/blas_names.h") == []
    )


def test_only_allocator_takes_memory_from_the_system() -> None:
    found = files_matching(r"\b(mmap|malloc|calloc|realloc|aligned_alloc|posix_memalign|sbrk)\s*\(", sources())
    assert outside(found, "core/allocator.cpp", "tests/", "benchmarks/") == []


def test_cpu_lives_in_a_namespace_per_instruction_set() -> None:
    """So that the linker can tell the copies apart. The objects are checked below."""
    wrong = []
    for path in sources("cpu"):
        if path.name == "isa.h":
            continue
        outside_of_it = re.sub(
            r"^FASTNN_CPU_BEGIN$.*?^FASTNN_CPU_END$", "", code_of(path), flags=re.MULTILINE | re.DOTALL
        )
        outside_of_it = re.sub(r"^#([^\n]*\\\n)*[^\n]*$", "", outside_of_it, flags=re.MULTILINE)
        if outside_of_it.strip():
            wrong.append(f"{name_of(path)}: {outside_of_it.strip().splitlines()[0]}")
    assert wrong == []


def test_build_has_no_dangerous_flags() -> None:
    """They change results, make a wheel that crashes on other machines, or merge code across sets."""
    for path in [ROOT / "CMakeLists.txt", ROOT / "CMakePresets.json", *(ROOT / "cmake").glob("*.cmake")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"-ffast-math|-Ofast|-march=native|-funsafe-math|-flto", text), path


# --- compiled objects --------------------------------------------------------------------------------------


def build_directory() -> Path | None:
    """The build tree to look into: FASTNN_BUILD_DIR, or the newest optimised one under build/ there is."""
    if named := os.environ.get("FASTNN_BUILD_DIR"):
        return Path(named)
    found = [p.parent.parent for p in ROOT.glob("build/*/CMakeFiles/fastnn_cpu_avx2.dir")]
    found = [p for p in found if "-fsanitize" not in (p / "compile_commands.json").read_text(encoding="utf-8")]
    return max(found, key=lambda p: (p / "compile_commands.json").stat().st_mtime, default=None)


def wide_objects() -> list[tuple[str, Path]]:
    build = build_directory()
    if build is None:
        pytest.skip("needs a build tree: cmake --preset dev && cmake --build --preset dev")
    if shutil.which("nm") is None or shutil.which("readelf") is None:
        pytest.skip("needs binutils")
    objects = [(isa, p) for isa in WIDE_ISAS for p in build.glob(f"CMakeFiles/fastnn_cpu_{isa}.dir/**/*.o")]
    if not objects and os.uname().machine not in ("x86_64", "amd64"):
        pytest.skip("this machine's build has the baseline only")
    assert objects, f"{build} has no objects of csrc/cpu"
    return objects


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def carries_isa(symbol: str, isa: str) -> bool:
    """Whether a mangled name has the namespace fastnn::<isa> or Eigen_<isa> somewhere in it."""
    names = (isa, f"Eigen_{isa}")
    return any(f"{len(name)}{name}" in symbol for name in names)


def leaks(isa: str, nm_output: str) -> list[str]:
    """The functions that the linker may merge with other objects' although they hold this set's instructions.

    These are the weak ones (W). Weak data (V, u), such as inline constants, is the same in every copy.
    """
    lines = [line.split() for line in nm_output.splitlines()]
    return [symbol for *_, kind, symbol in lines if kind == "W" and not carries_isa(symbol, isa)]


def test_leaks_are_seen() -> None:
    """The check itself: std::max<float> leaks, a template over a type of the namespace does not."""
    output = """\
0000000000000000 W _ZSt3maxIfERKT_S2_S2_
0000000000000000 W _ZNSt6vectorIN6fastnn4avx24TileESaIS2_EED1Ev
0000000000000000 W _ZN10Eigen_avx28internal4pexpEv
0000000000000000 W _ZN6fastnn4View5numelEv
0000000000000000 V _ZTIN6fastnn5ErrorE
0000000000000000 T _ZN6fastnn5tableEv
"""
    assert leaks("avx2", output) == ["_ZSt3maxIfERKT_S2_S2_", "_ZN6fastnn4View5numelEv"]
    assert "_ZN10Eigen_avx28internal4pexpEv" in leaks("avx512", output)


def test_no_inline_function_of_a_wide_set_is_shared() -> None:
    """An inline function compiled for AVX-512 must never be the copy that the linker keeps for all."""
    wrong = []
    for isa, path in wide_objects():
        output = output_of("nm", "--defined-only", str(path))
        wrong += [f"{path.name} ({isa}): {symbol}" for symbol in leaks(isa, output)]
    assert wrong == []


def test_no_code_of_a_wide_set_runs_at_load() -> None:
    """Tables are constant-initialised: an initialiser would run before the processor has been looked at."""
    wrong = []
    for isa, path in wide_objects():
        output = output_of("readelf", "-SW", str(path))
        if re.search(r"\.(init_array|ctors)\b", output):
            wrong.append(f"{path.name} ({isa})")
    assert wrong == []


# --- documents ---------------------------------------------------------------------------------------------


def table_rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its header rows."""
    after = text.split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\|\n)+", after, re.MULTILINE)
    assert table, f"no table after {heading!r}"
    lines = table.group().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_add_an_op_table_is_true() -> None:
    """Each file in CONTRIBUTING's table exists and has in it what the table says is there."""
    rows = table_rows((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Add an op")
    assert rows
    for file, symbol, _ in rows:
        pattern = file.strip("`")
        paths = sorted(ROOT.glob(pattern.replace("<family>", "*").replace("<isa>", "*")))
        assert paths, f"CONTRIBUTING names {pattern}, which does not exist"
        for name in re.findall(r"`([^`]+)`", symbol):
            assert any(name in p.read_text(encoding="utf-8") for p in paths), f"no {name} in {pattern}"


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/index.md",
        "docs/architecture.md",
        "docs/coming-from-pytorch.md",
        "third_party/README.md",
    ],
)
def test_documents_link_to_files_that_exist(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_init_files_export_by_name() -> None:
    wrong = []
    for path in (ROOT / "python" / "fastnn").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wrong += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        ]
    assert wrong == []


def test_no_todo_in_what_is_shipped() -> None:
    paths = [
        *sources(),
        *(ROOT / "python").rglob("*.py"),
        *(ROOT / "cmake").iterdir(),
        ROOT / "CMakeLists.txt",
    ]
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [str(p.relative_to(ROOT)) for p in paths if marks.search(p.read_text(encoding="utf-8"))] == []
