"""Which files an ONNX network points to. Knows protobuf's wire format and ONNX's field numbers, and opens nothing.

A network that a stranger made is asked before ONNX Runtime reads it, which would open the files. Of what protobuf
may write in several ways, only what has one meaning is taken.
"""

from __future__ import annotations

from collections.abc import Iterator

GRAPH, INITIALIZER, EXTERNAL_DATA = 7, 5, 13
KEY, VALUE = 1, 2
LOCATION = b"location"


def files_pointed_to(network: bytes) -> set[bytes]:
    """The names of the files that constants of ``network`` lie in.

    Raises ValueError for what is not a network, or points to files from anywhere else.
    """
    found = [
        value
        for graph in _fields(network, GRAPH)
        for tensor in _fields(graph, INITIALIZER)
        for entry in _fields(tensor, EXTERNAL_DATA)
        for key, value in [(_last(entry, KEY), _last(entry, VALUE))]
        if key == LOCATION
    ]
    if network.count(LOCATION) != len(found):
        raise ValueError("it names a location where no constant is")
    return set(found)


def _last(message: bytes, number: int) -> bytes:
    """The field's value: of one that stands there twice, protobuf takes the last."""
    return ([b"", *_fields(message, number)])[-1]


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """The contents of the fields called ``number`` that have a length."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        length = 0
        if tag & 7 == 0:
            _, at = _number(message, at)
        elif tag & 7 == 2:
            length, at = _number(message, at)
        else:
            length = {1: 8, 5: 4}.get(tag & 7, len(message) + 1)
        if tag >> 32 or at + length > len(message):
            raise ValueError("it is no protobuf message")
        if tag == number << 3 | 2:
            yield message[at : at + length]
        at += length


def _number(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        value |= (message[at] & 127) << shift
        at += 1
        if message[at - 1] < 128:
            return value, at
    raise ValueError("it is no protobuf message")
