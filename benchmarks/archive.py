"""Where the IMDb archive lies on this machine. Knows the three places that are looked at."""

from __future__ import annotations

import os
from pathlib import Path

from plaudit.text.download import cache_folder

NAME = "aclImdb_v1.tar.gz"


def find() -> Path | None:
    """The archive named by ``PLAUDIT_IMDB``, else beside the project in shared/data, else in the cache."""
    beside = Path(__file__).parents[2] / "shared" / "data" / NAME
    for path in (Path(os.environ.get("PLAUDIT_IMDB", "")), beside, cache_folder() / NAME):
        if path.is_file():
            return path
    return None
