"""Which files a network points to: everything that ONNX's own reader would open, however it is written."""

from __future__ import annotations

import onnx
import pytest

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.pointers import files_pointed_to

TENSOR = onnx.TensorProto(name="a", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL).SerializeToString()


def number(value: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(tag: int, content: bytes) -> bytes:
    return number(tag << 3 | 2) + number(len(content)) + content


def network(*entries: bytes) -> bytes:
    """A network with one constant that has these entries of where it lies."""
    return field(7, field(5, TENSOR + b"".join(field(13, entry) for entry in entries)))


def location(*names: str) -> bytes:
    return field(1, b"location") + b"".join(field(2, name.encode()) for name in names)


def test_our_own_network_points_to_our_own_weights(bundle: Bundle, original_bundle: Bundle) -> None:
    for made in (bundle, original_bundle):
        assert files_pointed_to(made.network) == {b"weights.safetensors"}


def test_every_file_is_found() -> None:
    made = network(location("one"), location("two")) + network(location("three"))
    assert files_pointed_to(made) == {b"one", b"two", b"three"}
    model = onnx.load_from_string(made)
    assert {entry.value for part in model.graph.initializer for entry in part.external_data} == {"one", "two", "three"}


@pytest.mark.parametrize(
    "entry",
    [
        location("weights.safetensors", "secret"),
        field(2, b"weights.safetensors") + field(1, b"location") + field(2, b"secret"),
        field(2, b"secret") + field(1, b"location"),
        field(1, b"offset") + location("weights.safetensors", "secret"),
        field(9, b"\x6a\x1f") + location("weights.safetensors") + field(13, b"") + field(2, b"secret"),
        location("weights.safetensors") + b"\x92\x00\x06secret",
    ],
)
def test_what_protobuf_takes_last_is_what_counts(entry: bytes) -> None:
    (found,) = onnx.load_from_string(network(entry)).graph.initializer[0].external_data
    assert (found.key, found.value) == ("location", "secret")
    assert files_pointed_to(network(entry)) - {b"weights.safetensors"} == {b"secret"}


def test_a_location_anywhere_else_is_refused() -> None:
    tensor = TENSOR + field(13, location("weights.safetensors"))
    for made in (
        field(7, field(1, field(5, field(5, tensor)))),
        field(7, field(15, field(1, tensor))),
        network(location("weights.safetensors")) + field(6, b"location"),
    ):
        with pytest.raises(ValueError, match="names a location where no constant is"):
            files_pointed_to(made)


@pytest.mark.parametrize(
    "content",
    [
        b"not a network",
        b"\x3a\x05\x2a",
        b"\xff" * 40,
        b"\x3b\x3c",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xba\x80\x80\x80\x80\x01\x00",
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no protobuf message"):
        files_pointed_to(content)


def test_nothing_points_nowhere() -> None:
    assert files_pointed_to(b"") == files_pointed_to(bytes(1000)) == set()
