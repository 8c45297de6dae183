"""The docs are tests: their blocks run, their tables are generated, every command has its page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import generate
from plaudit.cli.main import STEPS
from tests.cli.test_up import BRIEF, up

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"<!-- run(: server)? -->\n+```(sh|python)\n(.*?)```", re.DOTALL)


def blocks(page: Path) -> list[tuple[bool, str, str]]:
    """The blocks that run: whether they need a server, their language, their text."""
    return [(bool(server), language, text) for server, language, text in BLOCK.findall(page.read_text("utf-8"))]


def run(language: str, text: str, folder: Path) -> None:
    """Runs a block as a reader would, with `plaudit` on the path. Its output is what a failure shows."""
    program = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        program, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of a page and an endpoint that `plaudit up` serves."""
    with up(tmp_path_factory.mktemp("served"), "--port", "0", *BRIEF) as (address, said):
        found = re.search(r"^endpoint +(http://\S+)/invocations", said, re.MULTILINE)
        assert found is not None
        yield address, found[1]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for server, language, text in blocks(page):
        if server:
            address, endpoint = request.getfixturevalue("served")
            text_there = text.replace("http://127.0.0.1:8000", address).replace("http://127.0.0.1:8080", endpoint)
            run(language, text_there, tmp_path)
        else:
            run(language, text, tmp_path)


def test_what_is_generated_is_up_to_date() -> None:
    assert generate.readme() == (ROOT / "README.md").read_text("utf-8"), "make docs"
    assert generate.commands() == (ROOT / "docs" / "commands.md").read_text("utf-8"), "make docs"
    assert generate.held_out() == generate.HELD_OUT.read_text("utf-8"), "make docs"
    assert generate.curves() in {None, generate.CURVES.read_text("utf-8") if generate.CURVES.exists() else ""}


@pytest.mark.parametrize("name", generate.TABLES)
def test_a_page_has_the_tables_of_the_product(name: str) -> None:
    assert generate.page(name) == (ROOT / "docs" / name).read_text("utf-8"), "make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_opens_with_two_commands_a_picture_and_the_figures() -> None:
    first_screen = (ROOT / "README.md").read_text("utf-8")[:3500]
    for wanted in ("make up", "make test", "docs/page.png", "<!-- figures: begin -->"):
        assert wanted in first_screen


def test_every_room_and_every_command_has_a_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "plaudit").glob("*/__init__.py")} - {"cli"}
    assert all((ROOT / "docs" / f"{room}.md").exists() for room in rooms)
    commands = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert all(f"## plaudit {step}" in commands for step in STEPS)


def test_ci_calls_the_readmes_own_test_command() -> None:
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert shutil.which("make") is not None
