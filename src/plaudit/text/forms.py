"""Numbers of words, found once for each form: by compiled functions where there are some, else in a dictionary."""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.text.words import MOST_REMEMBERED, Remembered

LIBRARY = Path(__file__).with_name("libforms.so")
Numbers = NDArray[np.int32]


def compiled_is_wanted() -> bool:
    """Whether what Plaudit has in C may be used: always, but with ``PLAUDIT_COMPILED=0``."""
    return os.environ.get("PLAUDIT_COMPILED") != "0"


@cache
def library() -> ctypes.PyDLL | None:
    """The compiled functions; None where there are none. They keep the interpreter for the microseconds they take."""
    if not compiled_is_wanted():
        return None
    address, number = ctypes.c_void_p, ctypes.c_int32
    try:
        found = ctypes.PyDLL(str(LIBRARY))
        found.plaudit_forms.restype = address
        found.plaudit_forms.argtypes = (ctypes.c_uint32,)
        found.plaudit_forget.argtypes = (address,)
        found.plaudit_keep.argtypes = (address, ctypes.c_char_p, number, number)
        found.plaudit_numbers.argtypes = (address, ctypes.c_char_p, number, address)
    except (OSError, AttributeError):
        return None
    return found


class Forms:
    """The numbers that ``find`` gives forms, which are ASCII. Safe to use from several threads if ``find`` is."""

    def __init__(self, find: Callable[[str], int]) -> None:
        self._remembered = Remembered(find)
        self._functions = library()
        self._table = self._functions.plaudit_forms(MOST_REMEMBERED) if self._functions else None

    def __del__(self) -> None:
        if self._functions and self._table:
            self._functions.plaudit_forget(self._table)

    def numbers(self, text: bytes) -> Numbers:
        """The number of each of a text's forms, which spaces separate; those whose number is 0 are left out."""
        if not (self._functions and self._table):
            return np.array([found for form in text.decode().split() if (found := self._remembered[form])], np.int32)
        numbers = array("i", bytes(4 * (len(text) // 2 + 3)))  # the place in the text, how many there are, and they
        place = numbers.buffer_info()[0]
        while letters := self._functions.plaudit_numbers(self._table, text, len(text), place):
            at, count = numbers[0], numbers[1]
            form = text[at : at + letters]
            found = self._remembered[form.decode()]
            self._functions.plaudit_keep(self._table, form, letters, found)
            numbers[0], numbers[1], numbers[2 + count] = at + letters, count + (found != 0), found
        return np.frombuffer(numbers, np.int32, numbers[1], 8)
