"""Progress in a log: quiet for short work, a line now and then for long work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plaudit.cli import terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets; standard error is a log."""
    now = [0.0]
    monkeypatch.setattr("plaudit.cli.terminal.time.monotonic", lambda: now[0])
    return now


def test_short_work_says_nothing_in_a_log(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in terminal.track(range(29), "reading reviews", 29):
        clock[0] += 1
    assert capsys.readouterr().err == ""


def test_long_work_says_every_half_minute_how_far_it_is(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in terminal.track(range(10), "epoch 3/10  batch", 10):
        clock[0] += 12
    assert capsys.readouterr().err.splitlines() == [
        "  epoch 3/10  batch 3/10  about 84 s left",
        "  epoch 3/10  batch 6/10  about 48 s left",
        "  epoch 3/10  batch 9/10  about 12 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "total", "left"), [(30, 3, "60 s"), (30, 11, "5 min"), (60, 91, "90 min"), (600, 101, "16.7 h")]
)
def test_what_is_left_is_told_in_fitting_units(
    seconds: float, total: int, left: str, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for done in terminal.track(range(total), "judging", total):
        if done:
            break
        clock[0] += seconds
    assert capsys.readouterr().err == f"  judging 1/{total}  about {left} left\n"


def test_work_of_unknown_length_says_how_much_is_done(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def items() -> Iterator[int]:
        yield from range(2)

    for _ in terminal.track(items(), "judging"):
        clock[0] += 31
    assert capsys.readouterr().err == "  judging 1\n  judging 2\n"


def test_nothing_is_read_ahead(clock: list[float]) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            taken.append(number)
            yield number

    tracked = iter(terminal.track(items(), "judging"))
    assert taken == []
    assert next(tracked) == 0
    assert taken == [0]
