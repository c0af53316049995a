"""The documentation site: every public name, and no warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import onward

ROOT = Path(__file__).parent.parent


def test_every_public_name_is_on_the_page_of_names() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    found = set(re.findall(r"^\.\. auto\w+:: onward\.(\w+)$", page, flags=re.MULTILINE))
    assert found == {*onward.__all__, *onward._MODULES} - {"__version__"}


def test_every_page_is_reached_from_the_first() -> None:
    for folder in (ROOT / "docs", *(ROOT / "docs" / part for part in ("tutorials", "parts"))):
        index = (folder / "index.md").read_text()
        pages = {page.stem for page in folder.glob("*.md")} - {"index"}
        assert pages <= set(re.findall(r"^(\w+)$", index, flags=re.MULTILINE))


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="the extra docs is not installed")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-c", "docs", "-d", str(tmp_path / "trees"), ".", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site" / "docs" / "api.html").read_text()
    assert "onward.UnsupervisedForwardForward" in api
