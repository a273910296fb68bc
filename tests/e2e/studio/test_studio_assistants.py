"""Assistants in the studio: found, written beside their own preview, tested, and chatted with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from assistants_stage import WithAssistants
from page_checks import KNOWN, foreign_words, walk
from playwright.sync_api import Browser, Locator, Page, expect
from studio_stage import (
    DESKTOP,
    PHONE,
    InputMethod,
    Studio,
    Watch,
    field_of,
    finished,
    run_server,
    serious,
)

from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.run.providers import Call, Reply
from kataribe.use.assistants.book import Book

MINE = """\
# written by hand
title: {en: Tutor, ja: 先生}
about: {en: Teaches without giving the answer., ja: 答えを言わずに教えます。}
system: Be brief.
starters: [{en: 'What is a derivative?', ja: '微分って何?'}]
tests:
  - {ask: 'Are you brief?', contains: [brief]}
  - {ask: 'And now?', lacks: [now]}
"""


def echo(request: Request) -> Reply:
    """Says what it was told and asked."""
    return Reply(" | ".join(text_of(m) for m in request.prompt if m.role in ("system", "user")))


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path / "assistants")
    book.write("tutor", MINE)
    return book


@pytest.fixture
def studio(browser: Browser, book: Book) -> Iterator[Studio]:
    models = WithAssistants(answer=echo, book=book)
    with run_server(models, assistants=models.source()) as stage:
        watch = Watch(stage.address)
        yield Studio(browser, stage, watch)
        for context in browser.contexts:
            context.close()
    assert watch.faults == []


def card(page: Page, name: str) -> Locator:
    return page.locator("li.assistant").filter(has=page.get_by_text(name, exact=True))


def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look (`STUDIO_SHOTS` names the folder)."""
    folder = os.environ.get("STUDIO_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png")


