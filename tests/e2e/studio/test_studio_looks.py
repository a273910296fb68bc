"""Languages, colours, phones, screen readers, size: every page in every dress."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from page_checks import foreign_words
from playwright.sync_api import Locator, Page, expect
from studio_stage import (
    BIGGER,
    DESKTOP,
    PHONE,
    Models,
    Studio,
    field_of,
    finished,
    ready,
    say,
    serious,
)

from kataribe.base.errors import ProviderError
from kataribe.run.providers.scripted import Reply

RICH = """# A heading

Words with `code`, **weight** and a [link](https://example.org).

- [x] done
- [ ] open

| model | tokens/s |
|:------|---------:|
| small |     31.2 |

```python
print("語り部")
```

![a cat](https://example.org/cat.png?conversation=secret)

<img src="https://example.org/pixel.png"><script>document.title = "broken"</script>
<style>body { display: none }</style>
"""

# Language, darkness, phone: each pair of choices meets in one of the four.
DRESSES = [
    ("en-US", False, False),
    ("ja-JP", True, True),
    pytest.param("ja-JP", True, False, marks=pytest.mark.slow),
    pytest.param("en-US", False, True, marks=pytest.mark.slow),
]
MIRRORED = "\u202e"


def _page(studio: Studio, path: str, locale: str, dark: bool, phone: bool) -> Page:
    viewport = PHONE if phone else DESKTOP
    return studio.open(path, locale=locale, dark=dark, viewport=viewport, touch=phone)


def _overflow(page: Page) -> list[str]:
    """Elements that stick out of the page sideways."""
    return list(
        page.evaluate(
            "[...document.querySelectorAll('main *')].filter((at) => {"
            " const box = at.getBoundingClientRect();"
            " return box.width > 1 && box.right > innerWidth + 1"
            "   && !at.closest('pre, .wide, .unseen'); }).map((at) => at.outerHTML.slice(0, 120))"
        )
    )


@pytest.mark.parametrize(("locale", "dark", "phone"), DRESSES)
def test_nothing_serious_for_axe_and_nothing_sticks_out(
    studio: Studio, models: Models, locale: str, dark: bool, phone: bool
) -> None:
    models.answer = lambda request: Reply(RICH, reasoning="Hm.", reason="length")
    page = _page(studio, "/", locale, dark, phone)
    ready(page)
    assert serious(page) == [], "the empty chat"
    say(page, "とても長いメッセージ " * 8)
    finished(page)
    models.answer = ProviderError("It broke.")
    say(page, "And now?")
    finished(page, 2)
    assert serious(page) == [], "the chat"
    assert _overflow(page) == []
    _look_at_the_list(page, phone)
    for path in (
        "/search?q=123",
        "/models",
        "/jobs",
        "/memory",
        "/settings",
        "/sign-in",
        "/nowhere",
    ):
        page.goto(studio.stage.address + path)
        expect(page.locator("h1")).to_be_visible()
        if path == "/settings":
            expect(page.locator(".sizes").first).to_be_visible()
        if path == "/models":
            expect(page.locator("table.models")).to_be_visible()
        assert serious(page) == [], path
        assert _overflow(page) == [], path


def _look_at_the_list(page: Page, phone: bool) -> None:
    """The list of conversations with a menu open; on a phone in its drawer."""
    if phone:
        page.locator("header.bar button[aria-haspopup=dialog]").first.click()
    row = page.locator(".sidebar .rows li").first
    row.hover()
    row.locator("button").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert serious(page) == [], "the list"
    page.keyboard.press("Escape")
    if phone:
        page.keyboard.press("Escape")


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_every_page_speaks_its_language_only(studio: Studio, models: Models, locale: str) -> None:
    models.answer = "1 2 3"
    page = studio.open("/", locale=locale)
    expect(page.locator("html")).to_have_attribute("lang", locale[:2])
    say(page, "123")
    finished(page)
    for path in (
        None,
        "/chat/nowhere",
        "/search?q=1",
        "/search?q=zz",
        "/models",
        "/jobs",
        "/memory",
        "/settings",
        "/sign-in",
        "/nowhere",
        "/chat?list=deleted",
    ):
        if path is not None:
            page.goto(studio.stage.address + path)
            expect(page.locator("h1, .teach").first).to_be_attached()
            if path == "/models":
                expect(page.locator("table.models")).to_be_visible()
            if path == "/settings":
                expect(page.locator(".sizes").first).to_be_visible()
        else:
            _look_at_the_list(page, phone=False)
            page.locator(".sidebar .rows li button").first.click()
            expect(page.get_by_role("menu")).to_be_visible()
        assert foreign_words(page.locator("body"), locale) == [], path


def test_language_and_colours_are_chosen_and_kept(studio: Studio) -> None:
    page = studio.open("/settings")
    page.get_by_label("日本語").check()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.get_by_role("heading", name="設定")).to_be_visible()
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_label("暗い").check()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert light != dark
    family = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert family.startswith('"Hiragino Sans"')
    leading = page.evaluate(
        "parseFloat(getComputedStyle(document.body).lineHeight)"
        " / parseFloat(getComputedStyle(document.body).fontSize)"
    )
    assert leading == pytest.approx(1.7)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("heading", name="設定")).to_be_visible()


def test_a_models_markdown_reaches_nothing_and_breaks_nothing(
    studio: Studio, models: Models
) -> None:
    models.answer = RICH
    page = studio.open()
    say(page, "Show.")
    reply = finished(page)
    expect(reply.locator("table")).to_contain_text("31.2")
    expect(reply.locator("pre")).to_have_text('print("語り部")\n', use_inner_text=False)
    expect(reply.locator("img")).to_have_count(0)
    expect(reply.locator("a.image")).to_contain_text("Image from example.org, not loaded")
    expect(reply).to_contain_text("<script>")
    expect(page).to_have_title("Show. · Kataribe")
    # `studio` fails the test if anything was asked from another address.


HOSTILE = {
    "script": "<script>alert(1)</script>" * 50,
    "fence": "```\nnever closed " + "x" * 20_000,
    "table": "| " + " | ".join(["wide"] * 200) + " |\n" + "|-" * 200 + "|\n",
    "mirrored": MIRRORED + "right to left",
    "marks": "e" + "\u0301" * 20_000,
    "quotes": "> " * 500 + "deep",
    "lists": "".join("  " * depth + "- deep\n" for depth in range(60)),
    "brackets": "[" * 2000 + "x" + "]" * 2000,
    "stars": "*" * 5000,
    "nul": "\0 nul \ud7ff",
}


def _answered(page: Page, question: str) -> Locator:
    """The reply to the newest question. They are not counted: of many only those near are shown."""
    expect(page.locator("article.question").last).to_contain_text(question)
    expect(page.locator("article.reply[aria-busy=true]")).to_have_count(0)
    reply = page.locator("article.reply").last
    expect(reply.locator("footer")).to_be_visible()
    return reply


def test_output_made_to_break_the_page_does_not(studio: Studio, models: Models) -> None:
    page = studio.open()
    for name, hostile in HOSTILE.items():
        models.answer = hostile
        say(page, name)
        _answered(page, name)
        expect(field_of(page)).to_be_in_viewport()
        assert _overflow(page) == [], name
    models.answer = "Calm."
    say(page, "And now?")
    expect(_answered(page, "And now?")).to_contain_text("Calm.")
    expect(page).to_have_title("script · Kataribe")


def test_the_small_model_is_honest_about_japanese(studio: Studio, models: Models) -> None:
    page = studio.open()
    notice = page.locator("aside.notice")
    expect(notice).to_contain_text("hardly speaks Japanese")
    expect(notice).to_contain_text(f"kataribe models pull {BIGGER}")
    assert "warn" not in (notice.get_attribute("class") or "")
    notice.get_by_role("button", name="Close this notice").click()
    expect(notice).to_have_count(0)
    field_of(page).fill("こんにちは")
    expect(notice).to_contain_text("This small model speaks English only")
    expect(notice).to_have_class(re.compile("warn"))
    notice.get_by_role("button", name="Close this notice").click()
    page.reload()
    ready(page)
    expect(notice).to_have_count(0)


def test_in_japanese_the_notice_is_plain_from_the_start(studio: Studio, models: Models) -> None:
    models.names_shown = ["smollm2-135m", BIGGER]
    page = studio.open(locale="ja-JP")
    notice = page.locator("aside.notice.warn")
    expect(notice).to_be_in_viewport()
    expect(notice).to_contain_text("日本語をほとんど話せません")
    notice.get_by_role("button", name=f"{BIGGER} を使う").click()
    expect(notice).to_have_count(0)
    expect(page.locator(".picker select")).to_have_value(BIGGER)


def test_the_models_page_says_what_is_loaded(studio: Studio, models: Models) -> None:
    page = studio.open("/models")
    rows = page.locator("table.models tbody tr")
    expect(rows.nth(0)).to_contain_text("In memory")
    expect(rows.nth(0)).to_contain_text("8,192 tokens")
    expect(rows.nth(1)).to_contain_text("On disk")
    page.get_by_role("button", name="Chat with storyteller").click()
    say(page, "Hi")
    expect(finished(page).locator(".who")).to_have_text("storyteller")


def test_the_key_is_shown_as_set_or_not_set_only(studio: Studio) -> None:
    page = studio.open("/settings")
    expect(page.get_by_text("No key is set.")).to_be_visible()
    page.get_by_label("Key", exact=True).fill("sesame-open")
    page.get_by_role("button", name="Save the key").click()
    expect(page.get_by_text("A key is set.")).to_be_visible()
    assert "sesame-open" not in page.content()
    expect(page.get_by_label("Key", exact=True)).to_have_value("")
    page.get_by_role("button", name="Remove the key").click()
    expect(page.get_by_text("No key is set.")).to_be_visible()


FAKE_VIEW = """
const view = new EventTarget();
Object.assign(view, { height: 844, width: 390, offsetTop: 0, scale: 1 });
Object.defineProperty(window, "visualViewport", { value: view });
"""


def test_on_a_phone_the_composer_stays_above_the_keyboard(studio: Studio) -> None:
    page = studio.open(viewport=PHONE, touch=True, init=FAKE_VIEW)
    ready(page)
    rail = page.locator("nav.rail")
    box = rail.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] == PHONE["height"], "the rail is no bar at the bottom"
    # Safari: the page keeps its height, the keyboard covers it and scrolls the visual viewport.
    page.evaluate(
        "Object.assign(visualViewport, { height: 480, offsetTop: 40 });"
        " visualViewport.dispatchEvent(new Event('resize'))"
    )
    composer = page.locator(".composer").bounding_box()
    assert composer is not None
    assert composer["y"] >= 40
    assert composer["y"] + composer["height"] <= 520
    expect(rail).to_be_hidden()
    page.evaluate(
        "Object.assign(visualViewport, { height: 844, offsetTop: 0 });"
        " visualViewport.dispatchEvent(new Event('resize'))"
    )
    expect(rail).to_be_visible()


def test_on_android_the_page_itself_shrinks(studio: Studio) -> None:
    page = studio.open(viewport=PHONE, touch=True)
    ready(page)
    page.set_viewport_size({"width": 390, "height": 480})
    composer = page.locator(".composer").bounding_box()
    assert composer is not None
    assert composer["y"] + composer["height"] <= 480
    expect(page.locator("nav.rail")).to_be_hidden()


def test_screen_readers_hear_sentences_politely(studio: Studio, models: Models) -> None:
    models.answer = Reply("One is here. Two is here. Three is here.", pace=0.3)
    page = studio.open()
    ready(page)
    page.evaluate(
        "window.heard = []; new MutationObserver(() => window.heard.push(document.querySelector("
        "'.dock > [aria-live=polite]').textContent)).observe(document.querySelector("
        "'.dock > [aria-live=polite]'), { childList: true, characterData: true, subtree: true })"
    )
    page.get_by_role("button", name="What is the capital of Japan?").click()
    finished(page)
    live = page.locator(".dock > [aria-live=polite]")
    expect(live).to_contain_text("The reply is complete.")


def test_motion_is_still_when_asked(studio: Studio, models: Models) -> None:
    models.hold = 0
    page = studio.open()
    say(page, "Wait.")
    pulse = page.locator(".pulse")
    assert pulse.evaluate("(at) => getComputedStyle(at).animationName") == "none"


def test_the_built_page_names_nothing_from_elsewhere(built: Path) -> None:
    page_text = html.unescape((built / "index.html").read_text(encoding="utf-8"))
    assert not re.search(r"<script(?![^>]*src=)", page_text), "an inline script"
    assert not re.search(r"<style|\sstyle=", page_text), "an inline style"
    for text in (page_text, *(path.read_text("utf-8") for path in built.rglob("*.css"))):
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//|@import", text)
        for address in re.findall(r"url\(\s*['\"]?([^)'\"]*)", text):
            assert address.startswith(("/assets/", "data:image/svg+xml", "#", "%23")), address


def test_a_menu_stays_open_while_words_come(studio: Studio, models: Models) -> None:
    models.answer = "\n\n".join(f"Line {at}" for at in range(25))
    page = studio.open(viewport={"width": 1280, "height": 600})
    say(page, "First")
    finished(page)
    models.hold = 3
    say(page, "Second")
    expect(page.locator("article.reply").last).to_contain_text("Line")
    button = page.locator("article.reply").first.get_by_role("button", name="More")
    button.press("Enter")
    first = page.locator(".menu-list button").first
    expect(first).to_be_focused()
    scroller = page.locator(".scroller")
    # From the list's end to its button, however many entries it has by now.
    apart = """(at) => at.closest('.menu').getBoundingClientRect().top
                       - at.getBoundingClientRect().bottom"""
    scroller.evaluate("(at) => at.scrollBy(0, -30)")
    page.wait_for_timeout(100)
    expect(first).to_be_focused()
    for _ in range(50):
        if first.locator("..").evaluate(apart) == pytest.approx(4, abs=2):
            break
        page.wait_for_timeout(100)
    assert first.locator("..").evaluate(apart) == pytest.approx(4, abs=2)
    scroller.evaluate("(at) => at.scrollTo(0, at.scrollHeight)")  # and so follow what comes
    models.go.set()
    finished(page, 2)
    expect(first).to_have_count(0)
    expect(button).to_be_focused()


def test_a_menu_gives_the_focus_back(studio: Studio) -> None:
    page = studio.open(touch=True)  # where nothing goes to the field unasked
    say(page, "Hello")
    button = finished(page).get_by_role("button", name="More")
    button.press("Enter")
    expect(page.locator(".menu-list button").first).to_be_focused()
    button.evaluate("(at) => at.click()")
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")


def test_all_keys_are_listed(studio: Studio) -> None:
    for locale in ("en-US", "ja-JP"):
        page = studio.open("/settings", locale=locale)
        expect(page.locator("h1")).to_be_visible()
        page.keyboard.press("?")
        keys = page.locator("dialog.keys")
        expect(keys).to_be_visible()
        listed = keys.locator("kbd").all_inner_texts()
        for name in ("/", "Ctrl", "K", "Enter", "Shift", "Esc", "?", "↑", "↓", "F2", "Delete"):
            assert name in listed, name
        assert serious(page) == []


def test_the_focus_returns_from_the_name_of_a_preset(studio: Studio) -> None:
    page = studio.open("/settings")
    page.get_by_label("Temperature").fill("0.2")
    save = page.get_by_role("button", name="Save as a preset")
    save.press("Enter")
    page.get_by_label("Name of the preset").press("Escape")
    expect(save).to_be_focused()
    save.press("Enter")
    page.get_by_label("Name of the preset").fill("Exact")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Preset", exact=True)).to_be_focused()
