"""The bundle on disk: five files that anyone can read, refused as soon as one of them is not what was saved."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import set_external_data
from safetensors import safe_open
from safetensors.numpy import save as to_safetensors

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import Classifier, load
from plaudit.errors import BundleError, UsageError

FILES = ("card.json", "vocabulary.txt", "weights.safetensors", "network.onnx", "manifest.json")
CHECKED = FILES[:-1]


@pytest.fixture
def folder(original_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of a bundle, to be damaged."""
    assert original_bundle.path
    return Path(shutil.copytree(original_bundle.path, tmp_path / "bundle"))


def refusal(folder: Path, use: Callable[[Path], object] = Bundle.load) -> str:
    """The one sentence that a bundle is refused with."""
    with pytest.raises(BundleError) as caught:
        use(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def edit_manifest(folder: Path, **entries: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")


def with_network(bundle: Bundle, model: onnx.ModelProto, path: Path) -> Path:
    """A bundle whose manifest is right and whose network is another."""
    replace(bundle, network=model.SerializeToString()).save(path)
    return path


def test_folder_holds_exactly_five_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_manifest_lists_size_and_sha256_of_every_other_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["format"] == 2
    assert manifest["files"] == {
        name: {
            "size": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in CHECKED
    }


def test_a_loaded_bundle_is_the_saved_one(original_bundle: Bundle, folder: Path) -> None:
    loaded = Bundle.load(folder)
    assert loaded == replace(original_bundle, path=folder)
    assert Bundle.load(str(folder)) == loaded


def test_loading_and_scoring_never_unpickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpickle(*args: object, **kwargs: object) -> None:
        raise AssertionError("a bundle was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, unpickle)
    assert load(folder).verdict("A wonderful film").label == "positive"


def test_no_file_is_a_pickle_or_a_zip_of_pickles(folder: Path) -> None:
    for name in FILES:
        content = (folder / name).read_bytes()
        assert not content.startswith(b"PK")
        with pytest.raises(Exception):  # noqa: B017, PT011  what pickle says of other bytes has no one class
            pickle.loads(content)


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_changed_byte_is_found(folder: Path, name: str, place: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (folder / name).write_bytes(content)
    assert f"{folder / name} is not the file that was saved" in refusal(folder)


@pytest.mark.parametrize("name", CHECKED)
def test_a_byte_more_or_less_is_found(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for changed in (content + b"\n", content[:-1], b""):
        (folder / name).write_bytes(changed)
        assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("name", CHECKED)
def test_a_changed_digest_names_the_file_that_it_is_of(folder: Path, name: str) -> None:
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    digest = files[name]["sha256"]
    files[name]["sha256"] = ("1" if digest[0] == "0" else "0") + digest[1:]
    edit_manifest(folder, files=files)
    assert str(folder / name) in refusal(folder)


def test_a_changed_byte_that_breaks_the_manifest_is_found(folder: Path) -> None:
    content = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(b"[" + content[1:])
    assert f"{folder / 'manifest.json'} is not a manifest" in refusal(folder)


@pytest.mark.parametrize("name", CHECKED)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{folder / name} is missing" in refusal(folder)


@pytest.mark.parametrize("name", CHECKED)
def test_a_folder_in_place_of_a_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert str(folder / name) in refusal(folder)


def test_without_a_manifest_it_is_not_a_bundle(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert "has no manifest.json" in refusal(folder)


def test_no_folder_says_how_to_make_one(tmp_path: Path) -> None:
    assert "plaudit train" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("not a folder")
    assert "there is no bundle" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{}",
        '{"format": "one", "plaudit": "1", "files": {}}',
        '{"format": null, "plaudit": "1", "files": {}}',
        '{"format": NaN, "plaudit": "1", "files": {}}',
        '{"format": 2, "plaudit": "1"}',
        '{"format": 2, "plaudit": "1", "files": []}',
        '{"format": Infinity, "plaudit": "1", "files": {}}',
        "[" * 100_000,
    ],
    ids=lambda content: content[:24],
)
def test_a_manifest_that_is_none_is_named(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content, "utf-8")
    assert f"{folder / 'manifest.json'} is not a manifest" in refusal(folder)


def test_a_manifest_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b'{"format": "\xff"}')
    assert f"{folder / 'manifest.json'} is not a manifest" in refusal(folder)


@pytest.mark.parametrize("name", CHECKED)
def test_a_manifest_that_leaves_a_file_out_is_refused(folder: Path, name: str) -> None:
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    del files[name]
    edit_manifest(folder, files=files)
    assert f"{folder / 'manifest.json'} does not list {name}" in refusal(folder)
    edit_manifest(folder, files={**files, name: "a file"})
    assert f"does not list {name}" in refusal(folder)


def test_a_newer_format_says_which_version_made_it_and_what_to_do(folder: Path) -> None:
    edit_manifest(folder, format=3, plaudit="9.8.7")
    message = refusal(folder)
    assert "Plaudit 9.8.7 in format 3" in message
    assert "pip install --upgrade plaudit" in message


def test_an_older_format_says_which_version_made_it_and_what_to_do(folder: Path) -> None:
    edit_manifest(folder, format=1, plaudit="0.1.0")
    message = refusal(folder)
    assert "Plaudit 0.1.0 in format 1" in message
    assert message.endswith("train it again")


def test_every_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    opened = Path.read_bytes

    def reading(path: Path) -> bytes:
        read.append(path.name)
        return opened(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    load(folder)
    assert sorted(read) == sorted(FILES)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("card.json", b"[]"),
        ("card.json", b"not JSON"),
        ("card.json", b"\xff"),
        ("vocabulary.txt", b"good\nbad\n"),
        ("vocabulary.txt", b"<no word>\n<infrequent>\n\xff\n"),
    ],
)
def test_a_file_with_the_right_digest_and_the_wrong_content_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(folder, files=files)
    assert str(folder / name) in refusal(folder)


def test_saving_over_an_old_bundle_replaces_it(original_bundle: Bundle, folder: Path) -> None:
    saved = replace(original_bundle, card=replace(original_bundle.card, name="the new one")).save(folder)
    assert saved.path == folder
    assert Bundle.load(folder).card.name == "the new one"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_saving_replaces_nothing_that_is_not_a_bundle(original_bundle: Bundle, folder: Path) -> None:
    (folder / "diary.txt").write_text("from before")
    with pytest.raises(UsageError, match=r"holds diary\.txt"):
        original_bundle.save(folder)
    with pytest.raises(UsageError, match="is a file"):
        original_bundle.save(folder / "diary.txt")
    assert (folder / "diary.txt").read_text() == "from before"
    assert Bundle.load(folder).card == original_bundle.card


def test_saving_makes_the_folders_above(original_bundle: Bundle, tmp_path: Path) -> None:
    original_bundle.save(tmp_path / "a" / "b" / "bundle")
    assert Bundle.load(tmp_path / "a" / "b" / "bundle").card == original_bundle.card


@pytest.mark.parametrize("stop", ["weights.safetensors", "network.onnx"])
def test_a_save_that_is_stopped_leaves_the_old_one(
    original_bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    write = Path.write_bytes

    def stopping(path: Path, data: Any) -> int:
        if path.name == stop:
            write(path, data[: len(data) // 2])
            raise OSError("No space left on device")
        return write(path, data)

    fresh = replace(original_bundle, card=replace(original_bundle.card, name="the new one"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", stopping)
        with pytest.raises(OSError, match="No space"):
            fresh.save(folder)
    assert Bundle.load(folder) == replace(original_bundle, path=folder)
    fresh.save(folder)
    assert Bundle.load(folder).card.name == "the new one"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_first_save_that_is_stopped_leaves_no_bundle(
    original_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(path: Path, data: Any) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", stopping)
    with pytest.raises(OSError, match="No space"):
        original_bundle.save(tmp_path / "bundle")
    refusal(tmp_path / "bundle")
    refusal(tmp_path / "bundle.new")


def test_a_stop_between_the_two_renames_leaves_one_of_the_two(
    original_bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def stopping(path: Path, target: Path) -> Path:
        if path.name.endswith("-new"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopping)
        with pytest.raises(KeyboardInterrupt):
            original_bundle.save(folder)
    assert Bundle.load(folder).card == original_bundle.card


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    """A constant of the network."""
    found: onnx.TensorProto = next(part for part in model.graph.initializer if part.name == name)
    return found


def pointing(original: Bundle, location: str, name: str = "dense") -> onnx.ModelProto:
    """The network with the constant ``name`` in another file."""
    model = onnx.load_from_string(original.network)
    found = initializer(model, name)
    if found.raw_data:
        set_external_data(found, location=location, offset=0, length=len(found.raw_data))
        found.ClearField("raw_data")
    for entry in found.external_data:
        entry.value = location if entry.key == "location" else entry.value
    return model


def test_weights_hold_the_network_and_the_network_points_to_their_embedding(folder: Path) -> None:
    model = onnx.load(folder / "network.onnx", load_external_data=False)
    content = (folder / "weights.safetensors").read_bytes()
    pointer = {entry.key: entry.value for entry in initializer(model, "embedding.weight").external_data}
    assert pointer["location"] == "weights.safetensors"
    start, length = int(pointer["offset"]), int(pointer["length"])
    with safe_open(folder / "weights.safetensors", "numpy") as weights:
        assert set(weights.keys()) == {
            "embedding.weight",
            "lstm.weight_ih_l0",
            "lstm.weight_hh_l0",
            "lstm.bias_ih_l0",
            "lstm.bias_hh_l0",
            "dense.weight",
            "dense.bias",
        }
        assert content[start : start + length] == weights.get_tensor("embedding.weight").tobytes()
        dense = onnx.numpy_helper.to_array(initializer(model, "dense"))
        np.testing.assert_array_equal(dense, weights.get_tensor("dense.weight").T)
        gates = onnx.numpy_helper.to_array(initializer(model, "W_forward_0"))[0]
        inputs, forget, cell, output = np.split(weights.get_tensor("lstm.weight_ih_l0"), 4)
        np.testing.assert_array_equal(gates, np.concatenate([inputs, output, forget, cell]))


def test_the_embedding_lies_on_disk_once(original_bundle: Bundle) -> None:
    table = original_bundle.vocabulary.size * original_bundle.card.recipe["embedding_dim"] * 4
    assert len(original_bundle.network) < table < len(original_bundle.weights)


def test_network_takes_any_number_of_reviews_and_words(folder: Path) -> None:
    graph = onnx.load(folder / "network.onnx", load_external_data=False).graph
    for (entry,), axes in ((graph.input, ["reviews", "words"]), (graph.output, ["reviews", "words", "units"])):
        assert [axis.dim_param for axis in entry.type.tensor_type.shape.dim] == axes


@pytest.mark.parametrize("name", ["dense", "embedding.weight"])
@pytest.mark.parametrize("location", ["../secret.bin", "secret.bin", "/etc/passwd", "weights.safetensors2", ""])
def test_a_network_that_points_to_another_file_is_refused(
    original_bundle: Bundle, tmp_path: Path, location: str, name: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(1_000_000))
    folder = with_network(original_bundle, pointing(original_bundle, location, name), tmp_path / "bundle")
    assert f"{folder / 'network.onnx'} points to other files" in refusal(folder, load)


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message: its tag, its length, its content."""
    length, parts = len(content), bytearray()
    while length > 127:
        parts.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2]) + bytes([*parts, length]) + content


def test_a_network_that_hides_where_it_points_to_is_refused(original_bundle: Bundle, tmp_path: Path) -> None:
    """Of a field that stands there twice protobuf takes the last."""
    model = onnx.load_from_string(original_bundle.network)
    dense = initializer(model, "dense")
    size, tensor = len(dense.raw_data), onnx.TensorProto(name="dense", data_type=dense.data_type, dims=dense.dims)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer.remove(dense)
    location = field(1, b"location") + field(2, b"weights.safetensors") + field(2, b"secret.bin")
    length = field(1, b"length") + field(2, str(size).encode())
    hidden = tensor.SerializeToString() + field(13, location) + field(13, length)
    network = model.SerializeToString() + field(7, field(5, hidden))
    pointer = initializer(onnx.load_from_string(network), "dense").external_data[0]
    assert (pointer.key, pointer.value) == ("location", "secret.bin")
    replace(original_bundle, network=network).save(tmp_path / "bundle")
    assert "network.onnx points to other files" in refusal(tmp_path / "bundle", load)


@pytest.mark.usefixtures("onnx_runtime")
def test_a_network_that_points_to_a_file_without_a_name_is_refused(original_bundle: Bundle, tmp_path: Path) -> None:
    model = onnx.load_from_string(original_bundle.network)
    dense = initializer(model, "dense")
    dense.data_location = onnx.TensorProto.EXTERNAL
    dense.ClearField("raw_data")
    folder = with_network(original_bundle, model, tmp_path / "bundle")
    assert str(folder / "network.onnx") in refusal(folder, load)


@pytest.mark.usefixtures("onnx_runtime")
def test_a_network_that_points_to_what_the_weights_do_not_hold_is_refused(
    original_bundle: Bundle, tmp_path: Path
) -> None:
    model = pointing(original_bundle, "weights.safetensors")
    folder = with_network(original_bundle, model, tmp_path / "bundle")
    assert str(folder / "network.onnx") in refusal(folder, load)


@pytest.mark.usefixtures("onnx_runtime")
@pytest.mark.parametrize("side", ["input", "output"])
def test_a_network_with_another_input_or_output_is_refused(original_bundle: Bundle, tmp_path: Path, side: str) -> None:
    model = onnx.load_from_string(original_bundle.network)
    old = {"input": "ids", "output": "evidence"}[side]
    getattr(model.graph, side)[0].name = "other"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["other" if name == old else name for name in names]
    folder = with_network(original_bundle, model, tmp_path / "bundle")
    assert f"{folder / 'network.onnx'} does not turn ids into evidence" in refusal(folder, load)


def test_a_network_for_another_number_of_labels_is_refused(original_bundle: Bundle, tmp_path: Path) -> None:
    card = replace(original_bundle.card, labels=("a", "b", "c"), priors=(0.2, 0.3, 0.5))
    replace(original_bundle, card=card).save(tmp_path / "bundle")
    assert f"{tmp_path / 'bundle' / 'network.onnx'} gives no evidence for a word" in refusal(tmp_path / "bundle", load)


@pytest.mark.usefixtures("onnx_runtime")
def test_a_network_of_numbers_that_are_none_is_refused(original_bundle: Bundle, tmp_path: Path) -> None:
    model = onnx.load_from_string(original_bundle.network)
    dense = initializer(model, "dense")
    dense.raw_data = np.full(len(dense.raw_data) // 4, np.nan, dtype=np.float32).tobytes()
    folder = with_network(original_bundle, model, tmp_path / "bundle")
    assert "network.onnx gives no evidence for a word" in refusal(folder, load)


@pytest.mark.usefixtures("onnx_runtime")
@pytest.mark.parametrize("network", [b"", b"not a network", bytes(1000)])
def test_a_network_that_is_none_is_refused(original_bundle: Bundle, tmp_path: Path, network: bytes) -> None:
    replace(original_bundle, network=network).save(tmp_path / "bundle")
    assert f"{tmp_path / 'bundle' / 'network.onnx'} is not a network" in refusal(tmp_path / "bundle", load)


def header(text: str) -> bytes:
    """A safetensors file with this header and no tensor."""
    return len(text).to_bytes(8, "little") + text.encode()


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"not weights",
        bytes(1000),
        b"\xff" * 100,
        header("[]"),
        header("{"),
        header("[" * 100_000),
        header('{"embedding.weight": 5}'),
        header('{"embedding.weight": {"dtype": "F32", "shape": [2, 2]}}'),
        header('{"embedding.weight": {"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}}'),
        header('{"embedding.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}'),
        header('{"embedding.weight": {"dtype": "F32", "shape": "xy", "data_offsets": [0, 0]}}'),
        header('{"embedding.weight": {"dtype": "F32", "shape": [0], "data_offsets": ["a", "b"]}}'),
    ],
    ids=lambda weights: repr(weights[8:60]),
)
def test_weights_that_are_none_are_refused(original_bundle: Bundle, tmp_path: Path, weights: bytes) -> None:
    replace(original_bundle, weights=weights).save(tmp_path / "bundle")
    assert f"{tmp_path / 'bundle' / 'weights.safetensors'} does not hold weights" in refusal(tmp_path / "bundle", load)


@pytest.mark.parametrize("weights", [header("{}"), header('{"__metadata__": {}}')])
def test_weights_without_the_embedding_are_refused(original_bundle: Bundle, tmp_path: Path, weights: bytes) -> None:
    replace(original_bundle, weights=weights).save(tmp_path / "bundle")
    assert str(tmp_path / "bundle") in refusal(tmp_path / "bundle", load)


def test_an_embedding_of_another_shape_is_refused(original_bundle: Bundle, tmp_path: Path) -> None:
    table = np.zeros((original_bundle.vocabulary.size, 3), dtype=np.float32)
    replace(original_bundle, weights=to_safetensors({"embedding.weight": table})).save(tmp_path / "bundle")
    assert str(tmp_path / "bundle" / "network.onnx") in refusal(tmp_path / "bundle", load)


@pytest.mark.usefixtures("onnx_runtime")
def test_a_bundle_in_memory_is_refused_by_its_files_name(original_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"^network\.onnx is not a network"):
        Classifier(replace(original_bundle, network=b"", path=None))
    with pytest.raises(BundleError, match=r"^weights\.safetensors does not hold weights"):
        Classifier(replace(original_bundle, weights=b"", path=None))