def test_they_are_found_and_shown(studio: Studio, book: Book, tmp_path: Path) -> None:
    (tmp_path / "assistants" / "broken.yaml").write_text("sampling: {temprature: 1}\n")
    page = studio.open("/assistants")
    expect(page.locator("li.assistant")).to_have_count(9)
    first = page.locator("li.assistant").first
    expect(card(page, "tutor")).to_contain_text("Teaches without giving the answer.")
    expect(card(page, "tutor")).to_contain_text("smollm2-135m")
    expect(card(page, "broken")).to_contain_text("Did you mean temperature?")
    shot(page, "gallery")
    page.keyboard.press("/")
    page.keyboard.type("trans")
    expect(page.locator("li.assistant")).to_have_count(1)
    expect(first).to_contain_text("translator")
    page.reload()
    expect(page.locator("li.assistant")).to_have_count(1)
    page.get_by_label("Search").fill("nobody")
    expect(page.get_by_text("No assistant is like that.")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("own")
    expect(page.locator("li.assistant")).to_have_count(2)
    assert not serious(page)


def test_with_none_of_ones_own_the_page_teaches(studio: Studio, book: Book) -> None:
    book.remove("tutor")
    page = studio.open("/assistants?show=own")
    expect(page.get_by_text("None of them is yours yet")).to_be_visible()
    page.get_by_role("link", name="Begin with the translator").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("translator-2")


def test_deleting_is_undone(studio: Studio, book: Book) -> None:
    page = studio.open("/assistants")
    page.get_by_role("button", name="Delete Tutor").click()
    expect(page.get_by_text("Tutor was deleted.")).to_be_visible()
    expect(page.locator("li.assistant")).to_have_count(7)
    assert "tutor" not in book.all()
    page.get_by_role("button", name="Undo").click()
    expect(card(page, "tutor")).to_be_visible()
    assert book.find("tutor").text == MINE


def test_one_is_written_tried_and_saved(studio: Studio, book: Book) -> None:
    page = studio.open("/assistants")
    page.get_by_role("link", name="New assistant").click()
    page.get_by_label("Name", exact=True).fill("poet")
    page.get_by_label("Title in English").fill("Poet")
    page.get_by_label("System text").fill("Speak in verse.")
    page.get_by_role("checkbox", name=re.compile("^calculator")).check()
    page.get_by_label("Temperature").fill("0.5")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.get_by_label("Say something to it").fill("Hello")
    page.get_by_label("Say something to it").press("Enter")
    expect(page.get_by_label("Reply", exact=True)).to_have_text("Speak in verse. | Hello")
    assert "poet" not in book.all(), "a trial writes nothing"
    page.reload()
    expect(page.get_by_label("System text")).to_have_value("Speak in verse.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile(r"/assistants/poet$"))
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    recipe = book.find("poet").recipe()
    assert (recipe.system, recipe.sampling.temperature) == ("Speak in verse.", 0.5)
    assert [tool.name for tool in recipe.tools] == ["calculator"]
    shot(page, "editor")
    assert not serious(page)


def test_a_form_leaves_alone_what_it_does_not_change(studio: Studio, book: Book) -> None:
    page = studio.open("/assistants/tutor")
    page.get_by_label("System text").fill("Be long.")
    page.get_by_role("tab", name="YAML").click()
    yaml = page.get_by_label("The recipe as YAML")
    expect(yaml).to_have_value(re.compile("system: Be long"))
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert book.find("tutor").text == MINE.replace("Be brief.", "Be long.")
    yaml.fill(MINE.replace("Be brief.", "Be kind."))
    page.get_by_role("tab", name="Form").click()
    expect(page.get_by_label("System text")).to_have_value("Be kind.")
    page.get_by_role("button", name="Discard changes").click()
    expect(page.get_by_label("System text")).to_have_value("Be long.")
    expect(page.get_by_text("Not saved yet")).to_have_count(0)


def test_what_is_wrong_stands_at_its_field(studio: Studio, book: Book) -> None:
    page = studio.open("/assistants/tutor")
    field = page.get_by_label("Temperature")
    field.fill("9")
    fault = page.locator(".labelled").filter(has=field).locator(".fault")
    expect(fault).to_contain_text("temperature is 9")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("To be mended before it can be saved: 1")).to_be_visible()
    assert book.find("tutor").text == MINE
    shot(page, "fault")
    field.fill("")
    expect(fault).to_have_count(0)
    page.get_by_role("tab", name="YAML").click()
    yaml = page.get_by_label("The recipe as YAML")
    yaml.fill(MINE + "sampling:\n  temprature: 1\n")
    problems = page.get_by_label("What is wrong")
    expect(problems).to_contain_text("Did you mean temperature?")
    problems.get_by_role("button", name="Line 10").click()
    chosen = "(field) => field.value.slice(field.selectionStart, field.selectionEnd)"
    assert yaml.evaluate(chosen) == "  temprature: 1"
    shot(page, "yaml")
    page.get_by_role("tab", name="Form").click()
    expect(page.get_by_text("the form waits")).to_be_visible()
    expect(page.get_by_label("System text")).to_be_disabled()


def test_nobodys_work_is_written_over_unseen(studio: Studio, book: Book) -> None:
    page = studio.open("/assistants/tutor")
    page.get_by_label("System text").fill("Mine.")
    theirs = book.write("tutor", MINE.replace("Be brief.", "Theirs."))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Somebody has written there meanwhile")).to_be_visible()
    assert book.find("tutor").text == theirs.text
    shot(page, "taken")
    page.get_by_role("button", name="Save mine over it").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    assert book.find("tutor").recipe().system == "Mine."
    page.get_by_label("System text").fill("Mine again.")
    book.write("tutor", theirs.text)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Open what is there now").click()
    expect(page.get_by_label("System text")).to_have_value("Theirs.")


def test_its_tests_are_run(studio: Studio) -> None:
    page = studio.open("/assistants/tutor")
    page.get_by_role("tab", name="Tests").click()
    page.get_by_role("button", name="Run the tests").click()
    expect(page.get_by_text("1 of 2 hold")).to_be_visible()
    results = page.locator(".results > li")
    expect(results.nth(0)).to_contain_text("Holds: Are you brief?")
    expect(results.nth(1)).to_contain_text("has 'now'")
    shot(page, "tests")
    assert not serious(page)


def test_a_tool_waits_for_the_persons_word(studio: Studio, book: Book) -> None:
    def script(request: Request) -> Reply:
        if request.prompt[-1].role == "tool":
            return Reply(f"It is {request.prompt[-1].parts[0].content}.")
        return Reply(calls=(Call("calculator", {"expression": "6 * 7"}),))

    studio.stage.models.answer = script
    book.write("counter", "tools: [{name: calculator, approval: ask}]\n")
    page = studio.open("/assistants/counter")
    page.get_by_label("Say something to it").fill("6 x 7?")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("It wants to use a tool.")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("6 * 7")
    shot(page, "approval")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_label("Reply", exact=True).last).to_contain_text("It is 42")


