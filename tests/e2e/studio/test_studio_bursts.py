"""Several messages while a reply is pending: they wait in order, and a person steers them."""

from __future__ import annotations

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
    serious,
)

from kataribe.base.messages import TextPart


def _waiting(page: Page) -> Locator:
    return page.locator(".queue li:not(.coming)")  # the server has them, in this order


@pytest.fixture
def page(studio: Studio, models: Models) -> Page:
    """A reply that is held in its middle, and two messages that wait."""
    models.answer = "long words " * 30
    models.hold = 3
    page = studio.open()
    say(page, "Begin.")
    expect(replies(page).last).to_contain_text("long words")
    for number, words in enumerate(("first", "second"), start=1):
        say(page, words)
        expect(_waiting(page)).to_have_count(number)
    return page


def _asked(models: Models) -> list[str]:
    found = []
    for request in models.asked:
        assert isinstance(request.prompt, tuple)
        (part,) = request.prompt[-1].parts
        assert isinstance(part, TextPart)
        found.append(part.text)
    return found


def _go_on(models: Models) -> None:
    models.hold = None
    models.go.set()


def test_what_waits_is_shown_in_order_and_answered_in_order(page: Page, models: Models) -> None:
    expect(_waiting(page).nth(0)).to_contain_text("first")
    expect(_waiting(page).nth(1)).to_contain_text("second")
    expect(page.locator(".hint")).to_contain_text("Enter lets this wait its turn")
    page.reload()
    expect(_waiting(page)).to_have_count(2)
    _go_on(models)
    finished(page, 3)
    expect(_waiting(page)).to_have_count(0)
    assert _asked(models) == ["Begin.", "first", "second"]


def test_what_waits_can_be_edited_withdrawn_and_merged(page: Page, models: Models) -> None:
    _waiting(page).nth(0).get_by_role("button", name="Edit the waiting message").click()
    editor = page.locator(".queue textarea")
    editor.fill("changed")
    editor.press("Enter")
    expect(_waiting(page).nth(0)).to_contain_text("changed")
    say(page, "third")
    expect(_waiting(page)).to_have_count(3)
    _waiting(page).nth(1).get_by_role("button", name="Merge with the one before").click()
    expect(_waiting(page)).to_have_count(2)
    expect(_waiting(page).nth(0)).to_contain_text("changed")
    expect(_waiting(page).nth(0)).to_contain_text("second")
    _waiting(page).nth(1).get_by_role("button", name="Withdraw").click()
    expect(_waiting(page)).to_have_count(1)
    _go_on(models)
    finished(page, 2)
    assert _asked(models) == ["Begin.", "changed\n\nsecond"]


def test_what_waits_beside_a_file_may_lose_its_words(page: Page, tmp_path: Path) -> None:
    memo = tmp_path / "memo.txt"
    memo.write_text("tales")
    waits = page.locator(".queue > ol > li:not(.coming)")  # and not the files in them
    page.locator("input[type=file]").set_input_files(memo)
    say(page, "Read this.")
    expect(waits).to_have_count(3)
    item = waits.nth(2)
    for each, may in ((waits.nth(1), False), (item, True)):
        each.get_by_role("button", name="Edit the waiting message").click()
        page.locator(".queue textarea").fill("")
        save = page.get_by_role("button", name="Save", exact=True)
        expect(save).to_be_enabled(enabled=may)
        page.locator(".queue textarea").press("Enter" if may else "Escape")
        expect(page.locator(".queue textarea")).to_have_count(0)
    expect(item).not_to_contain_text("Read this.")
    expect(item).to_contain_text("memo.txt")
    expect(waits.nth(1)).to_contain_text("second")


def test_what_was_withdrawn_is_in_the_field_again(page: Page, models: Models) -> None:
    field_of(page).fill("already here")
    _waiting(page).nth(0).get_by_role("button", name="Withdraw").click()
    expect(_waiting(page)).to_have_count(1)
    expect(field_of(page)).to_have_value("first\n\nalready here")
    expect(field_of(page)).to_be_focused()


