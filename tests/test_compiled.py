"""What was compiled is used where it is whole, for this machine, and wanted."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from plaudit.bundle import compiled_kernel
from plaudit.compiled import opened, wanted
from plaudit.learning import compiled_lstm
from plaudit.text import forms

LIBRARIES = [
    (forms.LIBRARY, "plaudit_numbers"),
    *((path, "plaudit_evidence") for path in compiled_kernel.LIBRARIES.values()),
    *((path, "plaudit_read") for path in (*compiled_lstm.LIBRARIES.values(), compiled_lstm.IN_BFLOAT16)),
]


def test_what_is_another_machines_or_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "other.so").write_bytes(b"\x7fELF of another machine")
    assert opened(tmp_path / "other.so") is None
    assert opened(tmp_path / "nothing.so") is None


@pytest.mark.parametrize(("library", "function"), LIBRARIES)
def test_a_library_is_opened_whole_or_not_at_all(library: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not library.exists():
        pytest.skip("nothing is compiled here")
    found = opened(library, function, kind=ctypes.PyDLL)
    assert isinstance(found, ctypes.PyDLL)
    assert hasattr(found, function)
    assert opened(library, function, "plaudit_of_a_later_source") is None
    monkeypatch.setenv("PLAUDIT_COMPILED", "0")
    assert opened(library, function) is None


@pytest.mark.parametrize(("value", "expected"), [(None, True), ("1", True), ("", True), ("0", False)])
def test_only_0_leaves_it_out(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool) -> None:
    monkeypatch.delenv("PLAUDIT_COMPILED", raising=False)
    if value is not None:
        monkeypatch.setenv("PLAUDIT_COMPILED", value)
    assert wanted() == expected
