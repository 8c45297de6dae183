"""Takes docs/page.png, the README's picture: the real page, served by `plaudit web`, in Chromium."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import FLAGS, chromium

TEXT = (
    "I expected to hate it, and I did not. The plot is predictable and the effects are weak,"
    " but the acting is superb, the music is beautiful, and the ending moved me to tears."
)


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 760})
        page.goto(address)
        page.fill("#review", TEXT)
        page.click("#submit")
        page.wait_for_selector("#verdict[data-state=done]")
        page.wait_for_timeout(800)
        page.mouse.move(5, 5)
        page.screenshot(path=Path(__file__).parent / "page.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
