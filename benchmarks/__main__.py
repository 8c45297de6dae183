"""`python -m benchmarks [NAME …]`: every benchmark of minutes, or those that are named."""

from __future__ import annotations

import importlib
import signal
import sys

from benchmarks.aims import table
from benchmarks.archive import find

NAMES = {
    "words": "words identical to the oracle's on 100,000 texts, 5 minutes",
    "preparing": "archive to encoded data set, and the memory of a table of a million reviews, 3 minutes",
    "training": "an epoch against the original's loop, 5 minutes",
    "learning": "gradients of networks that learn, beside torch's LSTM, 3 minutes",
    "judging": "reviews judged by networks that learn, beside torch, 4 minutes",
    "road": "archive to a model against the original's road, 6 minutes",
    "accuracy": "three seeds on IMDb, and the endpoint against the process, 30 minutes",
    "small_data": "every recipe with 200, 1,000 and 5,000 reviews, five draws of each, an hour",
    "ladder": "every recipe on IMDb from archive to test figures, hours",
    "serving": "one review a request over HTTP, beside four frameworks, 9 minutes",
    "starting": "a server's first answer, memory and size on disk, 3 minutes",
    "function": "the Lambda function's zip: size, and a fresh process's first answer, 1 minute",
}
WITHOUT_ARCHIVE = {"function", "serving", "starting"}
BY_NAME = {"accuracy", "small_data", "ladder"}


def main(chosen: list[str]) -> int:
    unknown = [name for name in chosen if name not in NAMES]
    if unknown or "--help" in chosen:
        print("benchmarks:", *(f"  {name:<10} {what}" for name, what in NAMES.items()), sep="\n")
        return 2 if unknown and unknown != ["--help"] else 0
    archive = find()
    if archive is None and not set(chosen or NAMES) <= WITHOUT_ARCHIVE:
        print("the benchmarks need the IMDb archive: plaudit up imdb downloads it, or name it with PLAUDIT_IMDB")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers that it started end with it
    for name in chosen or [name for name in NAMES if name not in BY_NAME]:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").run(archive)
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
