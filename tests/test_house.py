"""How the house is built: what the layout promises beside the import contracts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "plaudit"
MODULES = sorted(SOURCE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_opens_with_what_it_does(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_reads_a_pickle(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"^\s*(import|from) (pickle|joblib|dill|cloudpickle)", text, re.MULTILINE)
    assert "torch.load" not in text
    assert "allow_pickle=True" not in text


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_stay_small(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= 300


def test_no_shelf_for_odds_and_ends() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "common", "helpers", "manager", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_credentials_are_botos_own_business(path: Path) -> None:
    text = path.read_text("utf-8").lower()
    assert not re.search(r"get_credentials|get_frozen_credentials|aws_secret|aws_access|aws_session|secret_key", text)
