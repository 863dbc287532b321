"""The comparison with PyTorch: every row runs, ratios are right, both sides are measured. No speed is asserted."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import report, vs_torch, worker  # noqa: E402
from benchmarks.report import Ratios, Result, Side  # noqa: E402
from benchmarks.rows import ROWS  # noqa: E402

MEBIBYTE = report.MEBIBYTE
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def result(ours: list[float], *theirs: tuple[str, list[float]], **more: object) -> Result:
    """A result with these values; every side has 100 MiB more memory than the one before."""
    sides = [Side("torch", name, values, (200 + 100 * i) * MEBIBYTE) for i, (name, values) in enumerate(theirs)]
    fields = {"same": True, **more}
    return Result("made", "made up", 2, Side("fastnn", "default", ours, 100 * MEBIBYTE), sides, **fields)  # type: ignore[arg-type]


# --- numbers ------------------------------------------------------------------------------------------------


def test_ratio_is_theirs_over_ours_round_by_round() -> None:
    # The machine is three times slower in the second round, and the ratio is that of the others.
    assert report.ratios([1.0, 3.0, 1.0], [2.0, 6.0, 2.0]) == Ratios(2.0, 2.0, 2.0)
    assert report.ratios([1.0, 1.0, 1.0, 1.0, 1.0], [5.0, 1.0, 2.0, 4.0, 3.0]) == Ratios(3.0, 2.0, 4.0)
    assert report.ratios([2.0], [1.0]) == Ratios(0.5, 0.5, 0.5)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_ratios_of_unequal_rounds_are_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match=f"got {len(ours)} and {len(theirs)}"):
        report.ratios(ours, theirs)


def test_the_quickest_setting_of_torch_counts() -> None:
    made = result([1.0, 1.0, 1.0], ("default", [4.0, 4.0, 4.0]), ("fused", [3.0, 3.0, 9.0]))
    assert made.best.setting == "fused"
    title, threads, ratio, spread, ours, theirs, memory, setting, same = report.cells(made)
    assert (title, threads, ratio, spread) == ("made up", "2", "3.00", "3.00 to 6.00")
    assert (ours, theirs, memory) == ("100", "300", "3.00")
    assert (setting, same) == ("fused", "yes")


def test_results_must_agree() -> None:
    assert report.agree([[1.0, 2.0]], [[1.00005, 2.0]], 1e-4)
    assert not report.agree([[1.0, 2.0]], [[1.001, 2.0]], 1e-4)
    assert not report.agree([[float("nan")]], [[float("nan")]], 1e-4)
    with pytest.raises(ValueError, match="zip"):
        report.agree([[1.0]], [[1.0], [1.0]], 1e-4)
    assert report.cells(result([1.0], ("default", [1.0]), same=False))[-1] == "NO"


def test_table_shows_no_times() -> None:
    made = [result([0.125], ("default", [0.25])), Result("broken", "broken row", 1, error="why")]
    text = report.table(made).splitlines()
    assert len({line.index("2.00") for line in text if "2.00" in line}) == 1
    assert "0.125" not in report.table(made) and "0.25" not in report.table(made)
    assert text[3].split() == ["broken", "row", "1", "failed", *["-"] * 6]
    markdown = report.table(made, markdown=True).splitlines()
    assert [line.count("|") for line in markdown] == [len(report.HEADINGS) + 1] * 4
    assert markdown[1].startswith("| --- | ---: |")


def test_json_has_what_was_measured() -> None:
    written = report.as_json([result([1.0], ("default", [2.0])), Result("broken", "", 1, error="why")], {"rounds": 1})
    made, broken = json.loads(json.dumps(written))["rows"]
    assert made["fastnn"]["values"] == [1.0] and made["torch"][0]["values"] == [2.0]
    assert made["ratio"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert broken["error"] == "why" and "ratio" not in broken
    assert written["machine"] == {"rounds": 1}


# --- measuring ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_row_runs_and_repeats(name: str) -> None:
    """From the same seed a row computes the same numbers, and they are finite."""
    fingerprints = []
    for _ in range(2):
        fastnn.manual_seed(worker.SEED)
        step = ROWS[name].build(fastnn)
        fingerprints.append([worker.fingerprint(step()) for _ in range(2)])
    assert fingerprints[0] == fingerprints[1]
    assert report.agree(fingerprints[0], fingerprints[1], 0.0)  # not NaN


def test_workers_take_turns_and_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with vs_torch.Participant("fastnn", "default", 1) as participant:
        prepared = participant.ask("prepare", row="op", threads=1, options={})
        assert prepared["threads"] == 1 and prepared["seconds"] > 0
        assert all(participant.ask("run", steps=50, blocks=2, clock=clock)["seconds"] > 0 for clock in worker.CLOCKS)
        with pytest.raises(vs_torch.WorkerError, match="KeyError: 'nothing'"):
            participant.ask("prepare", row="nothing", threads=1, options={})
        participant.values.append(1.0)
        side = participant.side()
    assert side.peak_memory is not None and side.memory_at_start is not None
    assert side.peak_memory >= side.memory_at_start > MEBIBYTE
    assert participant.process.returncode == 0
    assert capfd.readouterr().err == ""


def test_a_library_that_is_missing_is_reported() -> None:
    participant = vs_torch.Participant("no_such_library", "default", 1)
    with pytest.raises(vs_torch.WorkerError, match="No module named 'no_such_library'"), participant:
        pass
    assert participant.process.returncode is not None


def test_unknown_rows_and_threads_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in ((["--rows", "op,none"], "no row none"), (["--threads", "0"], "numbers from 1 on")):
        with pytest.raises(SystemExit):
            vs_torch.parse(arguments)
        assert message in capsys.readouterr().err


@needs_torch
def test_both_sides_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.vs_torch", "--rows", "op_chain,linear", "--threads", "1"]
    command += ["--quick", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=vs_torch.environment(None), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    chain, linear = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [side["setting"] for side in chain["torch"]] == ["default"]
    assert [side["setting"] for side in linear["torch"]] == ["default", "fused"]
    for row in (chain, linear):
        assert row["same"] is True
        assert row["ratio"]["median"] > 0
        assert all(len(side["values"]) == vs_torch.QUICK.rounds for side in (row["fastnn"], *row["torch"]))
