"""Where this machine keeps Chromium, and how the tests start it. Knows no page."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The browser's path: ``PLAUDIT_CHROMIUM``, else the first that is installed; None where there is none."""
    return os.environ.get("PLAUDIT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
