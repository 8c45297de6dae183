"""The deletion curve, of classifiers that count words by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pytest

from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.evaluation.deletion import REMOVED, Deletion, Removal, deletion_curve

WEIGHTS = {"good": {"yes": 3.0}, "fine": {"yes": 1.0}, "bad": {"no": 3.0}, "poor": {"no": 1.0}, "odd": {"maybe": 2.0}}
PLAIN = "the and with some of a film that is here to be seen".split()
Verdicts = Callable[[Sequence[str], bool], list[Verdict]]


def counting(
    labels: tuple[str, ...], weights: Mapping[str, Mapping[str, float]] = WEIGHTS, limit: int = 500
) -> Verdicts:
    """A classifier whose logits are sums of ``weights``; its contributions follow the contract of verdicts."""

    def judge(text: str, explain: bool) -> Verdict:
        spans = list(re.finditer(r"\w+", text))
        read = spans[:limit]
        evidence = np.array([[weights.get(word[0], {}).get(label, 0.0) for label in labels] for word in read])
        logits = evidence.reshape(-1, len(labels)).sum(axis=0)
        powers = np.exp(logits - logits.max())
        shares = powers / powers.sum()
        best = int(shares.argmax())
        toward = [
            row[1] - row[0] if len(labels) == 2 else row[best] - row.mean() for row in evidence.reshape(-1, len(labels))
        ]
        words = [WordContribution(*word.span(), float(part)) for word, part in zip(read, toward, strict=True)]
        return Verdict(
            labels[best], float(shares[best]), dict(zip(labels, shares.tolist(), strict=True)), float(sum(toward)), 0.0,
            tuple(words) if explain else (), len(read), len(spans), (),
        )  # fmt: skip

    return lambda texts, explain: [judge(text, explain) for text in texts]


def texts_of(words: Iterable[str], count: int = 40, length: int = 20) -> list[str]:
    """Texts of plain words with one of ``words`` each, at a random place."""
    random = np.random.default_rng(3)
    found = []
    for _, word in zip(range(count), [*words] * count, strict=False):
        text = [str(plain) for plain in random.choice(PLAIN, length - 1)]
        text.insert(int(random.integers(length)), word)
        found.append(" ".join(text))
    return found


def measured(texts: Sequence[str], verdicts: Verdicts, draws: int = 3, seed: int = 0) -> Deletion:
    found = deletion_curve(texts, verdicts, draws=draws, seed=seed)
    assert found is not None
    return found


def test_the_words_that_count_change_every_verdict_and_random_ones_few() -> None:
    # Without its one word each verdict falls back on the first label, so texts of the others show the curve.
    found = measured(texts_of(["bad", "odd"]), counting(("yes", "no", "maybe")))
    assert [step.removed for step in found.curve] == [0.0, *REMOVED]
    assert [step.changed for step in found.curve] == [0.0] + [1.0] * len(REMOVED)
    at_random = [step.changed_at_random for step in found.curve]
    assert at_random == sorted(at_random)
    assert at_random[-1] == pytest.approx(0.5, abs=0.15)
    assert found.curve[0].probability == found.curve[0].probability_at_random > 0.7
    assert found.curve[1].probability == pytest.approx(1 / 3)
    assert (found.texts, found.draws) == (40, 3)


@pytest.mark.parametrize("labels", [("no", "yes"), ("yes", "no")])
def test_of_two_labels_the_words_for_the_label_given_go_first(labels: tuple[str, str]) -> None:
    # Ten words: each share removes the next strongest for the label given, wherever that label stands.
    text = "good fine fine poor the the the the the the"
    found = measured([text], counting(labels))
    (given,) = counting(labels)([text], False)
    assert given.label == "yes"
    logits = [4.0, 1.0, 1.0, 0.0, -1.0, -1.0]  # without 0, 1, 1, 2, 3 and 5 of them
    assert [step.probability for step in found.curve] == pytest.approx([1 / (1 + math.exp(-x)) for x in logits])
    assert [step.changed for step in found.curve[4:]] == [1.0, 1.0]


def test_of_more_labels_words_against_the_label_given_stay_longest() -> None:
    text = "odd odd odd good the the the the the the"
    found = measured([text], counting(("yes", "no", "maybe")))
    before, after = found.curve[0], found.curve[3]
    assert before.probability == pytest.approx(math.exp(6) / (math.exp(6) + math.exp(3) + 1))
    assert after.removed == 0.2
    assert after.probability == pytest.approx(math.exp(2) / (math.exp(2) + math.exp(3) + 1))
    assert after.changed == 1.0


def test_contributions_that_mean_nothing_are_no_better_than_chance() -> None:
    honest = counting(("yes", "no"))

    def shuffled(texts: Sequence[str], explain: bool) -> list[Verdict]:
        random = np.random.default_rng(len(texts[0]))
        found = []
        for verdict in honest(texts, explain):
            parts = random.permutation([word.contribution for word in verdict.words]).tolist()
            words = [WordContribution(w.start, w.end, part) for w, part in zip(verdict.words, parts, strict=True)]
            rest = {**{name: getattr(verdict, name) for name in verdict.__slots__}, "words": tuple(words)}
            found.append(Verdict(**rest))
        return found

    texts = texts_of(["bad"], 100)
    assert measured(texts, honest, draws=5).area > 0.5
    assert measured(texts, shuffled, draws=5).area == pytest.approx(0, abs=0.1)


def test_the_area_of_a_case_by_hand() -> None:
    # The verdict changes at once; of two words any share takes one, and a random one is the right one or is not.
    found = measured(["bad the"], counting(("yes", "no")), draws=1)
    gaps = [step.changed - step.changed_at_random for step in found.curve]
    assert set(gaps[1:]) <= {0.0, 1.0}
    assert len(set(gaps[1:])) == 1
    assert found.area == pytest.approx(gaps[1] * 0.95)


def test_words_that_were_not_read_stay_out_of_it() -> None:
    text = "bad " + "the " * 9 + "good " * 50
    asked: list[str] = []
    classifier = counting(("yes", "no"), limit=10)

    def verdicts(texts: Sequence[str], explain: bool) -> list[Verdict]:
        asked.extend(texts)
        return classifier(texts, explain)

    found = measured([text], verdicts)
    assert found.curve[1].changed == 1.0
    assert asked[0] == text
    assert not any("good" in other for other in asked[1:])


def test_a_word_is_removed_where_it_stands_and_joins_no_others() -> None:
    seen: list[str] = []
    classifier = counting(("yes", "no"))

    def verdicts(texts: Sequence[str], explain: bool) -> list[Verdict]:
        seen.extend(texts)
        return classifier(texts, explain)

    measured(["\U0001f3ac the,bad;the\n"], verdicts, draws=1)
    assert "\U0001f3ac the, ;the\n" in seen


def test_it_is_the_same_with_the_same_seed_and_of_a_sample() -> None:
    texts, classifier = texts_of(["bad", "good", "poor"], 90), counting(("yes", "no"))
    first, again, other = (deletion_curve(texts, classifier, most=30, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first is not None
    assert first.texts == 30


def test_texts_without_a_known_word_are_left_out() -> None:
    verdicts = counting(("yes", "no"))

    def prior(texts: Sequence[str], explain: bool) -> list[Verdict]:
        return verdicts(texts, explain and "bad" in texts[0])

    assert deletion_curve(["the film", "some film"], prior) is None
    assert deletion_curve([], prior) is None
    assert measured(["the film", "bad film"], prior).texts == 1


def test_it_is_plain_json_and_tells_of_progress() -> None:
    told: list[tuple[str, int | None]] = []

    def track(items: Iterable[str], what: str, total: int | None = None) -> Iterable[str]:
        told.append((what, total))
        return items

    found = deletion_curve(texts_of(["bad"], 5), counting(("yes", "no")), track=track)  # type: ignore[arg-type]
    assert found is not None
    assert told == [("removing words", 5)]
    parsed = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert set(parsed) == {"texts", "draws", "area", "curve"}
    assert set(parsed["curve"][0]) == set(Removal.__dataclass_fields__)