def test_composing_never_sends(studio: Studio) -> None:
    page = studio.open("/assistants/tutor", locale="ja-JP")
    field = page.get_by_label("話しかける")
    field.click()
    method = InputMethod(page)
    method.compose("びぶん")
    method.enter()
    method.commit("微分")
    expect(field).to_have_value("微分")
    expect(page.locator(".turns")).to_have_count(0)
    field.press("Enter")
    expect(page.get_by_label("返答", exact=True)).to_contain_text("Be brief. | 微分")


def test_one_chats_with_it_and_its_questions_are_offered(studio: Studio) -> None:
    page = studio.open("/assistants")
    page.get_by_role("button", name="Chat with tutor").click()
    expect(page).to_have_url(re.compile("/chat$"))
    expect(page.get_by_text("Teaches without giving the answer.")).to_be_visible()
    expect(page.locator(".picker select")).to_have_value("tutor")
    shot(page, "chat")
    page.get_by_role("button", name="What is a derivative?").click()
    expect(finished(page)).to_contain_text("Be brief. | What is a derivative?")
    page.goto(studio.stage.address + "/assistants")
    card(page, "tutor").get_by_role("button", name="What is a derivative?").click()
    expect(field_of(page)).to_have_value("What is a derivative?")


@pytest.mark.parametrize("place", ["/assistants", "/assistants/tutor"])
@pytest.mark.parametrize(("locale", "dark"), [("en-US", False), ("ja-JP", True)])
def test_it_fits_a_phone_in_both_languages(
    studio: Studio, place: str, locale: str, dark: bool
) -> None:
    page = studio.open(place, locale=locale, viewport=PHONE, dark=dark, touch=True)
    expect(page.locator("li.assistant, .recipe").first).to_be_visible()
    over = page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        "(document.querySelector('.page'))"
    )
    assert over <= 0
    shot(page, f"phone-{place.rpartition('/')[2]}-{locale}")
    assert not serious(page)
    assert foreign_words(page.locator("body"), locale, KNOWN | {"YAML"}) == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_desktop_speaks_one_language(studio: Studio, locale: str) -> None:
    page = studio.open("/assistants/tutor", locale=locale, viewport=DESKTOP)
    expect(page.locator(".recipe")).to_be_visible()
    expect(page.locator("aside .trial")).to_be_visible()
    shot(page, f"editor-{locale}")
    assert foreign_words(page.locator("body"), locale, KNOWN | {"YAML"}) == []


def test_on_a_phone_one_tries_it_in_a_tab_of_its_own(studio: Studio) -> None:
    page = studio.open("/assistants/tutor", viewport=PHONE, touch=True)
    expect(page.locator(".trial")).to_be_hidden()
    page.get_by_label("System text").fill("Be kind.")
    page.get_by_role("tab", name="Try it").click()
    page.get_by_role("button", name="What is a derivative?").click()
    expect(page.get_by_label("Reply", exact=True)).to_have_text("Be kind. | What is a derivative?")
    shot(page, "phone-try")
    page.get_by_role("tab", name="Form").click()
    expect(page.get_by_label("System text")).to_have_value("Be kind.")


@pytest.mark.parametrize("place", ["/assistants", "/assistants/tutor"])
def test_keys_go_through_the_page_in_order(studio: Studio, place: str) -> None:
    page = studio.open(place)
    expect(page.locator("li.assistant, .recipe").first).to_be_visible()
    assert walk(page)


def test_a_name_that_is_not_there_says_so(studio: Studio) -> None:
    page = studio.open("/assistants/nobody")
    expect(page.get_by_role("heading", name="There is no such assistant")).to_be_visible()
