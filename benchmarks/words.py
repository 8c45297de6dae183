"""Words and ids: the `original` cleaning against real BeautifulSoup and NLTK, one core.

First that the words are the same on all 100,000 IMDb texts; then how fast raw reviews become ids, beside the original's
function as it was written and beside the same with a stop-word set and remembered stems.
"""

from __future__ import annotations

import random
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.oracle import StopWords, words_as_written, words_with_memory
from benchmarks.results import save, spread
from plaudit.text.encoder import Encoder
from plaudit.text.vocabulary import INFREQUENT, Vocabulary
from plaudit.text.words import located_words, words

TEXT = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/\d+_\d+\.txt")
SIZE, MAX_WORDS = 5000, 500
SAMPLE, AS_WRITTEN, COMPARED, ROUNDS = 5_000, 300, 20, 3
ToIds = Callable[[str], list[int]]


def run(archive: Path) -> None:
    """Counts the texts on which the words differ, and times raw texts to ids."""
    texts = read(archive)
    differing = located_differ = count = 0
    for text in tqdm(texts, "comparing words", file=sys.stderr):
        ours = words(text, "original")
        differing += ours != words_with_memory(text)
        located_differ += [word.text for word in located_words(text, "original")] != ours
        count += len(ours)
    random.Random(0).shuffle(texts)
    vocabulary = Vocabulary.of((words(text, "original") for text in texts), SIZE)
    encoder = Encoder(vocabulary, "original", MAX_WORDS)
    ids_differ = sum(encoder.encode(text) != vocabulary.ids(words(text, "original")[:MAX_WORDS]) for text in texts)
    save(
        "words",
        {
            "texts": len(texts),
            "words": count,
            "texts_that_differ_from_the_oracle": differing,
            "texts_whose_located_words_differ": located_differ,
            "texts_whose_ids_are_not_their_words": ids_differ,
            **_speeds(texts, vocabulary),
        },
    )


def _speeds(texts: Sequence[str], vocabulary: Vocabulary) -> dict[str, object]:
    """Reviews a second to ids, each side in turn, once ours and the one with memory have met the texts before."""
    number = {word: index for index, word in enumerate(vocabulary.words, 2)}

    def to_ids(of: Callable[[str], list[str]]) -> ToIds:
        return lambda text: [number.get(word, INFREQUENT) for word in of(text)[:MAX_WORDS]]

    with tempfile.TemporaryDirectory() as folder:
        stop_words = StopWords(Path(folder))
        sides: dict[str, tuple[ToIds, Sequence[str]]] = {
            "plaudit": (Encoder(vocabulary, "original", MAX_WORDS).encode, texts[:SAMPLE]),
            "with_memory": (to_ids(words_with_memory), texts[:SAMPLE]),
            "as_written": (to_ids(lambda text: words_as_written(text, stop_words.words)), texts[:AS_WRITTEN]),
            "as_written_without_nltks_reader": (
                to_ids(lambda text: words_as_written(text, stop_words.plainly)),
                texts[:AS_WRITTEN],
            ),
        }
        ours = sides["plaudit"][0]
        for side, given in sides.values():
            assert all(side(text) == ours(text) for text in given[:COMPARED])
        for name in ("plaudit", "with_memory"):
            _rate(*sides[name])
        rounds = range(ROUNDS)
        rates = [{name: _rate(*side) for name, side in sides.items()} for _ in tqdm(rounds, "timing", file=sys.stderr)]
    return {
        "reviews_timed": {name: len(given) for name, (_, given) in sides.items()},
        "reviews_a_second": {name: spread([found[name] for found in rates]) for name in sides},
        "times_as_fast": {
            name: spread([found["plaudit"] / found[name] for found in rates]) for name in sides if name != "plaudit"
        },
    }


def _rate(to_ids: ToIds, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for text in texts:
        to_ids(text)
    return len(texts) / (time.perf_counter() - started)


def read(archive: Path) -> list[str]:
    """All 100,000 texts, the unlabelled ones among them."""
    found = []
    with tarfile.open(archive, "r|gz") as tar:
        for member in tqdm(tar, "reading the archive", 100_024, file=sys.stderr):
            file = tar.extractfile(member) if TEXT.fullmatch(member.name) else None
            if file is not None:
                found.append(file.read().decode("utf-8"))
    return found
