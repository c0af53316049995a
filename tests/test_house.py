"""The house rules that a machine can check: imports, style, types, sizes, public names."""

import importlib
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import onward

ROOT = Path(__file__).parents[1]
LARGEST = 2**20


def tool(name: str, *words: str) -> None:
    """A checker of the test extra, run as `make check` does; skipped where it is not installed."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed; the extra `test` has it")
    done = subprocess.run(
        [program, *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_point_one_way() -> None:
    tool("lint-imports")


def test_style() -> None:
    tool("ruff", "check", ".")
    tool("ruff", "format", "--check", ".")


def test_types() -> None:
    tool("mypy")


def tracked() -> list[Path]:
    """The files that git knows, or in an unpacked archive those that are there."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def test_no_large_file_is_committed() -> None:
    large = [str(file) for file in tracked() if file.stat().st_size > LARGEST]
    assert not large


def test_nothing_is_left_to_do_in_the_text() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    for file in tracked():
        if file.suffix in (".py", ".md", ".toml", ".sh") and ".ci" not in file.parts:
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                assert not any(mark in line for mark in marks), f"{file}, line {number}"


def test_files_stay_short() -> None:
    """Past about 300 lines of code a file is asking to be split; prose and blank lines are free."""
    for file in (ROOT / "src").rglob("*.py"):
        code = [line for line in file.read_text().splitlines() if line.strip()]
        assert len(code) <= 400, f"{file} has {len(code)} lines"


def test_the_package_is_typed() -> None:
    assert (Path(onward.__file__).parent / "py.typed").exists()


def test_public_names_are_there_and_explained() -> None:
    assert len(set(onward.__all__)) == len(onward.__all__)
    for name in onward.__all__:
        found = getattr(onward, name)
        if name != "__version__":
            assert inspect.getdoc(found), f"onward.{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        onward.nonsense  # noqa: B018


def test_every_file_says_what_it_is() -> None:
    for file in (ROOT / "src").rglob("*.py"):
        name = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
        if not name.endswith("__main__"):
            module = importlib.import_module(name.removesuffix(".__init__"))
            assert module.__doc__, f"{file} has no docstring"


def test_importing_the_package_does_not_wait_for_torch() -> None:
    script = "import sys, onward; assert 'torch' not in sys.modules; onward.Dense; print('ok')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_results_are_those_of_the_records() -> None:
    """RESULTS.md and the README's table hold what the committed records say, and nothing else."""
    from onward.recipes.table import insert
    from onward.report import markdown

    assert (ROOT / "RESULTS.md").read_text() == markdown(ROOT / "results"), "run `make results`"
    readme = (ROOT / "README.md").read_text()
    assert readme == insert(readme, ROOT / "results"), "run `make results`"


def test_pages_of_tables_are_those_of_the_records() -> None:
    """results/NAME.md holds what the committed records say, where a table has any."""
    from onward.recipes import tables

    for name in tables.MODULES:
        table = tables.find(name)
        if tables.gather(table, ROOT / "results"):
            written = (ROOT / "results" / f"{name}.md").read_text()
            assert written == tables.page(table, ROOT / "results"), "run `make results`"


def test_committed_records_are_whole() -> None:
    """Each is a finished run of a known recipe, from a clean commit, with its command."""
    from onward import recipes, record

    for path in sorted((ROOT / "results").glob("*/seed-*.json")):
        found = record.read(path)
        assert found["status"] == "finished", path
        assert found["recipe"] in recipes.NAMES, path
        verb = "federate" if "federation" in found else "run"
        assert found["command"].startswith(f"onward {verb} {found['recipe']} "), path
        assert found["commit"]["clean"] is True, path
        assert found["test_error"], path