def test_words_that_are_changed_outlive_a_reload_and_their_turn(page: Page, models: Models) -> None:
    _waiting(page).nth(0).get_by_role("button", name="Edit the waiting message").click()
    page.locator(".queue textarea").fill("changed by half")
    page.reload()
    expect(page.locator(".queue textarea")).to_have_value("changed by half")
    _go_on(models)
    finished(page, 3)
    expect(field_of(page)).to_have_value("changed by half")
    assert _asked(models) == ["Begin.", "first", "second"]


def test_what_is_typed_is_answered_at_once_and_alone(page: Page, models: Models) -> None:
    field_of(page).fill("only this")
    page.get_by_role("button", name="Answer only this now").click()
    expect(page.locator("article.question .bubble")).to_have_text(["Begin.", "only this"])
    expect(replies(page).first).to_contain_text("Stopped")
    expect(replies(page).last).to_contain_text("long words")
    expect(_waiting(page)).to_have_count(2)
    assert _asked(models) == ["Begin.", "only this"]
    assert models.closed == 1, "the first reply is still being written"
    _go_on(models)
    finished(page, 4)
    assert _asked(models) == ["Begin.", "only this", "first", "second"]


@pytest.mark.parametrize("viewport", [None, PHONE], ids=["desktop", "phone"])
def test_what_is_on_its_way_to_the_queue_shows_its_words(
    studio: Studio, models: Models, viewport: dict[str, int] | None
) -> None:
    models.answer = "long words " * 30
    models.hold = 3
    page = studio.open(viewport=viewport)
    say(page, "Begin.")
    expect(replies(page).last).to_contain_text("long words")
    page.route("**/messages", _held)
    say(page, "What waits?")
    coming = page.locator(".queue li.coming")
    expect(coming.get_by_role("button", name="Delete it")).to_be_visible()
    for words in coming.locator("p").all():  # its own, and what is said of its way
        assert words.evaluate("(at) => at.clientHeight > 0 && at.scrollHeight <= at.clientHeight")
        box = words.bounding_box()
        assert box
        assert box["width"] > 200
    expect(coming.locator("p").first).to_have_text("What waits?")
    page.unroute("**/messages")
    expect(_waiting(page)).to_have_count(1)
    _go_on(models)
    finished(page, 2)


def test_a_change_that_was_not_taken_stays_open(page: Page, models: Models) -> None:
    _waiting(page).nth(0).get_by_role("button", name="Edit the waiting message").click()
    page.route("**/queue/*", lambda route: route.abort())
    editor = page.locator(".queue textarea")
    editor.fill("changed")
    editor.press("Enter")
    expect(_waiting(page).nth(0).get_by_role("alert")).to_be_visible()
    expect(editor).to_have_value("changed")
    page.unroute("**/queue/*")
    editor.press("Enter")
    expect(editor).to_have_count(0)
    expect(_waiting(page).nth(0)).to_contain_text("changed")


def _held(route: Route) -> None:
    """Leaves a request where it is."""


def test_a_question_that_is_changed_is_still_open_after_a_reload(
    studio: Studio, models: Models
) -> None:
    page = studio.open()
    say(page, "What is it?")
    finished(page)
    page.locator("article.question").get_by_role("button", name="Edit").click()
    page.locator("article.question textarea").fill("What was it?")
    # Enter is pressed before the server has named its models: the change waits for them.
    page.route("**/v1/models", _held)
    page.reload()
    expect(page.locator("article.question textarea")).to_have_value("What was it?")
    page.locator("article.question textarea").press("Enter")
    expect(page.locator("article.question button.primary")).to_be_disabled()
    page.unroute("**/v1/models")  # lets go of those that were held
    expect(page.locator("article.question .bubble")).to_have_text(["What was it?"])
    finished(page)
    page.reload()
    expect(page.locator("article.question .bubble")).to_have_text("What was it?")


def test_what_waits_behind_one_that_did_not_go_out_can_be_taken_back(
    studio: Studio, models: Models
) -> None:
    page = studio.open()
    say(page, "Hello")
    finished(page)
    page.route("**/messages", lambda route: route.abort())
    say(page, "one")
    expect(page.locator(".unsent")).to_have_count(1)
    say(page, "two")
    expect(page.locator(".unsent").nth(1)).to_contain_text("Goes out after the message above")
    assert not serious(page)
    page.locator(".unsent").nth(1).get_by_role("button", name="Edit").click()
    expect(page.locator(".unsent")).to_have_count(1)
    expect(field_of(page)).to_have_value("two")
    page.unroute("**/messages")
    page.locator(".unsent").get_by_role("button", name="Try again").click()
    finished(page, 2)
    assert _asked(models) == ["Hello", "one"]


