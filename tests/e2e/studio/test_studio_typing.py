"""Keys and input methods: Enter while composing never sends, in any field."""

from __future__ import annotations

import pytest
from page_checks import walk
from playwright.sync_api import Browser, Page, expect
from studio_stage import (
    SAFARI_ENTER,
    InputMethod,
    Models,
    Studio,
    Watch,
    field_of,
    finished,
    ready,
    replies,
    run_server,
    say,
)


@pytest.fixture
def page(studio: Studio) -> Page:
    page = studio.open(locale="ja-JP")
    ready(page)
    return page


@pytest.mark.parametrize("key_code", [229, 13])
def test_enter_while_composing_does_not_send(page: Page, models: Models, key_code: int) -> None:
    field = field_of(page)
    field.click()
    page.evaluate(
        "window.seen = []; for (const type of ['compositionstart', 'compositionend', 'keydown'])"
        " document.querySelector('.composer textarea').addEventListener(type, (event) =>"
        " window.seen.push(event.isComposing ? type + ' composing' : type));"
    )
    method = InputMethod(page)
    method.compose("にほん")
    method.compose("日本")
    method.enter(key_code)
    expect(page.locator("article")).to_have_count(0)
    method.commit("日本")
    expect(field).to_have_value("日本")
    page.wait_for_timeout(300)
    expect(page.locator("article")).to_have_count(0)
    assert models.asked == []
    seen = page.evaluate("window.seen")
    assert seen[:2] == ["compositionstart", "keydown composing"], "no real composition took place"
    assert "compositionend" in seen
    field.press("Enter")
    expect(page.locator("article.question .bubble")).to_have_text("日本")
    finished(page)
    assert len(models.asked) == 1


@pytest.mark.parametrize("key_code", [229, 13])
def test_safaris_order_does_not_send(page: Page, models: Models, key_code: int) -> None:
    field = field_of(page)
    field.fill("日本")
    field.evaluate(f"(field) => ({SAFARI_ENTER})([field, {key_code}])")
    page.wait_for_timeout(300)
    expect(page.locator("article")).to_have_count(0)
    expect(field).to_have_value("日本")
    field.press("Enter")
    expect(page.locator("article.question .bubble")).to_have_text("日本")


def test_escape_while_composing_does_not_stop_the_reply(page: Page, models: Models) -> None:
    models.answer = "long " * 200
    models.hold = 5
    field_of(page).fill("Go.")
    field_of(page).press("Enter")
    expect(replies(page).last).to_contain_text("long")
    InputMethod(page).compose("にほん")
    field_of(page).evaluate(
        "(field) => field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape',"
        " keyCode: 229, isComposing: true, bubbles: true, cancelable: true }))"
    )
    expect(replies(page).last).to_have_attribute("aria-busy", "true")
    page.wait_for_timeout(200)
    expect(replies(page).last).to_have_attribute("aria-busy", "true")


@pytest.mark.parametrize("key_code", [229, 13])
def test_enter_while_composing_does_not_send_a_key(
    browser: Browser, models: Models, key_code: int
) -> None:
    with run_server(models, key="sesame-open") as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        field = page.locator(".dock form.key").get_by_label("Key", exact=True)
        page.locator(".dock").get_by_role("button", name="Show the key").click()
        field.click()
        method = InputMethod(page)
        method.compose("せさみ")
        method.enter(key_code)
        method.commit("sesame")
        field.evaluate(f"(field) => ({SAFARI_ENTER})([field, {key_code}])")
        page.wait_for_timeout(200)
        expect(field).to_have_value("sesame")
        assert page.evaluate("JSON.parse(localStorage['kataribe.settings'] || '{}').key") is None
        page.context.close()


def test_shift_enter_breaks_the_line_and_spaces_alone_send_nothing(
    page: Page, models: Models
) -> None:
    field = field_of(page)
    field.press("Enter")
    field.fill("   \n ")
    field.press("Enter")
    assert models.asked == []
    field.fill("one")
    field.press("Shift+Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    field.press("Enter")
    expect(page.locator("article.question .bubble")).to_have_text("one\ntwo", use_inner_text=True)


def test_enter_and_ctrl_enter_can_be_swapped(studio: Studio, models: Models) -> None:
    page = studio.open("/settings")
    page.get_by_label("Breaks the line").check()
    page.get_by_role("link", name="Chat", exact=True).click()
    ready(page)
    field = field_of(page)
    field.fill("one")
    field.press("Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    field.press("Control+Enter")
    expect(finished(page)).to_contain_text("Tokyo.")


def test_slash_focuses_question_mark_lists_escape_closes(studio: Studio) -> None:
    page = studio.open()
    ready(page)
    page.get_by_role("link", name="Chat", exact=True).focus()
    page.keyboard.press("/")
    expect(field_of(page)).to_be_focused()
    expect(field_of(page)).to_have_value("")
    page.keyboard.type("a/b?")
    expect(field_of(page)).to_have_value("a/b?")
    link = page.get_by_role("link", name="Models", exact=True)
    link.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    expect(link).to_be_focused()


def test_everything_is_reached_with_the_keyboard_and_shows_its_focus(studio: Studio) -> None:
    page = studio.open("/chat")
    ready(page)
    words = " ".join(walk(page))
    for expected in (
        "Skip to the page",
        "Chat",
        "Models",
        "Keys",
        "Settings",
        "capital",
        "Message",
    ):
        assert expected in words, f"{expected} is not reached: {words}"
    say(page, "Hello")
    finished(page)
    assert "Look inside" not in " ".join(walk(page)), "what is in a closed menu"
    page.goto(studio.stage.address + "/settings")
    expect(page.locator(".sizes").first).to_be_visible()
    assert "Export everything" in " ".join(walk(page))
