"""Parts: wheels for another Python, without Docker; and Plaudit's own code, by rooms."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest

from plaudit.errors import PlaceError, UsageError
from plaudit.places.aws.parts import SCORING, SERVER, TRAINING, VECTORS, WEB, Target, package, pins, unpacked, wheels


def test_every_part_has_a_pin_and_every_pin_a_use() -> None:
    assert set(pins()) == {*SCORING, *WEB, *TRAINING, *VECTORS, *SERVER}


def test_the_pins_are_what_plaudit_asks_for() -> None:
    """A dependency of scoring, the web or training that a later version adds must not be forgotten on AWS."""
    asked = {
        re.split(r"[^\w-]", line)[0]
        for line in requires("plaudit") or []
        if "extra ==" not in line or "extra == 'train'" in line or "extra == 'pretrain'" in line
    }
    elsewhere = {"torch", "plaudit"}  # the training image has torch
    assert asked - elsewhere <= set(pins())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels_are_for_the_target_and_are_fetched_once(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path))
    target = Target("3.13", machine)
    (wheel,) = wheels(["regex"], target)
    assert "cp313" in wheel.name
    assert machine in wheel.name
    before = wheel.stat().st_mtime_ns
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert wheels(["regex"], target) == [wheel]
    assert wheel.stat().st_mtime_ns == before
    found = unpacked(["regex"], target)
    assert any(name.endswith(f"-313-{machine}-linux-gnu.so") for name in found)


def test_a_wheel_that_cannot_be_had_and_one_that_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(PlaceError, match=r"no wheel of regex .* for Python 3.13 on x86_64"):
        wheels(["regex"], Target())
    place = Target().folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"regex-{pins()['regex']}-cp313-cp313-any.whl").write_bytes(b"no zip")
    with pytest.raises(PlaceError, match=r"is damaged .*delete it"):
        unpacked(["regex"], Target())


@pytest.mark.parametrize("wrong", [("2.7", "x86_64"), ("3.13", "riscv64")])
def test_targets_without_parts_are_refused(wrong: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"no parts|has no parts"):
        Target(*wrong)


def test_the_package_is_taken_by_rooms() -> None:
    found = package("text", "serving")
    assert {"plaudit/__init__.py", "plaudit/errors.py", "plaudit/text/words.py", "plaudit/serving/handlers.py"} <= set(
        found
    )
    assert not any(name.startswith(("plaudit/learning", "plaudit/cli", "plaudit/places")) for name in found)
    inside = package("places/aws")
    assert {"plaudit/places/__init__.py", "plaudit/places/aws/__init__.py"} <= set(inside)
    assert "plaudit/places/laptop.py" not in inside
    assert not any("__pycache__" in name for name in inside)
