"""Search over everything that was said."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from studio_stage import PHONE, InputMethod, Models, Studio, field_of, finished, say

from kataribe.run.providers.scripted import Reply


def _hits(page: Page) -> Locator:
    return page.locator(".hits li")


def _field(page: Page) -> Locator:
    return page.locator("[role=search] input")


def test_words_are_found_while_typing_and_open_their_message(
    studio: Studio, models: Models
) -> None:
    models.answer = "The capital is 東京都, of course."
    page = studio.open("/chat")
    say(page, "Where is it?")
    finished(page)
    page.keyboard.press("Control+k")
    expect(_field(page)).to_be_focused()
    expect(page.locator(".search")).to_contain_text("Finds words in every conversation")
    page.keyboard.type("京都")
    expect(_hits(page)).to_have_count(1)
    expect(_hits(page).locator("mark")).to_have_text("京都")
    expect(page).to_have_url(re.compile("/search\\?q="))
    page.reload()
    expect(_hits(page)).to_have_count(1)
    _hits(page).first.locator("a").click()
    expect(page).to_have_url(re.compile("/chat/[0-9a-z]+#[0-9a-z]+$"))
    expect(page.locator("article.reply")).to_be_in_viewport()
    page.go_back()
    expect(_field(page)).to_have_value("京都")
    _field(page).fill("nowhere to be found")
    expect(page.get_by_role("status").filter(has_text="Nothing was found")).to_be_visible()


def test_a_thought_that_is_found_is_shown(studio: Studio, models: Models) -> None:
    models.answer = Reply("Yes.", reasoning="Could it be a heron?")
    page = studio.open("/chat")
    say(page, "Is it a bird?")
    thought = finished(page).locator("details.reasoning p")
    expect(thought).to_be_hidden()
    page.goto(f"{studio.stage.address}/search?q=heron")
    expect(_hits(page)).to_have_count(1)
    expect(_hits(page)).to_contain_text("What the model thought before it answered")
    _hits(page).locator("a").click()
    expect(thought).to_have_text("Could it be a heron?")
    expect(thought).to_be_visible()


def test_folders_are_found_too(studio: Studio) -> None:
    page = studio.open("/chat")
    say(page, "Where to?")
    finished(page)
    talk = page.url.rpartition("/")[2]
    address = f"{studio.stage.address}/studio/api/conversations/{talk}"
    moved = page.request.patch(
        address, data={"folder": "京都旅行"}, headers={"Origin": studio.stage.address}
    )
    assert moved.ok, moved.text()
    page.goto(f"{studio.stage.address}/search?q=旅行")
    expect(_hits(page).filter(has_text="Folder")).to_have_count(1)


def test_titles_are_found_too(studio: Studio) -> None:
    page = studio.open("/chat")
    say(page, "Bananas are yellow")
    finished(page)
    page.goto(f"{studio.stage.address}/search?q=banan")
    expect(_hits(page).filter(has_text="Title")).to_have_count(1)
    expect(_hits(page).filter(has_text="You")).to_have_count(1)


@pytest.mark.parametrize("key_code", [229, 13])
def test_nothing_is_looked_for_while_an_input_method_composes(
    studio: Studio, key_code: int
) -> None:
    page = studio.open("/search", locale="ja-JP")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    _field(page).focus()
    typing = InputMethod(page)
    for words in ("と", "とう", "とうきょ", "とうきょう"):
        typing.compose(words)
        page.wait_for_timeout(250)
    typing.enter(key_code)
    page.wait_for_timeout(250)
    assert [url for url in asked if "/api/search" in url] == []
    typing.commit("東京")
    expect(page).to_have_url(re.compile("q=%E6%9D%B1%E4%BA%AC$"))
    expect(page.get_by_role("status")).to_contain_text("「東京」は見つかりませんでした")
    assert len([url for url in asked if "/api/search" in url]) == 1


def test_a_search_that_cannot_be_done_says_so(studio: Studio) -> None:
    page = studio.open("/search?q=" + "a" * 600)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The server refused this request")
    studio.stage.stop()
    _field(page).fill("words")
    expect(alert).to_contain_text("No answer from the server")
    expect(_field(page)).to_have_value("words")


def test_hits_stay_text(studio: Studio, models: Models) -> None:
    models.answer = "<img src=x onerror=alert(1)> needle \u202egnp.exe"
    page = studio.open("/chat", viewport=PHONE, touch=True)
    say(page, "Show.")
    finished(page)
    page.goto(f"{studio.stage.address}/search?q=needle")
    expect(_hits(page)).to_have_count(1)
    expect(_hits(page)).to_contain_text("<img src=x")
    expect(_hits(page).locator("img")).to_have_count(0)
    expect(_hits(page).locator(".sign")).to_have_text("RLO")


def test_the_keys_of_a_field_stay_with_the_field(studio: Studio) -> None:
    page = studio.open("/chat")
    field_of(page).fill("a/b")
    page.keyboard.type("/c?")
    expect(field_of(page)).to_have_value("a/b/c?")
    page.keyboard.press("Control+k")
    expect(_field(page)).to_be_focused()
    page.go_back()
    expect(field_of(page)).to_have_value("a/b/c?")
