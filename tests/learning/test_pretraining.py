"""Pretraining on 500 short texts: that it learns, that it goes on, and that both directions share their words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plaudit.errors import UsageError
from plaudit.learning import compiled_lstm, pretraining
from plaudit.learning.language_model import LanguageModel
from plaudit.learning.pretrained import Pretrained
from plaudit.learning.pretraining import HELD_OUT, LEAST_STEPS, Corpus, Pretraining, pretrain
from plaudit.learning.schedule import Schedule
from plaudit.learning.watch import Interrupted, Watch
from tests.made import FILLERS, made_up


def same(left: Pretrained, right: Pretrained) -> bool:
    """Whether two encoders hold the same numbers, bit for bit."""
    if not torch.equal(left.embedding, right.embedding) or left.lstms.keys() != right.lstms.keys():
        return False
    return all(
        torch.equal(value, right.lstms[direction][name])
        for direction, lstm in left.lstms.items()
        for name, value in lstm.items()
    )


def stopping(after: int) -> Callable[[], bool]:
    """Asks for a stop after so many steps."""
    asked = iter([False] * (after - 1) + [True])
    return lambda: next(asked, False)


@pytest.fixture(scope="module")
def unbroken(corpus: Corpus, schedule: Schedule) -> Pretrained:
    return Pretraining(corpus, replace(schedule, epochs=2), seed=3).run()


def test_the_perplexity_falls_far_below_a_uniform_guess(corpus: Corpus, unbroken: Pretrained) -> None:
    (direction,) = unbroken.card["directions"]
    first, last = (entry["perplexity"] for entry in direction["history"])
    assert max(first, last) < corpus.vocabulary.size / 4
    assert direction["perplexity"] == last
    assert last > len(FILLERS) / 2, "nobody can know the next word"


@pytest.mark.parametrize("negatives", [20, 500])
def test_the_sampled_loss_is_lowest_at_the_words_own_frequencies(negatives: int) -> None:
    torch.manual_seed(0)
    counts = torch.tensor([400, 200, *[400 / 28] * 28])
    shares = counts / counts.sum()
    model = LanguageModel(counts, 4, 4, 0.0)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.Adam([model.bias], 0.03)
    for step in range(800):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / 800)
        optimizer.zero_grad()
        targets = torch.multinomial(shares, 256, replacement=True)
        drawn = torch.multinomial(shares**0.75, negatives, replacement=True)
        pairs = ((ids, torch.zeros(len(ids), 4)) for ids in (targets, drawn))
        model.sampled_loss(torch.zeros(256, 4), *pairs).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = model.bias.detach().softmax(0)
    assert torch.allclose(found, shares, atol=0.02)
    assert model.full_loss(torch.zeros(1, 4), torch.tensor([0])).item() == pytest.approx(-math.log(0.4), abs=0.1)


def test_the_next_words_loss_is_that_of_each_word_after_those_before_it() -> None:
    torch.manual_seed(0)
    ids = torch.randint(0, 30, (6, 3))
    model = LanguageModel(torch.bincount(ids.flatten(), minlength=30), 4, 5, 0.0)
    torch.manual_seed(1)
    loss, state = model.next_words_loss(ids, None, 20)
    torch.manual_seed(1)
    drawn = torch.multinomial(model._shares, 20, replacement=True)
    expected, after = model.read(model.embedding(ids[:-1]), None)
    said = expected @ model.embedding.weight.t() + model.bias - torch.log(model._shares * 20 + 1e-12)
    wanted = ids[1:].flatten()
    each = [
        torch.cat([row[one : one + 1], row[drawn]]).log_softmax(0)[0] for row, one in zip(said, wanted, strict=True)
    ]
    assert loss.item() == pytest.approx(-torch.stack(each).mean().item(), abs=1e-5)
    assert all(torch.equal(left, right) for left, right in zip(state, after, strict=True))


def test_the_same_seed_learns_the_same_and_another_another(corpus: Corpus, schedule: Schedule) -> None:
    first, again, other = (Pretraining(corpus, schedule, seed=seed).run() for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_on_compiled_functions_it_learns_as_much_and_goes_on_bit_for_bit(
    bfloat16: bool, corpus: Corpus, schedule: Schedule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled_lstm.library(torch.bfloat16 if bfloat16 else torch.float32) is None:
        pytest.skip("not compiled here, or not for this processor")
    monkeypatch.setattr(pretraining, "bfloat16_pays", lambda _: bfloat16)
    given = replace(schedule, hidden_dim=32, epochs=2)
    whole = Pretraining(corpus, given).run()
    with pytest.raises(Interrupted):
        Pretraining(corpus, given, 0, tmp_path, None, Watch(stop=stopping(70))).run()
    assert same(whole, Pretraining(corpus, given, 0, tmp_path).run())
    monkeypatch.setattr(compiled_lstm, "library", lambda _: None)
    by_torch = Pretraining(corpus, given).run()
    ours, theirs = (made.card["directions"][0]["perplexity"] for made in (whole, by_torch))
    assert ours == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("after", [1, 50, 120])
def test_a_stopped_pretraining_goes_on_bit_for_bit(
    after: int, corpus: Corpus, schedule: Schedule, unbroken: Pretrained, tmp_path: Path
) -> None:
    given = replace(schedule, epochs=2)
    with pytest.raises(Interrupted, match="run the same command"):
        Pretraining(corpus, given, 3, tmp_path, None, Watch(stop=stopping(after))).run()
    lines: list[str] = []
    resumed = Pretraining(corpus, given, 3, tmp_path, None, Watch(say=lines.append)).run()
    assert lines[0].startswith("forward: going on after")
    assert same(unbroken, resumed)
    (left,), (right,) = unbroken.card["directions"], resumed.card["directions"]
    assert [entry["loss"] for entry in left["history"]] == [entry["loss"] for entry in right["history"]]


def test_a_checkpoint_of_another_pretraining_is_not_taken(
    corpus: Corpus, schedule: Schedule, unbroken: Pretrained, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        Pretraining(corpus, schedule, 4, tmp_path, None, Watch(stop=stopping(3))).run()
    assert same(unbroken, Pretraining(corpus, replace(schedule, epochs=2), 3, tmp_path).run())


def test_a_language_model_that_grows_goes_on_from_what_the_smaller_one_does(encoder: Pretrained) -> None:
    words = torch.arange(2, 30).unsqueeze(1)
    vectors = torch.cat([encoder.embedding, torch.full((3, 8), 7.0)])
    known = torch.arange(len(vectors)) < len(encoder.embedding)
    torch.manual_seed(0)
    grown = LanguageModel(torch.ones(len(vectors)), 8, 13, 0.0)
    chance = grown.embedding.weight.detach().clone()
    grown.begin_as(vectors, known, encoder.lstms["forward"])
    assert torch.equal(grown.embedding.weight[:-3], encoder.embedding)
    assert torch.equal(grown.embedding.weight[-3:], chance[-3:]), "what it does not know begins by chance"
    small = torch.nn.LSTM(8, 8)
    small.load_state_dict(dict(encoder.lstms["forward"]))
    expected, states = small(encoder.embedding[words])[0], grown.lstm(grown.embedding(words))[0]
    torch.testing.assert_close(states[..., :8], expected)
    assert states[..., 8:].abs().mean() > 0.001


def test_the_card_tells_what_a_language_model_grew_from(
    corpus: Corpus, schedule: Schedule, encoder: Pretrained
) -> None:
    larger = replace(schedule, hidden_dim=12)
    grown = pretrain(corpus, larger, directions=("forward",), grown_from=encoder)
    alone = pretrain(corpus, larger, directions=("forward",))
    assert (grown.hidden_dim, alone.hidden_dim) == (12, 12)
    assert grown.card["grown_from"] == encoder.card
    assert "grown_from" not in alone.card
    assert not same(grown, alone)


def test_what_has_grown_from_one_encoder_is_not_gone_on_with_from_another(
    corpus: Corpus, schedule: Schedule, encoder: Pretrained, tmp_path: Path
) -> None:
    other = replace(encoder, card={**encoder.card, "fingerprint": "another"})
    larger = replace(schedule, hidden_dim=12)
    pretrain(corpus, larger, folder=tmp_path, directions=("forward",), grown_from=encoder)
    for begin, lines in ((encoder, 1), (other, 1 + larger.epochs - 1)):
        said: list[str] = []
        watch = Watch(say=said.append)
        pretrain(corpus, larger, folder=tmp_path, watch=watch, directions=("forward",), grown_from=begin)
        assert ("going on after 1 of 1 epochs" in said[0]) is (begin is encoder)
        assert len(said) == lines


@pytest.mark.parametrize(("vector", "units"), [(8, 7), (9, 8)])
def test_it_grows_and_does_not_shrink(
    vector: int, units: int, corpus: Corpus, schedule: Schedule, encoder: Pretrained
) -> None:
    asked = replace(schedule, embedding_dim=vector, hidden_dim=units)
    with pytest.raises(UsageError, match=f"8 and hidden_dim 8: no language model of {vector} and {units} grows"):
        pretrain(corpus, asked, grown_from=encoder)


def test_both_directions_share_the_words_of_the_first(corpus: Corpus, schedule: Schedule, encoder: Pretrained) -> None:
    forward = Pretraining(corpus, replace(schedule, direction="forward")).run().rounded()
    assert list(encoder.lstms) == ["forward", "backward"]
    assert torch.equal(encoder.embedding, forward.embedding)
    assert all(torch.equal(value, encoder.lstms["forward"][name]) for name, value in forward.lstms["forward"].items())
    assert [one["settings"]["direction"] for one in encoder.card["directions"]] == ["forward", "backward"]
    assert encoder.vocabulary == corpus.vocabulary
    assert not torch.equal(encoder.lstms["forward"]["weight_ih_l0"], encoder.lstms["backward"]["weight_ih_l0"])


@pytest.mark.parametrize("after", [20, 130])
def test_both_directions_go_on_bit_for_bit_on_another_day(
    after: int,
    corpus: Corpus,
    schedule: Schedule,
    encoder: Pretrained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Interrupted):
        pretrain(corpus, schedule, 0, tmp_path, Watch(stop=stopping(after)))
    monkeypatch.setattr("time.strftime", lambda *_: "2099-01-01")
    lines: list[str] = []
    resumed = pretrain(corpus, schedule, 0, tmp_path, Watch(say=lines.append))
    assert same(encoder, resumed)
    assert sum("going on" in line for line in lines) == (1 if after == 20 else 2)


def test_a_backward_corpus_has_every_text_from_its_end(corpus: Corpus) -> None:
    turned = corpus.backward
    assert len(turned.texts) == len(corpus.texts)
    for at in range(0, len(corpus.texts), 50):
        assert turned.texts[at].tolist() == corpus.texts[at].tolist()[::-1]
    assert (turned.vocabulary, turned.fingerprint) == (corpus.vocabulary, corpus.fingerprint)


def test_a_stream_is_the_texts_in_order_with_an_end_each(corpus: Corpus) -> None:
    stream = corpus.stream(np.array([4, 1]))
    assert stream.tolist() == [*corpus.texts[4].tolist(), 0, *corpus.texts[1].tolist(), 0]


def test_the_last_texts_are_never_learnt(corpus: Corpus, schedule: Schedule) -> None:
    assert corpus.learnt == 500 - HELD_OUT
    kept = len(corpus.texts.ids[: corpus.texts.offsets[corpus.learnt]])
    made = Pretraining(corpus, schedule).run()
    assert (made.card["texts"], made.card["words"]) == (300, kept)


def test_the_card_tells_what_was_learnt_and_how(corpus: Corpus, encoder: Pretrained, schedule: Schedule) -> None:
    card = encoder.card
    assert card["fingerprint"] == corpus.fingerprint
    assert card["versions"]["torch"] == torch.__version__
    for one in card["directions"]:
        assert one["settings"]["hidden_dim"] == schedule.hidden_dim
        assert one["arithmetic"] in ("float32", "bfloat16")
        assert len(one["history"]) == 1


def test_what_cannot_be_learnt_from_is_refused(schedule: Schedule) -> None:
    texts = made_up(train=500).to_learn_a_language_from
    with pytest.raises(UsageError, match=f"399 texts .* at least {2 * HELD_OUT} are needed"):
        Corpus.of(texts[:399], schedule)
    corpus = Corpus.of(texts, schedule)
    with pytest.raises(UsageError, match="words are too few: at least 20,000 are needed"):
        Pretraining(corpus, replace(schedule, words=1000)).run()
    with pytest.raises(UsageError, match="direction is one of forward, backward"):
        replace(schedule, direction="both")


def test_fewer_streams_are_read_side_by_side_where_there_is_little(corpus: Corpus, schedule: Schedule) -> None:
    few, many = (Pretraining(corpus, replace(schedule, streams=streams))._plan(0) for streams in (4, 500))
    assert few[0].shape[1] == 4
    assert 4 < many[0].shape[1] < 500
    assert LEAST_STEPS <= len(many) < len(few)


def test_a_loss_that_is_no_number_stops_the_pretraining(corpus: Corpus, schedule: Schedule) -> None:
    with pytest.raises(UsageError, match="smaller --learning-rate"):
        Pretraining(corpus, replace(schedule, learning_rate=math.inf)).run()