def test_steering_keeps_the_words_and_answers_all_as_one(page: Page, models: Models) -> None:
    field_of(page).fill("and this")
    page.get_by_role("button", name="Answer this now, with all that waits").click()
    expect(replies(page)).to_have_count(2)
    _go_on(models)
    finished(page, 2)
    expect(_waiting(page)).to_have_count(0)
    expect(field_of(page)).to_have_value("")
    expect(replies(page).first).to_contain_text("Stopped")
    expect(replies(page).first.locator(".prose")).to_contain_text("long words")
    assert _asked(models) == ["Begin.", "first\n\nsecond\n\nand this"]


def test_one_is_sent_now_and_the_others_stay(page: Page, models: Models) -> None:
    models.answer = "Some other words, and a few more."
    _waiting(page).nth(1).get_by_role("button", name="Send now, in place of the reply").click()
    expect(replies(page)).to_have_count(2)
    expect(_waiting(page)).to_have_count(1)
    assert _asked(models) == ["Begin.", "second"]
    _go_on(models)
    finished(page, 3)
    assert _asked(models) == ["Begin.", "second", "first"]


def test_after_a_stop_by_hand_the_queue_waits(page: Page, models: Models) -> None:
    field_of(page).focus()
    page.keyboard.press("Escape")
    expect(replies(page).first).to_contain_text("Stopped by you.")
    expect(page.locator(".queue")).to_contain_text("until you let them go on")
    assert len(models.asked) == 1
    _go_on(models)
    page.get_by_role("button", name="Answer all now").click()
    finished(page, 2)
    assert _asked(models)[-1] == "first\n\nsecond"


@pytest.mark.parametrize("key_code", [229, 13])
def test_enter_while_composing_changes_nothing_that_waits(
    page: Page, models: Models, key_code: int
) -> None:
    _waiting(page).nth(0).get_by_role("button", name="Edit the waiting message").click()
    editor = page.locator(".queue textarea")
    editor.fill("")
    editor.click()
    method = InputMethod(page)
    method.compose("にほん")
    method.enter(key_code)
    expect(editor).to_be_visible()
    method.commit("日本")
    editor.evaluate(f"(field) => ({SAFARI_ENTER})([field, {key_code}])")
    page.wait_for_timeout(200)
    expect(editor).to_have_value("日本")
    editor.press("Enter")
    expect(_waiting(page).nth(0)).to_contain_text("日本")


@pytest.mark.parametrize(("locale", "phone"), [("en-US", False), ("ja-JP", True)])
def test_axe_finds_nothing_serious_where_much_is_shown(
    studio: Studio, models: Models, locale: str, phone: bool
) -> None:
    page = studio.open(locale=locale, viewport=PHONE if phone else None, touch=phone, dark=phone)
    ready(page)
    page.locator(".picker button").click()
    page.locator(".compare .row input").first.check()
    say(page, "Side by side.")
    finished(page, 2)
    page.locator(".picker button").click()
    page.locator(".compare .row input").first.uncheck()
    page.locator(".thumb").first.click()
    models.answer = "long words " * 30
    models.hold = 3
    say(page, "Begin.")
    expect(replies(page).last).to_contain_text("long words")
    for number, words in enumerate(("first", "second"), start=1):
        say(page, words)
        expect(_waiting(page)).to_have_count(number)
    page.locator(".side .menu button").last.click()
    assert serious(page) == []


def test_the_same_message_twice_acts_once(page: Page, studio: Studio, models: Models) -> None:
    conversation = page.evaluate("location.pathname.split('/').pop()")
    address = f"{studio.stage.address}/studio/api/conversations/{conversation}/messages"
    for _ in range(3):
        page.request.post(address, data={"id": "abcdefghijklmnopqrst", "text": "once"})
    expect(_waiting(page)).to_have_count(3)
    expect(_waiting(page).nth(2)).to_contain_text("once")
