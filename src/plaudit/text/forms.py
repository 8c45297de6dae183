"""Numbers of words, found once for each form: by compiled functions where there are some, else in a dictionary."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaudit.compiled import opened
from plaudit.text.words import MOST_REMEMBERED, Remembered

LIBRARY = Path(__file__).with_name("libforms.so")
LONGEST_KEPT = 23
"""Letters of a form that the compiled table has room for, as in forms.c."""
Numbers = NDArray[np.int32]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, or None. They keep the interpreter for the microseconds that they take."""
    names = ("plaudit_forms", "plaudit_forget", "plaudit_keep", "plaudit_numbers")
    found = opened(LIBRARY, *names, kind=ctypes.PyDLL)
    if found is not None:
        address, number = ctypes.c_void_p, ctypes.c_int32
        found.plaudit_forms.restype = address
        found.plaudit_forms.argtypes = (ctypes.c_uint32,)
        found.plaudit_forget.argtypes = (address,)
        found.plaudit_keep.argtypes = (address, ctypes.c_char_p, number, number)
        found.plaudit_numbers.argtypes = (address, ctypes.c_char_p, number, address)
    return found


class Forms:
    """The numbers that ``find`` gives forms, which are ASCII. Safe to use from several threads if ``find`` is."""

    def __init__(self, find: Callable[[str], int]) -> None:
        self._find, self._remembered = find, Remembered(find)
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
            found = (self._find if letters <= LONGEST_KEPT else self._remembered.__getitem__)(form.decode())
            self._functions.plaudit_keep(self._table, form, letters, found)
            numbers[0], numbers[1], numbers[2 + count] = at + letters, count + (found != 0), found
        return np.frombuffer(numbers, np.int32, numbers[1], 8)
