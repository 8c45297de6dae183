"""Words: the `original` cleaning against real BeautifulSoup and NLTK, on all 100,000 IMDb texts."""

from __future__ import annotations

import re
import sys
import tarfile
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks.oracle import words_with_memory
from benchmarks.results import save
from plaudit.text.words import located_words, words

TEXT = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/\d+_\d+\.txt")


def run(archive: Path) -> None:
    """Counts the texts on which the words differ, and times both sides."""
    texts = read(archive)
    seconds = {"oracle": 0.0, "plaudit": 0.0}
    differing = located_differ = count = 0
    for text in tqdm(texts, "comparing words", file=sys.stderr):
        started = time.perf_counter()
        theirs = words_with_memory(text)
        middle = time.perf_counter()
        ours = words(text, "original")
        seconds["plaudit"] += time.perf_counter() - middle
        seconds["oracle"] += middle - started
        differing += ours != theirs
        located_differ += [word.text for word in located_words(text, "original")] != ours
        count += len(ours)
    save(
        "words",
        {
            "texts": len(texts),
            "words": count,
            "texts_that_differ_from_the_oracle": differing,
            "texts_whose_located_words_differ": located_differ,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "times_as_fast_as_the_oracle_with_memory": round(seconds["oracle"] / seconds["plaudit"], 2),
        },
    )


def read(archive: Path) -> list[str]:
    """All 100,000 texts, the unlabelled ones among them."""
    found = []
    with tarfile.open(archive, "r|gz") as tar:
        for member in tqdm(tar, "reading the archive", 100_024, file=sys.stderr):
            file = tar.extractfile(member) if TEXT.fullmatch(member.name) else None
            if file is not None:
                found.append(file.read().decode("utf-8"))
    return found
