"""The list of conversations beside the chat, on a desktop and in a phone's drawer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from studio_stage import (
    PHONE,
    SAFARI_ENTER,
    InputMethod,
    Models,
    Studio,
    field_of,
    finished,
    ready,
    replies,
    say,
)


def _rows(page: Page) -> Locator:
    return page.locator(".sidebar .rows li")


def _begin(page: Page, studio: Studio, *texts: str) -> None:
    """Begins a conversation with each text; the last one stays open."""
    for text in texts:
        page.goto(f"{studio.stage.address}/chat")
        say(page, text)
        finished(page)


def _act(row: Locator, name: str) -> None:
    row.hover()
    row.get_by_role("button", name=re.compile("What to do with")).click()
    row.get_by_role("menuitem", name=name).click()


def test_conversations_are_listed_newest_first_and_opened(studio: Studio) -> None:
    page = studio.open("/chat")
    expect(page.locator(".sidebar")).to_contain_text("No conversation yet")
    _begin(page, studio, "First one", "Second one")
    expect(_rows(page)).to_have_count(2)
    expect(_rows(page).first).to_contain_text("Second one")
    expect(_rows(page).first.locator("a")).to_have_attribute("aria-current", "page")
    _rows(page).last.locator("a").click()
    expect(page.locator("article.question")).to_contain_text("First one")
    say(page, "More of it")
    finished(page, 2)
    expect(_rows(page).first).to_contain_text("First one")


def test_what_happens_elsewhere_is_seen_at_once(studio: Studio, models: Models) -> None:
    page = studio.open("/chat")
    expect(page.locator(".sidebar")).to_contain_text("No conversation yet")
    other = studio.open("/chat")
    models.answer = "One two three four."
    models.hold = 2
    say(other, "From another device")
    row = _rows(page).first
    expect(row).to_contain_text("From another device")
    expect(row).to_contain_text("A reply is being written")
    field_of(other).fill("And more")
    field_of(other).press("Enter")
    expect(row.locator(".state")).to_contain_text("1")
    models.go.set()
    expect(row.locator(".state")).to_have_count(0)


def test_a_title_is_written_in_place(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Words")
    row = _rows(page).first
    _act(row, "Change the title")
    field = page.get_by_label("Title")
    expect(field).to_be_focused()
    field.fill("A better title")
    field.press("Enter")
    expect(row.locator(".title")).to_have_text("A better title")
    row.locator("a").focus()
    page.keyboard.press("F2")
    page.get_by_label("Title").fill("Never kept")
    page.keyboard.press("Escape")
    expect(row.locator(".title")).to_have_text("A better title")
    page.reload()
    expect(row.locator(".title")).to_have_text("A better title")


@pytest.mark.parametrize("key_code", [229, 13])
def test_a_composed_title_is_not_saved_by_the_enter_that_confirms_it(
    studio: Studio, key_code: int
) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Words")
    _act(_rows(page).first, "Change the title")
    field = page.get_by_label("Title")
    field.fill("")
    typing = InputMethod(page)
    typing.compose("だいめい")
    typing.enter(key_code)
    typing.commit("題名")
    expect(field).to_have_value("題名")
    field.evaluate(f"(at) => ({SAFARI_ENTER})([at, {key_code}])")
    page.wait_for_timeout(100)  # an Enter in the same instant would be the input method's
    expect(field).to_be_visible()
    field.press("Enter")
    expect(_rows(page).first.locator(".title")).to_have_text("題名")


def test_deleting_asks_nothing_and_can_be_undone(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Stays", "Goes")
    _act(_rows(page).first, "Delete")
    expect(_rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("/chat$"))
    expect(page.locator(".undo")).to_contain_text("“Goes” was deleted.")
    page.locator(".undo").get_by_role("button", name="Bring it back").click()
    expect(_rows(page)).to_have_count(2)
    expect(replies(page)).to_have_count(1)
    _rows(page).first.locator("a").focus()
    page.keyboard.press("Delete")
    expect(_rows(page)).to_have_count(1)
    page.get_by_label("Which conversations are listed").select_option("Deleted ones")
    expect(page).to_have_url(re.compile("list=deleted"))
    expect(_rows(page)).to_have_count(1)
    _act(_rows(page).first, "Bring it back")
    expect(_rows(page)).to_have_count(0)
    page.get_by_label("Which conversations are listed").select_option("All conversations")
    expect(_rows(page)).to_have_count(2)


def test_pins_and_folders_stand_in_the_address(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Old", "New")
    _act(_rows(page).last, "Pin to the top")
    expect(_rows(page).first).to_contain_text("Old")
    expect(_rows(page).first).to_contain_text("Pinned")
    _act(_rows(page).first, "Put into a folder")
    page.get_by_label("Name of the folder").fill("仕事")
    page.keyboard.press("Enter")
    choice = page.get_by_label("Which conversations are listed")
    choice.select_option("仕事")
    expect(_rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("folder="))
    page.reload()
    expect(_rows(page)).to_have_count(1)
    page.get_by_role("button", name="Rename the folder").click()
    page.get_by_label("Name of the folder").fill("Work")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("folder=Work"))
    expect(_rows(page)).to_have_count(1)
    page.go_back()
    expect(_rows(page)).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "ending"), [("Markdown", ".md"), ("JSON", ".json"), ("a web page", ".html")]
)
def test_a_conversation_is_saved_as_a_file(studio: Studio, name: str, ending: str) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Tell me about 東京")
    with page.expect_download() as coming:
        _act(_rows(page).first, f"Save as {name}")
    assert coming.value.suggested_filename.endswith(ending)
    assert "Tokyo." in Path(coming.value.path()).read_text("utf-8")


def _fill(page: Page, studio: Studio, count: int) -> None:
    """Makes a long list and shows it."""
    page.evaluate(
        "async (count) => { for (let at = 0; at < count; at += 1) {"
        " const id = ('list' + String(at).padStart(16, '0'));"
        " await fetch('/studio/api/conversations', { method: 'POST',"
        " headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id }) });"
        " await fetch('/studio/api/conversations/' + id, { method: 'PATCH',"
        " headers: { 'Content-Type': 'application/json' },"
        " body: JSON.stringify({ title: 'Number ' + at }) }); } }",
        count,
    )
    page.goto(f"{studio.stage.address}/chat")
    expect(_rows(page).first).to_contain_text(f"Number {count - 1}")


def test_a_long_list_comes_in_pages(studio: Studio) -> None:
    page = studio.open("/settings")
    _fill(page, studio, 120)
    assert _rows(page).count() < 120
    for _ in range(150):
        page.locator(".sidebar .rows").evaluate("(at) => at.scrollTo(0, at.scrollHeight)")
        page.wait_for_timeout(200)
        if _rows(page).count() == 120:
            break
    expect(_rows(page)).to_have_count(120)
    expect(_rows(page).last).to_contain_text("Number 0")


def test_a_page_of_the_list_that_fails_is_asked_for_once(studio: Studio) -> None:
    page = studio.open("/settings")
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=500, body="{}")

    page.route("**/studio/api/conversations?*after=*", refuse)
    _fill(page, studio, 60)
    more = page.locator(".sidebar").get_by_role("button", name="Show more")
    more.scroll_into_view_if_needed()
    expect(page.locator(".sidebar [role=alert]")).to_be_visible()
    page.wait_for_timeout(500)
    assert len(asked) == 1
    with page.expect_request("**/studio/api/conversations?*after=*"):
        more.click()
    page.wait_for_timeout(500)
    assert len(asked) == 2
    page.unroute("**/studio/api/conversations?*after=*")
    page.locator(".sidebar").get_by_role("button", name="Try again").click()
    expect(_rows(page)).to_have_count(60)
    expect(page.locator(".sidebar [role=alert]")).to_have_count(0)


def test_on_a_phone_the_list_is_a_drawer(studio: Studio) -> None:
    page = studio.open("/chat", viewport=PHONE, touch=True, locale="ja-JP")
    _begin(page, studio, "最初の会話", "次の会話")
    expect(page.locator(".sidebar")).to_have_count(0)
    opener = page.get_by_role("button", name="会話の一覧を表示")
    opener.tap()
    expect(_rows(page)).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".sidebar")).to_have_count(0)
    expect(opener).to_be_focused()
    opener.tap()
    _rows(page).last.locator("a").tap()
    expect(page.locator(".sidebar")).to_have_count(0)
    expect(page.locator("article.question")).to_contain_text("最初の会話")


def test_everything_in_the_list_is_done_with_keys(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "One", "Two")
    _rows(page).first.locator("a").focus()
    page.keyboard.press("ArrowDown")
    expect(_rows(page).nth(1).locator("a")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(_rows(page).nth(1).locator("button")).to_be_focused()
    page.keyboard.press("/")
    expect(page).to_have_url(re.compile("/search$"))
    expect(page.get_by_label("Words to look for")).to_be_focused()


def test_a_title_cannot_turn_the_list_around(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "\u202egnp.exe")
    expect(_rows(page).first.locator(".title")).to_contain_text("[RLO]")


def test_a_server_that_went_away_is_said_in_the_list(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Words")
    ready(page)
    studio.stage.stop()
    row = _rows(page).first
    _act(row, "Pin to the top")
    expect(page.locator(".sidebar [role=alert]")).to_contain_text("No answer from the server")
    expect(page.locator(".sidebar").get_by_role("button", name="Try again")).to_be_visible()


@pytest.mark.parametrize("touch", [False, True])
def test_on_a_phone_the_open_chat_is_deleted_and_comes_back(studio: Studio, touch: bool) -> None:
    page = studio.open("/chat", viewport=PHONE, touch=touch)
    _begin(page, studio, "Stays", "Goes")
    page.get_by_role("button", name="Show the conversations").click()
    _act(_rows(page).first, "Delete")
    expect(page.locator(".sidebar")).to_have_count(0)
    expect(page).to_have_url(re.compile("/chat$"))
    expect(page.locator(".undo")).to_contain_text("“Goes” was deleted.")
    back = page.locator(".undo").get_by_role("button", name="Bring it back")
    expect(back if touch else page.locator(".composer textarea")).to_be_focused()
    expect(back).to_be_in_viewport()
    address = "**/studio/api/conversations/*/restore"
    page.route(address, lambda route: route.abort())
    back.click()
    expect(page.locator(".after [role=alert]")).to_be_visible()
    page.unroute(address)
    back.click()
    expect(page.locator("article.question")).to_contain_text("Goes")
    expect(page.locator(".undo")).to_be_hidden()
    expect(page.locator("main" if touch else ".composer textarea")).to_be_focused()


@pytest.mark.parametrize("phone", [False, True])
def test_deleting_for_good_asks_by_the_name(studio: Studio, phone: bool) -> None:
    page = studio.open("/chat", viewport=PHONE if phone else None)
    _begin(page, studio, "Stays", "Goes")
    if phone:
        page.get_by_role("button", name="Show the conversations").click()
    _rows(page).last.locator("a").focus()
    for _ in range(2):
        page.keyboard.press("Delete")
        page.wait_for_timeout(100)
    page.goto(f"{studio.stage.address}/chat?list=deleted")
    if phone:
        page.get_by_role("button", name="Show the conversations").click()
    row = _rows(page).filter(has_text="Stays")
    _act(row, "Delete it for good")
    question = page.get_by_role("dialog", name="Delete “Stays” for good?")
    expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(row.locator("button").first).to_be_focused()
    _act(row, "Delete it for good")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(row).to_have_count(1)
    _act(row, "Delete it for good")
    question.get_by_role("button", name="Delete “Stays” for good").click()
    expect(row).to_have_count(0)
    page.reload()
    if phone:
        page.get_by_role("button", name="Show the conversations").click()
    expect(page.locator(".sidebar select")).to_be_visible()
    expect(row).to_have_count(0)


def test_the_focus_stays_in_the_list_when_a_row_goes(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "One", "Two", "Three")
    page.goto(f"{studio.stage.address}/chat")
    ready(page)  # the field takes the focus once, when the page comes
    link = {name: _rows(page).filter(has_text=name).locator("a") for name in ("One", "Two")}
    _rows(page).first.locator("a").focus()
    page.keyboard.press("Delete")
    expect(link["Two"]).to_be_focused()
    _act(_rows(page).filter(has_text="Two"), "Delete")
    expect(link["One"]).to_be_focused()
    page.keyboard.press("Delete")
    undo = page.locator(".undo").get_by_role("button", name="Bring it back")
    expect(undo).to_be_focused()
    undo.press("Enter")
    expect(link["One"]).to_be_focused()
    page.keyboard.press("Delete")
    expect(undo).to_be_focused()
    page.locator(".undo").get_by_role("button", name="Close this notice").press("Enter")
    choice = page.get_by_label("Which conversations are listed")
    expect(choice).to_be_focused()
    choice.select_option("Deleted ones")
    expect(_rows(page)).to_have_count(3)
    names = _rows(page).locator(".title").all_inner_texts()
    _act(_rows(page).nth(0), "Bring it back")
    expect(_rows(page)).to_have_count(2)
    expect(_rows(page).nth(0)).to_contain_text(names[1])
    expect(_rows(page).nth(0).locator("a")).to_be_focused()
    _act(_rows(page).nth(1), "Delete it for good")
    page.get_by_role("dialog").get_by_role("button", name="for good").click()
    expect(_rows(page).nth(0).locator("a")).to_be_focused()


def test_the_focus_returns_from_the_name_of_a_folder(studio: Studio) -> None:
    page = studio.open("/chat")
    _begin(page, studio, "Words")
    _act(_rows(page).first, "Put into a folder")
    page.get_by_label("Name of the folder").fill("Work")
    page.keyboard.press("Enter")
    expect(_rows(page).first.locator("button")).to_be_focused()
    choice = page.get_by_label("Which conversations are listed")
    choice.select_option("Work")
    rename = page.get_by_role("button", name="Rename the folder")
    for key in ("Escape", "Enter"):
        rename.press("Enter")
        expect(page.get_by_label("Name of the folder")).to_be_focused()
        page.keyboard.press(key)
        expect(rename).to_be_focused()
    rename.press("Enter")
    page.get_by_label("Name of the folder").fill("")
    page.keyboard.press("Enter")
    expect(rename).to_have_count(0)
    expect(choice).to_be_focused()
