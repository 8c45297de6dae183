"""The classifier: what it says of plain texts, that the reasons add up, and that it is the trained network."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch

from plaudit.bundle.bundle import Bundle
from plaudit.bundle.classifier import UNKNOWN, Classifier, load
from plaudit.learning.bundling import ROUGH_TOLERANCE
from plaudit.learning.export import restored
from plaudit.learning.network import Network
from plaudit.learning.recipes import Recipe
from plaudit.text.encoder import Encoder
from plaudit.text.encoding import pad
from plaudit.text.reviews import Reviews

PLAIN = {
    "positive": ["A wonderful film", "I loved it, a beautiful and moving story.", "Brilliant, funny and warm."],
    "negative": ["Terrible, a waste of time", "Dull, stupid and far too long.", "I hated every boring minute of it."],
}
MIXED = ["A wonderful film", "", "Dull. " * 700, "good", "xqzzy", "I loved it " * 40, "Terrible, a waste of time"]


@pytest.fixture(scope="module")
def original(original_bundle: Bundle) -> Classifier:
    return Classifier(original_bundle)


@pytest.fixture(scope="module", params=["lstm", "original"])
def either(request: pytest.FixtureRequest, classifier: Classifier, original: Classifier) -> Classifier:
    return classifier if request.param == "lstm" else original


@pytest.fixture(scope="module")
def texts(sample: Reviews) -> list[str]:
    return [review.text for review in sample.test]


def among_others(classifier: Classifier) -> float:
    """How far a score may move with the texts beside it: int8 states are rounded by the largest of a whole batch."""
    return 0.05 if classifier.card.recipe["weights"] == "int8" else 1e-6


@pytest.mark.parametrize(("label", "text"), [(label, text) for label, rows in PLAIN.items() for text in rows])
def test_plain_words_are_judged_as_people_judge_them(classifier: Classifier, label: str, text: str) -> None:
    verdict = classifier.verdict(text)
    assert verdict.label == label
    assert verdict.probability > 0.5
    assert classifier.predict([text]) == [label]


def test_the_words_that_matter_point_the_right_way(classifier: Classifier) -> None:
    text = "A wonderful film"
    parts = {text[word.start : word.end]: word.contribution for word in classifier.verdict(text).words}
    assert parts["wonderful"] > 0
    text = "Terrible, a waste of time"
    parts = {text[word.start : word.end]: word.contribution for word in classifier.verdict(text).words}
    assert min(parts["Terrible"], parts["waste"]) < 0


def test_most_of_the_held_out_reviews_are_judged_right(either: Classifier, sample: Reviews, texts: list[str]) -> None:
    right = np.mean([judged == review.label for judged, review in zip(either.predict(texts), sample.test, strict=True)])
    assert right > 0.65


def test_contributions_and_bias_add_up_to_the_score(either: Classifier, texts: list[str]) -> None:
    for verdict in either.verdicts([*texts, *MIXED]):
        total = verdict.bias + sum(word.contribution for word in verdict.words)
        assert total == pytest.approx(verdict.score, abs=1e-6)


def test_score_is_the_log_odds_of_the_probability(either: Classifier, texts: list[str]) -> None:
    first, second = either.classes_
    for verdict in either.verdicts([*texts, *MIXED]):
        assert math.log(verdict.scores[second] / verdict.scores[first]) == pytest.approx(verdict.score, abs=1e-6)
        assert sum(verdict.scores.values()) == pytest.approx(1, abs=1e-12)
        assert verdict.probability == verdict.scores[verdict.label] == max(verdict.scores.values())


def test_it_is_the_trained_network(either: Classifier, texts: list[str]) -> None:
    card = either.card
    settings = dict(card.recipe)
    del settings["kind"]
    recipe = Recipe.of(settings.pop("name"), **settings)
    network = Network(recipe, either.bundle.vocabulary.size, np.array(card.biases))
    network.load_state_dict(restored(safetensors.numpy.load(either.bundle.weights)))
    network.eval()
    encoder = Encoder(either.bundle.vocabulary, card.cleaning, card.max_words)
    rows = [encoder.encode(text) for text in texts]
    with torch.no_grad():
        lengths = torch.tensor([len(row) for row in rows])
        logits = network.logits(torch.from_numpy(pad(rows)), lengths).numpy()[:, 0]
    temperatures = np.array([card.temperature_of(len(row)) for row in rows])
    expected = card.biases[0] + (logits - card.biases[0]) / temperatures
    tolerance = 1e-4 if recipe.weights == "float32" else ROUGH_TOLERANCE * max(1, np.abs(expected).max())
    scores = [verdict.score for verdict in either.verdicts(texts)]
    np.testing.assert_allclose(scores, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("text", ["", "   ", "<br />", "xqzzy vrblgrmpf", "\x00", "..."])
@pytest.mark.parametrize("prior", [0.2, 0.5, 0.7])
def test_no_known_word_gives_the_prior_and_says_so(bundle: Bundle, text: str, prior: float) -> None:
    classifier = Classifier(replace(bundle, card=replace(bundle.card, priors=(1 - prior, prior))))
    verdict = classifier.verdict(text)
    assert verdict.scores == pytest.approx({"negative": 1 - prior, "positive": prior}, abs=1e-12)
    assert verdict.label == ("positive" if prior > 0.5 else "negative")
    assert (verdict.score,) == (verdict.bias,) == classifier.card.biases
    assert verdict.words == ()
    assert verdict.notes == (UNKNOWN,)
    np.testing.assert_allclose(classifier.predict_proba([text]), [[1 - prior, prior]], atol=1e-12)


def test_only_stop_words_give_the_prior(original: Classifier) -> None:
    verdict = original.verdict("this is what it was, and these were not")
    assert (verdict.score,) == original.card.biases
    assert (verdict.words, verdict.words_read, verdict.words_total, verdict.notes) == ((), 0, 0, (UNKNOWN,))


def test_unknown_words_are_counted_as_read(classifier: Classifier) -> None:
    verdict = classifier.verdict("xqzzy vrblgrmpf")
    assert (verdict.words_read, verdict.words_total) == (2, 2)


def test_unknown_words_among_known_ones_have_their_share(classifier: Classifier) -> None:
    text = "xqzzy wonderful vrblgrmpf"
    verdict = classifier.verdict(text)
    assert [text[word.start : word.end] for word in verdict.words] == text.split()
    assert verdict.notes == ()


def test_of_a_long_text_the_first_words_are_read(classifier: Classifier) -> None:
    verdict = classifier.verdict("good " * 10_000)
    assert (verdict.words_read, verdict.words_total, len(verdict.words)) == (1_000, 10_000, 1_000)
    assert verdict.notes == ("Only the first 1,000 of 10,000 words were read.",)
    assert verdict.score == pytest.approx(classifier.verdict("good " * 1_000).score, abs=1e-6)


def test_exactly_as_many_words_as_are_read_need_no_note(classifier: Classifier) -> None:
    assert classifier.verdict("good " * 1_000).notes == ()
    assert classifier.verdict("good " * 1_001).notes == ("Only the first 1,000 of 1,001 words were read.",)


def test_a_known_word_behind_the_last_that_is_read_does_not_count(classifier: Classifier) -> None:
    verdict = classifier.verdict("xqzzy " * 1_000 + "wonderful")
    assert (verdict.score,) == classifier.card.biases
    assert verdict.notes == (UNKNOWN, "Only the first 1,000 of 1,001 words were read.")


def test_predict_proba_is_the_verdicts_scores(either: Classifier) -> None:
    shares = either.predict_proba(MIXED)
    assert shares.shape == (len(MIXED), 2)
    verdicts = either.verdicts(MIXED)
    np.testing.assert_array_equal(
        shares, [[verdict.scores[label] for label in either.classes_] for verdict in verdicts]
    )
    assert either.predict(MIXED) == [verdict.label for verdict in verdicts]


def test_verdicts_without_words_are_the_same_otherwise(either: Classifier) -> None:
    explained = [replace(verdict, words=()) for verdict in either.verdicts(MIXED)]
    assert either.verdicts(MIXED, explain=False) == explained


def test_a_batch_is_judged_as_one_by_one_and_in_order(either: Classifier, texts: list[str]) -> None:
    many = [*MIXED, *texts, *MIXED[::-1]]
    together, alone = either.verdicts(many), [either.verdict(text) for text in many]
    tolerance = among_others(either)
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=tolerance)
        assert (one.words_total, one.notes) == (other.words_total, other.notes)
        assert one.label == other.label or abs(other.score) < tolerance
        parts = [[word.contribution for word in verdict.words] for verdict in (one, other)]
        assert len(parts[0]) == len(parts[1])
        if tolerance < 0.01:  # which of many like words holds a maximum is a matter of the last digit
            np.testing.assert_allclose(parts[0], parts[1], atol=tolerance)
    expected = np.concatenate([either.predict_proba([text]) for text in many])
    np.testing.assert_allclose(either.predict_proba(many), expected, atol=tolerance)


def test_the_order_of_texts_changes_nothing(classifier: Classifier, texts: list[str]) -> None:
    order = np.random.default_rng(3).permutation(len(texts))
    shuffled = classifier.predict_proba([texts[at] for at in order])
    np.testing.assert_allclose(shuffled, classifier.predict_proba(texts)[order], atol=among_others(classifier))


def test_no_texts_give_no_rows(classifier: Classifier) -> None:
    assert classifier.predict_proba([]).shape == (0, 2)
    assert classifier.proba_of_ids([]).shape == (0, 2)
    assert classifier.predict([]) == []
    assert classifier.verdicts([]) == []


@pytest.mark.parametrize(
    ("text", "surfaces"),
    [
        ("\U0001f600 A wonderful film", ["\U0001f600", "A", "wonderful", "film"]),
        ("\U0001f468\u200d\U0001f469 so <i>good</i>", ["\U0001f468", "\U0001f469", "so", "good"]),
        ("dull<br />but <br /><br />good!", ["dull", "but", "good", "!"]),
        ("caf\u00e9 &amp; na\u00efve, don\u2019t", ["caf\u00e9", "na\u00efve", "don\u2019t"]),
    ],
)
def test_spans_are_code_points_of_the_text_as_it_was_sent(
    classifier: Classifier, text: str, surfaces: list[str]
) -> None:
    assert [text[word.start : word.end] for word in classifier.verdict(text).words] == surfaces


def test_spans_of_the_original_cleaning_are_of_the_text_as_it_was_sent(original: Classifier) -> None:
    text = "\U0001f600 It was a Wonderful <br />film, and \U0001f600 well<br />made"
    surfaces = [text[word.start : word.end] for word in original.verdict(text).words]
    assert surfaces == ["Wonderful", "film", "well<br />made"]


def test_html_is_read_as_its_text(classifier: Classifier) -> None:
    plain, marked = classifier.verdict("A wonderful film"), classifier.verdict("<p>A <b>wonderful</b> film</p>")
    assert marked.score == pytest.approx(plain.score, abs=1e-6)


def test_several_threads_get_the_same_answers(classifier: Classifier, texts: list[str]) -> None:
    chosen = texts[:40] * 3
    expected = [classifier.verdict(text) for text in chosen]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(classifier.verdict, chosen)) == expected


def test_a_text_is_judged_the_same_whatever_stands_beside_it(bundle: Bundle, texts: list[str]) -> None:
    some = [" ".join(texts[:at]) for at in range(0, 60, 3)]
    one_by_one = [Classifier(bundle, threads=1).verdict(text) for text in some]
    for threads in (1, 3):
        assert Classifier(bundle, threads=threads).verdicts(some) == one_by_one


def test_a_bundle_is_loaded_from_its_path(bundle: Bundle, classifier: Classifier) -> None:
    assert bundle.path
    loaded = load(bundle.path)
    assert loaded.verdict("A wonderful film") == classifier.verdict("A wonderful film")
    assert loaded.classes_ == ("negative", "positive")


def test_encoded_texts_score_as_their_texts(original: Classifier, texts: list[str]) -> None:
    encoder = Encoder(original.bundle.vocabulary, "original", 500)
    rows = [encoder.encode(text) for text in texts]
    np.testing.assert_array_equal(original.proba_of_ids([*rows, []])[:-1], original.predict_proba(texts))
    np.testing.assert_allclose(original.proba_of_ids([[]]), [original.card.priors])
