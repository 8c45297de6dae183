"""How this machine computes, in a process of its own: what glibc is told holds for all of one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from plaudit.learning.arithmetic import bfloat16_pays, has_amx

PIECES = """
from plaudit.learning.arithmetic import give_back, made_ready, resident

def held():
    return resident() // 2**20

with made_ready():
    before = held()
    pieces = [bytearray(100_000) for _ in range(2_000)]
    kept = pieces[::50]
    del pieces
    freed = held()
    give_back()
    print(freed - before, held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is of glibc")
def test_what_is_free_is_given_back_though_it_lies_between_what_is_not() -> None:
    found = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True)
    freed, given_back = map(int, found.stdout.split())
    assert freed > 100, "glibc keeps it"
    assert given_back < 50


@pytest.mark.parametrize(
    ("able", "pays"),
    [
        ({}, False),
        ({"avx512_vnni": True, "cpu_name": "AMD EPYC"}, False),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, True),
        ({"avx512_bf16": True, "cpu_name": "Intel(R) Xeon(R) Processor"}, False),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel(R) Xeon(R) Processor"}, True),
    ],
)
def test_bfloat16_pays_where_the_processor_is_faster_at_it(
    able: dict[str, object], pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert bfloat16_pays("auto") is pays
    assert has_amx() is ("amx_bf16" in able)
    assert bfloat16_pays("bfloat16")
    assert not bfloat16_pays("float32")
