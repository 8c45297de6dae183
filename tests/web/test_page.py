"""The page in a real browser, in front of a real server and a trained model."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from plaudit.bundle.classifier import load
from plaudit.bundle.verdict import Verdict, WordContribution
from plaudit.errors import EndpointError
from plaudit.web.app import about, public_app
from tests.browser import FLAGS, chromium
from tests.live import live

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium here: apt-get install chromium"),
]
MIXED = "The plot is dull, but the acting is wonderful and the music is superb."


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The public app with the bundle that comes with Plaudit; a text can ask for a fault of what stands behind it."""
    classifier = load()

    def ask(text: str) -> Verdict:
        if "[busy]" in text:
            raise EndpointError("too many requests are waiting", 429, 2)
        if "[broken]" in text:
            raise EndpointError("the endpoint does not answer", 502)
        if "[slow]" in text:
            time.sleep(6)
        return classifier.verdict(text)

    card = classifier.card.with_metrics("test", {"accuracy": 0.875, "reviews": 100})
    with live(public_app(ask, about(card))) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """The page, freshly opened; it fails the test if it asks another server for anything or breaks its own policy."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    elsewhere: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if address not in request.url else None)
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    page.goto(address)
    yield page
    context.close()
    assert elsewhere == []
    assert complaints == []


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as found:
        yield found


def judge(page: Page, text: str) -> None:
    page.fill("#review", text)
    page.click("#submit")


def test_a_click_gives_a_verdict(page: Page) -> None:
    judge(page, "A wonderful film")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
    expect(page.locator("#label")).to_have_text(re.compile("positive", re.IGNORECASE))
    expect(page.locator("#probability")).to_have_text(re.compile(r"^>?\d\d%$"))


def test_an_answer_comes_while_one_types(page: Page) -> None:
    page.locator("#review").press_sequentially("Terrible, a boring waste of time", delay=5)
    expect(page.locator("#label")).to_have_text(re.compile("negative", re.IGNORECASE))


def test_the_words_that_tipped_it_are_highlighted_where_they_stand(page: Page) -> None:
    judge(page, "\U0001f3ac " + MIXED)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
    marked = page.locator("#highlighted mark").all_inner_texts()
    assert any("wonderful" in text for text in marked)
    assert any("dull" in text for text in marked)
    toward = page.locator("#highlighted mark", has_text="wonderful").get_attribute("data-toward")
    assert toward == "1"
    assert page.locator("#highlighted mark", has_text="dull").get_attribute("data-toward") == "0"
    summary = page.locator("#summary").inner_text()
    assert all(f"{word} (towards positive)" in summary for word in ("wonderful", "superb"))


@pytest.mark.parametrize("kind", ["easy", "negated", "ironic"])
def test_examples_can_be_tried(kind: str, page: Page) -> None:
    page.click(f"[data-example={kind}]")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
    assert len(page.input_value("#review")) > 40


def test_the_keyboard_is_enough(page: Page) -> None:
    page.focus("#review")
    page.keyboard.type("A superb and moving film")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#label")).to_have_text(re.compile("positive", re.IGNORECASE))


@pytest.mark.parametrize(
    ("text", "state", "sentence"),
    [("[busy]", "busy", "too many requests are waiting"), ("[broken]", "error", "the endpoint does not answer")],
)
def test_an_error_shows_as_an_error_and_never_as_a_verdict(text: str, state: str, sentence: str, page: Page) -> None:
    judge(page, "A wonderful film")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
    judge(page, text)
    expect(page.locator("#verdict")).to_have_attribute("data-state", state)
    expect(page.locator("#error")).to_contain_text(sentence)
    expect(page.locator("#judgement")).to_be_hidden()
    expect(page.locator("#retry")).to_be_visible()


def test_a_slow_answer_says_so_and_comes(page: Page) -> None:
    judge(page, "[slow] A wonderful film")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "slow", timeout=8000)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done", timeout=8000)


def test_offline_is_called_offline_and_being_back_is_noticed(page: Page) -> None:
    page.context.set_offline(True)
    judge(page, "A wonderful film")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "offline")
    page.context.set_offline(False)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")


def test_too_long_is_said_before_anything_is_sent(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    judge(page, "wonderful " * 105_000)
    expect(page.locator("#verdict")).to_have_attribute("data-state", "too-long")
    assert not any("/api/reviews" in url for url in asked)


def test_ten_thousand_words_are_cut_and_it_says_so(page: Page) -> None:
    judge(page, "wonderful " * 10_000)
    expect(page.locator("#notes")).to_contain_text("Only the first 1,000 of 10,000 words were read.")


def test_a_text_without_a_known_word_is_no_confident_verdict(page: Page) -> None:
    judge(page, "zzxx qqyy")
    expect(page.locator("#notes")).to_contain_text("No word of this text is known")
    expect(page.locator("#label")).not_to_have_text(re.compile("positive|negative", re.IGNORECASE))


def test_html_scripts_and_null_bytes_are_text(page: Page) -> None:
    hostile = (
        "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> wonderful \x00 film"
    )
    page.evaluate("text => { document.querySelector('#review').value = text }", hostile)
    page.click("#submit")
    expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
    assert "<script>" in page.locator("#highlighted").inner_text()
    assert page.locator("#highlighted img, #highlighted script").count() == 0
    assert "broken" not in page.title()


def test_the_models_card_is_shown(page: Page) -> None:
    expect(page.locator("#card")).to_contain_text("IMDb")
    expect(page.locator("#card")).to_contain_text(re.compile(r"8[78]"))
    expect(page.locator("#card")).to_contain_text("100")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1100])
def test_axe_finds_no_serious_fault(scheme: str, width: int, browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/", "/docs"):
        page.goto(address + path)
        if path == "/":
            judge(page, MIXED)
            expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
        else:
            expect(page.locator("#operations")).to_contain_text("/api/reviews")
        page.wait_for_timeout(400)
        faults = Axe().run(page).response["violations"]
        assert [f["id"] for f in faults if f["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_the_originals_page_works_against_the_api(browser: Browser, address: str) -> None:
    """It stood at another address, posted the raw text, and read a number from the body."""
    with live(public_app(load().verdict)) as elsewhere:
        page = browser.new_page()
        page.goto(elsewhere + "/api/model")
        answer = page.evaluate(
            "async url => (await fetch(url + '/', {method: 'POST', body: 'A wonderful film'})).text()", address
        )
        page.close()
    assert answer == "1.0"


STARS = ("one", "two", "three", "four", "five")


def stars(text: str) -> Verdict:
    """A verdict of five labels, or of twelve, that follows the contract: contributions are toward the label given."""
    labels = tuple(f"topic {i}" for i in range(12)) if "[many]" in text else STARS
    if "[unknown]" in text:
        even = dict.fromkeys(labels, 1 / len(labels))
        return Verdict(labels[0], 1 / len(labels), even, 0.0, 0.0, (), 1, 1, ("No word of this text is known.",))
    best = 0.3 if "[close]" in text else 0.6
    scores = {label: best if label == labels[3] else (1 - best) / (len(labels) - 1) for label in labels}
    if "[close]" in text:
        scores = {"one": 0.1, "two": 0.1, "three": 0.25, "four": 0.3, "five": 0.25}
    words = (
        WordContribution(text.index("superb"), text.index("superb") + 6, 2.0),
        WordContribution(text.index("dull"), text.index("dull") + 4, -1.0),
    )
    return Verdict(labels[3], best, scores, 1.2, 0.2, words, 6, 6, ())


@pytest.fixture(scope="module")
def stars_address() -> Iterator[str]:
    metrics = {"accuracy": 0.6, "f1": 0.55, "roc_auc": 0.8, "log_loss": 1.0, "reviews": 50, "split": "test"}
    told = {"name": "Stars", "labels": list(STARS), "metrics": metrics, "data": {"name": "stars.csv"}}
    with live(public_app(stars, told)) as url:
        yield url


@pytest.fixture
def starred(browser: Browser, stars_address: str) -> Iterator[Page]:
    with opened(browser, stars_address) as found:
        yield found


def test_of_more_labels_every_probability_is_a_bar(starred: Page) -> None:
    judge(starred, "The acting is superb, the plot dull.")
    expect(starred.locator("#label")).to_have_text("four")
    expect(starred.locator("#probability")).to_have_text("60%")
    expect(starred.locator("#meter")).to_be_hidden()
    assert starred.locator("#shares li").all_inner_texts() == [
        f"{label}\n{'60%' if label == 'four' else '10%'}" for label in STARS
    ]
    expect(starred.locator("#shares li.given .share-label")).to_have_text("four")
    starred.wait_for_timeout(600)
    widths = [
        starred.evaluate("bar => parseFloat(getComputedStyle(bar, '::before').inlineSize) / bar.clientWidth", bar)
        for bar in starred.locator(".share-bar").element_handles()
    ]
    assert widths == pytest.approx([0.1, 0.1, 0.1, 0.6, 0.1], abs=0.02)


def test_of_more_labels_words_pull_towards_the_label_given_or_against_it(starred: Page) -> None:
    judge(starred, "The acting is superb, the plot dull.")
    expect(starred.locator("#highlighted mark", has_text="superb")).to_have_attribute("data-toward", "1")
    dull = starred.locator("#highlighted mark", has_text="dull")
    expect(dull).to_have_attribute("data-toward", "0")
    expect(dull).to_have_attribute("title", "against four, 50% of the strongest pull")
    expect(starred.locator("#legend")).to_contain_text("towards four")
    expect(starred.locator("#legend")).to_contain_text("against four")
    expect(starred.locator("#summary")).to_contain_text("superb (towards four), dull (against four)")
    expect(starred.locator("#summary")).not_to_contain_text("Nearly even")


def test_a_close_verdict_and_an_unknown_text_say_so_of_more_labels_too(starred: Page) -> None:
    judge(starred, "[close] superb and dull")
    expect(starred.locator("#summary")).to_contain_text("Nearly even")
    judge(starred, "[unknown]")
    expect(starred.locator("#label")).to_have_text("Can’t tell")
    expect(starred.locator("#summary")).to_contain_text("To any such text it answers “one”, 20%.")


def test_of_many_labels_the_most_probable_are_shown_and_the_rest_are_summed(starred: Page) -> None:
    judge(starred, "[many] superb and dull")
    expect(starred.locator("#shares li")).to_have_count(9)
    expect(starred.locator("#shares li.given")).to_contain_text("topic 3")
    expect(starred.locator("#shares li").last).to_contain_text("4 other labels")
    expect(starred.locator("#shares li").last).to_contain_text("15%")


def test_the_card_says_that_figures_of_more_labels_are_means(starred: Page) -> None:
    expect(starred.locator("#card")).to_contain_text("F1, mean of the labels")
    expect(starred.locator("#card")).to_contain_text("one, two, three, four, five")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1100])
def test_axe_finds_no_serious_fault_with_more_labels(
    scheme: str, width: int, browser: Browser, stars_address: str
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(stars_address)
    for text in ("The acting is superb, the plot dull.", "[many] superb and dull", "[unknown]"):
        judge(page, text)
        expect(page.locator("#verdict")).to_have_attribute("data-state", "done")
        page.wait_for_timeout(500)
        faults = Axe().run(page).response["violations"]
        assert [f["id"] for f in faults if f["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
