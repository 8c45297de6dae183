"""Archive to encoded data set: `plaudit prepare`, cold, beside the original's road with its words remembered.

Both read the archive, clean and count the words of the training half, choose 5,000, and write each review as ids. The
test half is read too, by ours to leave its texts out of training. Then how much memory ever longer tables take.
"""

from __future__ import annotations

import csv
import random
import re
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from benchmarks.oracle import words_with_memory
from benchmarks.processes import timed
from benchmarks.results import save, spread
from plaudit.text.sources import read_reviews

ROUNDS = 3
MEMBER = re.compile(r"aclImdb/(train|test)/(?:pos|neg)/\d+_\d+\.txt")
TABLES = (10_000, 100_000, 1_000_000)
SHORTENED = 200


def run(archive: Path) -> None:
    """Times both in turn, each in a process of its own, then prepares tables of IMDb's own training texts."""
    ours, theirs, memory = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in tqdm(range(ROUNDS), "preparing", file=sys.stderr):
            taken, held = timed("plaudit", "prepare", str(archive), "--recipe", "original", "--out", f"{folder}/{turn}")
            ours.append(taken)
            memory.append(held)
            theirs.append(timed("benchmarks.preparing", str(archive), f"{folder}/ids.csv")[0])
        tables = [_table(archive, folder, rows) for rows in tqdm(TABLES, "tables", file=sys.stderr)]
    save(
        "preparing",
        {
            "reviews": 50_000,
            "seconds": {"plaudit": spread(ours), "original_with_memory": spread(theirs)},
            "times_as_fast": spread([other / own for other, own in zip(theirs, ours, strict=True)]),
            "megabytes_at_most": spread(memory),
            "tables": tables,
        },
    )


def original(archive: str, out: str) -> None:
    """The original's road, with a set of stop words and remembered stems."""
    texts: dict[str, list[str]] = {"train": [], "test": []}
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            match = MEMBER.fullmatch(member.name)
            file = tar.extractfile(member) if match else None
            if match and file:
                texts[match[1]].append(file.read().decode("utf-8"))
    found = [words_with_memory(text) for text in texts["train"]]
    counts = Counter(word for row in found for word in row)
    number = {word: at for at, (word, _) in enumerate(counts.most_common(4_998), 2)}
    with Path(out).open("w", newline="") as written:
        writer = csv.writer(written)
        for row in found:
            ids = [number.get(word, 1) for word in row[:500]]
            writer.writerow([len(ids), *ids, *[0] * (500 - len(ids))])


def _table(archive: Path, folder: Path, rows: int) -> dict[str, float]:
    """Prepares a CSV of so many reviews: parts of IMDb's, and a few words by chance so that hardly two are the same."""
    path = folder / "table.csv"
    chance = random.Random(0)
    reviews = read_reviews(str(archive)).train
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for _ in range(rows):
            review = reviews[chance.randrange(len(reviews))]
            words = review.text.split()
            begin = chance.randrange(max(1, len(words) - SHORTENED))
            writer.writerow((" ".join(words[begin : begin + SHORTENED] + chance.choices(words, k=5)), review.label))
    seconds, megabytes = timed("plaudit", "prepare", str(path), "--recipe", "original", "--out", f"{folder}/{rows}")
    return {"reviews": rows, "seconds": round(seconds, 1), "megabytes_at_most": round(megabytes)}


if __name__ == "__main__":
    original(sys.argv[1], sys.argv[2])
