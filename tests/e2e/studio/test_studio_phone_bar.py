"""A phone's bar: the verbs, the sheet with a verb's pages, jobs and settings."""

from __future__ import annotations

import re

import pytest
from page_checks import foreign_words
from playwright.sync_api import Locator, Page, expect
from studio_stage import DESKTOP, PHONE, Studio, field_of, ready, serious

WORDS = {"en-US": ("Use", "Run", "Make", "Settings"), "ja-JP": ("使う", "動かす", "作る", "設定")}
ENTRY = "nav.rail .to"


def _phone(studio: Studio, path: str = "/", *, locale: str = "en-US", dark: bool = False) -> Page:
    page = studio.open(path, locale=locale, dark=dark, viewport=PHONE, touch=True)
    expect(page.locator(ENTRY).first).to_be_visible()
    return page


def _verb(page: Page, name: str) -> Locator:
    return page.locator("nav.rail").get_by_role("button", name=name, exact=True)


def _box(at: Locator) -> dict[str, float]:
    box = at.bounding_box()
    assert box is not None
    return dict(box)


@pytest.mark.parametrize(("locale", "dark"), [("en-US", False), ("ja-JP", True)])
def test_every_name_is_whole_and_every_entry_wide_enough(
    studio: Studio, locale: str, dark: bool
) -> None:
    page = _phone(studio, locale=locale, dark=dark)
    entries = page.locator(f"{ENTRY}:visible")
    use, run, make, settings = WORDS[locale]
    for word in (use, run, make, settings):
        expect(entries.filter(has_text=word)).to_have_count(1)
    cut = entries.locator("span:not(.unseen)").evaluate_all(
        "(all) => all.filter((at) => at.scrollWidth > at.clientWidth).map((at) => at.textContent)"
    )
    assert cut == []
    for number in range(entries.count()):
        box = _box(entries.nth(number))
        assert box["width"] >= 44
        assert box["height"] >= 44
    _verb(page, use).tap()
    expect(page.get_by_role("menu", name=use)).to_be_visible()
    assert serious(page) == []
    assert foreign_words(page.locator("nav.rail"), locale) == []


def test_a_verb_with_one_page_leads_there(studio: Studio) -> None:
    page = _phone(studio)
    link = page.locator("nav.rail").get_by_role("link", name="Run Models")
    link.tap()
    expect(page).to_have_url(re.compile("/models$"))
    expect(link).to_have_attribute("aria-current", "page")
    expect(_verb(page, "Use")).not_to_have_attribute("aria-current", "true")


def test_a_verb_with_several_pages_opens_them_over_the_bar(studio: Studio) -> None:
    page = _phone(studio)
    ready(page)
    use = _verb(page, "Use")
    expect(use).to_have_attribute("aria-haspopup", "menu")
    expect(use).to_have_attribute("aria-expanded", "false")
    expect(use).to_have_attribute("aria-current", "true")
    use.tap()
    expect(use).to_have_attribute("aria-expanded", "true")
    items = page.get_by_role("menuitem")
    expect(items).to_have_text(["Chat", "Assistants", "Prompts"])
    expect(items.first).to_be_focused()
    expect(items.first).to_have_attribute("aria-current", "page")
    sheet, composer = _box(page.get_by_role("menu")), _box(page.locator(".composer"))
    assert composer["y"] + composer["height"] <= sheet["y"] + 1, "the composer is covered"
    assert sheet["y"] + sheet["height"] <= _box(use)["y"] + 1
    assert all(_box(items.nth(number))["height"] >= 44 for number in range(3))
    moving = page.get_by_role("menu").evaluate(
        "(at) => [getComputedStyle(at).animationName, getComputedStyle(at).transitionDuration]"
    )
    assert moving == ["none", "0s"]
    items.nth(2).tap()
    expect(page).to_have_url(re.compile("/prompts$"))
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(use).to_have_attribute("aria-current", "true")


def test_keys_go_through_the_sheet_and_give_the_focus_back(studio: Studio) -> None:
    page = _phone(studio, "/assistants")
    use = _verb(page, "Use")
    use.press("Enter")
    items = page.get_by_role("menuitem")
    expect(items.nth(1)).to_be_focused()  # the page that is open
    for key, at in (
        ("ArrowDown", 2), ("ArrowDown", 0), ("ArrowUp", 2), ("Home", 0), ("End", 2),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(items.nth(at)).to_be_focused()
    for key in ("Escape", "Tab"):
        page.keyboard.press(key)
        expect(page.get_by_role("menu")).to_have_count(0)
        expect(use).to_be_focused()
        use.press("Enter")
        expect(items.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/prompts$"))


def test_a_tap_beside_the_sheet_closes_it_and_does_nothing_else(studio: Studio) -> None:
    page = _phone(studio)
    ready(page)
    use, make = _verb(page, "Use"), _verb(page, "Make")
    use.tap()
    middle = _box(page.locator(".composer textarea"))
    page.touchscreen.tap(middle["x"] + 20, middle["y"] + 10)
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(use).to_be_focused()
    use.tap()
    use.tap()  # once more
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(use).to_be_focused()
    use.tap()
    make.tap()  # another verb: its sheet takes the place
    expect(page.get_by_role("menu")).to_have_count(1)
    expect(page.get_by_role("menuitem")).to_have_text(["Tokenizers", "Training"])
    page.keyboard.press("Escape")
    expect(make).to_be_focused()
    field_of(page).tap()
    expect(field_of(page)).to_be_focused()


def test_on_a_desktop_the_rail_shows_all_pages(studio: Studio) -> None:
    page = studio.open("/models", viewport=DESKTOP)
    rail = page.locator("nav.rail")
    for name in ("Chat", "Assistants", "Prompts", "Models", "Tokenizers", "Training", "Settings"):
        expect(rail.get_by_role("link", name=name, exact=True)).to_be_visible()
    expect(rail.locator("[aria-haspopup=menu]")).to_have_count(0)
    page.set_viewport_size(PHONE)  # turned, or made narrow
    expect(_verb(page, "Use")).to_be_visible()
    expect(rail.get_by_role("link", name="Chat", exact=True)).to_have_count(0)
