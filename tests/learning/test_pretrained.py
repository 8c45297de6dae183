from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as from_safetensors

from plaudit.errors import UsageError
from plaudit.learning.pretrained import FILES, Pretrained, load_encoder
from plaudit.text.vocabulary import Vocabulary
from tests.learning.test_pretraining import same


def test_a_folder_gives_back_what_rounding_left(encoder: Pretrained, tmp_path: Path) -> None:
    encoder.save(tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(FILES)
    loaded = Pretrained.load(tmp_path / "made")
    assert same(loaded, encoder.rounded())
    assert (loaded.vocabulary, loaded.card) == (encoder.vocabulary, json.loads(json.dumps(encoder.card)))
    assert loaded.hidden_dim == encoder.hidden_dim == 8


def test_rounding_twice_changes_nothing(encoder: Pretrained) -> None:
    once = encoder.rounded()
    assert same(once, once.rounded())


def test_rounding_changes_little(encoder: Pretrained) -> None:
    rounded = encoder.rounded()
    assert not rounded.embedding[0].any()
    largest = encoder.embedding.abs().amax(1, keepdim=True)
    assert ((rounded.embedding - encoder.embedding).abs() <= largest / 127 + 1e-4).all()
    for direction, lstm in encoder.lstms.items():
        for name, value in lstm.items():
            assert torch.allclose(rounded.lstms[direction][name], value, rtol=1e-3, atol=1e-6)


def test_a_word_takes_a_byte_a_number_and_the_rest_two(encoder: Pretrained, encoder_folder: Path) -> None:
    tensors = from_safetensors((encoder_folder / "weights.safetensors").read_bytes())
    assert tensors["embedding"].dtype == torch.int8
    assert {value.dtype for name, value in tensors.items() if name != "embedding"} == {torch.float16}
    assert {name.split(".")[0] for name in tensors} == {"embedding", "embedding_scale", "forward", "backward"}


def test_saving_replaces_an_encoder_and_nothing_else(encoder: Pretrained, tmp_path: Path) -> None:
    encoder.save(tmp_path / "made")
    replace(encoder, card={**encoder.card, "texts": 7}).save(tmp_path / "made")
    assert Pretrained.load(tmp_path / "made").card["texts"] == 7
    (tmp_path / "made" / "diary.txt").write_text("from before")
    with pytest.raises(UsageError, match=r"holds diary\.txt, which is not an encoder's: name another folder"):
        encoder.save(tmp_path / "made")
    assert (tmp_path / "made" / "diary.txt").read_text() == "from before"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "noise"])
def test_a_damaged_encoder_is_refused(name: str, damage: str, encoder: Pretrained, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    if damage == "missing":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(b"" if damage == "empty" else b"\xff\x00 noise \x80" * 9)
    with pytest.raises(UsageError, match=r"no sound encoder there .*: plaudit pretrain makes one"):
        load_encoder(str(tmp_path))


def test_a_vocabulary_of_another_encoder_is_refused(encoder: Pretrained, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    Vocabulary(encoder.vocabulary.words[:-1]).save(tmp_path / "vocabulary.txt")
    with pytest.raises(UsageError, match=r"no sound encoder there .*vectors for .* words"):
        Pretrained.load(tmp_path)


def test_weights_of_something_else_are_refused(encoder: Pretrained, bundle_weights: bytes, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(bundle_weights)
    with pytest.raises(UsageError, match="no sound encoder there"):
        Pretrained.load(tmp_path)


@pytest.fixture
def bundle_weights() -> bytes:
    """Weights in the right format with other names."""
    from safetensors.torch import save

    return save({"embedding.weight": torch.zeros(3, 2)})


def test_the_shipped_encoder_is_sound() -> None:
    shipped = load_encoder("encoder")
    assert "forward" in shipped.lstms
    assert shipped.embedding.shape[0] == shipped.vocabulary.size
    assert torch.isfinite(shipped.embedding).all()
