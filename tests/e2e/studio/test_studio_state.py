"""What the page says is so: of the server, of its models, of messages, of time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect
from studio_stage import (
    OTHER,
    PHONE,
    SMALL,
    Models,
    Studio,
    Watch,
    field_of,
    finished,
    ready,
    replies,
    restarted_with_key,
    run_server,
    say,
    serious,
)

from kataribe.base.errors import ProviderError
from kataribe.base.events import Progress
from kataribe.run.providers.scripted import Reply


def test_a_server_that_went_away_is_said_before_anything_is_sent(
    browser: Browser, models: Models
) -> None:
    with run_server(models) as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open("/models")  # its script is fetched when it is first opened
        expect(page.locator("table.models")).to_be_visible()
        page.get_by_role("link", name="Chat", exact=True).click()
        ready(page)
        expect(page.locator(".picker option:checked")).to_have_text(f"{SMALL} (loaded)")
        port = int(stage.address.rpartition(":")[2])
        stage.stop()
        lost = page.locator(".dock [role=status]").filter(has_text="The server does not answer")
        expect(lost).to_be_visible()
        expect(page.locator(".picker option:checked")).to_have_text(SMALL)
        page.get_by_role("link", name="Models", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
        page.get_by_role("link", name="Chat", exact=True).click()
    with run_server(models, port=port):
        expect(lost).to_have_count(0)
        expect(page.locator(".picker option:checked")).to_have_text(f"{SMALL} (loaded)")
        page.context.close()
    assert studio.watch.faults == []


def test_a_server_that_now_asks_for_a_key_says_so_before_anything_is_sent(
    browser: Browser, models: Models
) -> None:
    with restarted_with_key(browser, models, "sesame-open") as page:
        form = page.locator(".dock form.key")
        form.get_by_label("Key", exact=True).fill("sesame-open")
        form.get_by_label("Key", exact=True).press("Enter")
        expect(form).to_have_count(0)
        expect(field_of(page)).to_be_focused()
        say(page, "Hello")
        expect(finished(page)).to_contain_text("Tokyo.")


def test_a_server_that_says_nothing_is_waited_for_in_words(studio: Studio) -> None:
    page = studio.open("/settings")
    page.route("**/v1/models", lambda route: None)
    page.evaluate("localStorage.setItem('kataribe.draft.new', 'kept')")
    page.goto(f"{studio.stage.address}/chat", wait_until="commit")
    expect(page.get_by_text("Asking the server for its models")).to_be_visible()
    expect(field_of(page)).to_have_value("kept")
    page.context.close()


def test_a_message_written_at_an_address_without_conversation_is_seen(
    studio: Studio, models: Models
) -> None:
    page = studio.open("/chat/nowhere")
    expect(page.get_by_text("There is no conversation at this address")).to_be_visible()
    say(page, "Anybody here?")
    expect(page.locator("article.question .bubble")).to_have_text("Anybody here?")
    expect(finished(page)).to_contain_text("Tokyo.")
    page.reload()
    expect(page.locator("article.question .bubble")).to_have_text("Anybody here?")


@pytest.mark.parametrize("broken", ["7", "{", '[{"body": 7}, null, {"attachments": []}]'])
def test_what_was_kept_unsent_and_is_damaged_breaks_no_page(
    studio: Studio, models: Models, broken: str
) -> None:
    page = studio.open()
    say(page, "Hello")
    finished(page)
    here = page.evaluate("location.pathname.split('/').pop()")
    page.evaluate(
        "([id, kept]) => { localStorage.setItem('kataribe.outbox.' + id, kept);"
        " localStorage.setItem('kataribe.files.' + id, kept); }",
        [here, broken],
    )
    page.reload()
    expect(finished(page)).to_contain_text("Tokyo.")
    say(page, "Again")
    expect(finished(page, 2)).to_contain_text("Tokyo.")


def test_a_page_that_breaks_down_takes_no_other_with_it(browser: Browser, models: Models) -> None:
    with run_server(models) as stage:
        studio = Studio(browser, stage, Watch(stage.address))  # its faults are the test's own
        page = studio.open(
            init="const old = Intl.NumberFormat.prototype; const of = Object"
            ".getOwnPropertyDescriptor(old, 'format').get; Object.defineProperty(old, 'format',"
            " { get() { if (location.pathname === '/models') throw new Error('broken on purpose');"
            " return of.call(this); } });"
        )
        ready(page)
        page.get_by_role("link", name="Models", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("This page broke down")
        page.get_by_role("link", name="Chat", exact=True).click()
        expect(field_of(page)).to_be_visible()
        page.context.close()


def test_a_page_that_cannot_be_fetched_says_so_and_opens_when_it_can(studio: Studio) -> None:
    page = studio.open()
    page.route("**/assets/ModelsPage-*.js", lambda route: route.abort())
    page.reload()  # what was fetched in advance came before the line broke
    ready(page)
    page.get_by_role("link", name="Models", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No answer from the server")
    expect(page.get_by_text("This page broke down")).to_have_count(0)
    page.unroute("**/assets/ModelsPage-*.js")
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator("table.models")).to_be_visible()
    expect(alert).to_have_count(0)
    # React writes down what it caught.
    assert all("dynamically imported module" in one for one in studio.watch.faults)
    studio.watch.faults.clear()


def test_a_file_is_saved_from_a_server_with_a_key(
    browser: Browser, models: Models, tmp_path: Path
) -> None:
    memo = tmp_path / "メモ.txt"
    memo.write_text("東京は日本の首都です。", encoding="utf-8")
    with run_server(models, key="sesame-open") as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        key = page.locator(".dock form.key").get_by_label("Key", exact=True)
        key.fill("sesame-open")
        key.press("Enter")
        ready(page)
        page.locator("input[type=file]").set_input_files(memo)
        say(page, "What is this?")
        finished(page)
        question = page.locator("article.question")
        file = question.get_by_role("button", name="メモ.txt")
        with page.expect_download() as coming:
            file.click()
        assert coming.value.suggested_filename == "メモ.txt"
        assert Path(coming.value.path()).read_bytes() == memo.read_bytes()
        page.route("**/studio/api/attachments/*", lambda route: route.abort())
        file.click()
        alert = question.get_by_role("alert")
        expect(alert).to_contain_text("No answer from the server")
        page.unroute("**/studio/api/attachments/*")
        with page.expect_download():
            alert.get_by_role("button", name="Try again").click()
        expect(alert).to_have_count(0)
        page.context.close()
    assert studio.watch.faults == []


def test_what_is_sent_while_its_file_is_on_its_way_waits_for_it(
    studio: Studio, tmp_path: Path
) -> None:
    memo = tmp_path / "memo.txt"
    memo.write_text("Tokyo is the capital of Japan.", encoding="utf-8")
    page = studio.open()
    ready(page)
    page.route("**/studio/api/attachments?*", lambda route: None)
    page.locator("input[type=file]").set_input_files(memo)
    say(page, "What is this?")
    waits = page.get_by_text("Is sent as soon as its files are there.")
    expect(waits).to_be_visible()
    assert serious(page) == []
    # Changed words are not those that were sent.
    field_of(page).press("End")
    field_of(page).press_sequentially("!")
    expect(waits).to_have_count(0)
    field_of(page).press("Enter")
    expect(waits).to_be_visible()
    page.get_by_role("button", name="Do not send yet").click()
    expect(waits).to_have_count(0)
    field_of(page).press("Enter")
    expect(waits).to_be_visible()
    page.unroute("**/studio/api/attachments?*")  # lets go of what was held
    finished(page)
    question = page.locator("article.question")
    expect(question).to_contain_text("What is this?!")
    expect(question.get_by_role("button", name="memo.txt")).to_be_visible()
    expect(field_of(page)).to_have_value("")
    page.context.close()


def test_what_is_sent_before_the_models_are_named_waits_for_them(studio: Studio) -> None:
    page = studio.open()
    ready(page)
    page.route("**/v1/models", lambda route: None)
    page.reload()
    field_of(page).fill("Hello")
    field_of(page).press("Enter")
    expect(page.get_by_text("Is sent as soon as the server has named its models.")).to_be_visible()
    page.unroute("**/v1/models")  # lets go of those that were held
    finished(page)
    expect(page.locator("article.question")).to_contain_text("Hello")
    page.context.close()


def test_a_refused_file_is_told_and_its_list_stays_a_list(studio: Studio, tmp_path: Path) -> None:
    huge = tmp_path / "huge.bin"
    with huge.open("wb") as file:
        file.truncate(20_000_000)
    memo = tmp_path / "memo.txt"
    memo.write_text("here", encoding="utf-8")
    page = studio.open()
    ready(page)
    page.route("**/studio/api/attachments?*", lambda route: None)  # it is under way for long
    page.locator("input[type=file]").set_input_files([huge, memo])
    files = page.get_by_role("list", name="Attached files").get_by_role("listitem")
    expect(files).to_have_count(2)
    refused = files.first.get_by_role("alert")
    expect(refused).to_have_text(re.compile(r"huge\.bin.* at most 10\.5 MB"))
    expect(files.last.get_by_role("status")).to_have_text("memo.txt Being sent to the server")
    assert serious(page) == []
    page.context.close()


def test_only_models_that_answer_are_counted(studio: Studio, models: Models) -> None:
    models.names_shown = [SMALL, OTHER, "third", "fourth", "fifth"]
    page = studio.open()
    ready(page)
    page.get_by_role("button", name="Compare").click()
    box = page.locator(".compare")
    for name in (OTHER, "third", "fourth"):
        box.get_by_label(name, exact=True).check()
    expect(page.get_by_role("button", name="4 models")).to_be_visible()
    expect(box.get_by_label("fifth", exact=True)).to_be_disabled()
    # It was ticked, and now it is the one that the others stand beside.
    page.locator(".picker select").select_option(OTHER)
    expect(page.get_by_role("button", name="3 models")).to_be_visible()
    box.get_by_label("fifth", exact=True).check()
    expect(page.get_by_role("button", name="4 models")).to_be_visible()
    models.names_shown.remove("third")
    page.reload()
    ready(page)
    page.get_by_role("button", name="3 models").click()
    expect(box.get_by_label(SMALL, exact=True)).to_be_enabled()
    say(page, "Which of you?")
    finished(page, 3)
    assert len(models.asked) == 3


def test_an_example_that_is_tried_keeps_what_was_typed(studio: Studio, models: Models) -> None:
    page = studio.open()
    ready(page)
    field_of(page).fill("half a thought")
    page.get_by_role("button", name="What is the capital of Japan?").click()
    expect(finished(page)).to_contain_text("Tokyo.")
    expect(field_of(page)).to_have_value("half a thought")
    page.reload()
    expect(field_of(page)).to_have_value("half a thought")


def test_two_presses_send_once(studio: Studio, models: Models) -> None:
    page = studio.open()
    ready(page)
    page.get_by_role("button", name="What is the capital of Japan?").evaluate(
        "(button) => { button.click(); button.click(); }"
    )
    finished(page)
    page.wait_for_timeout(200)
    assert len(models.asked) == 1
    listed = page.request.get(f"{studio.stage.address}/studio/api/conversations").json()
    assert len(listed["data"]) == 1


def test_what_is_typed_right_after_sending_is_not_lost(studio: Studio, models: Models) -> None:
    models.hold = 0
    page = studio.open()
    ready(page)
    field_of(page).fill("one")
    page.evaluate(
        """async () => {
          const field = document.querySelector('.composer textarea');
          field.form.requestSubmit();
          await Promise.resolve(); // keys and clicks of a person have at least this between them
          const now = document.querySelector('.composer textarea');
          now.focus();
          document.execCommand('insertText', false, 'two');
        }"""
    )
    expect(page.locator("article.question .bubble")).to_have_text("one")
    expect(field_of(page)).to_have_value("two")


def test_waiting_counts_from_the_asking_although_the_clock_was_set(
    studio: Studio, models: Models
) -> None:
    models.hold = 0
    page = studio.open(init="const now = Date.now; Date.now = () => now() + 3_600_000;")
    say(page, "Hello")
    waiting = page.locator(".waiting")
    expect(waiting).to_contain_text("Sent, ")
    seconds = int("".join(c for c in waiting.inner_text() if c.isdigit()))
    assert seconds < 60


@pytest.mark.parametrize("how", ["stopped", "failed"])
def test_screen_readers_hear_of_no_completion_that_was_none(
    studio: Studio, models: Models, how: str
) -> None:
    error = None if how == "stopped" else ProviderError("It broke.")
    models.answer = Reply("One two three", error=error, fail_after=2)
    models.hold = 2
    page = studio.open()
    say(page, "Go.")
    expect(replies(page).last).to_contain_text("One two")
    live = page.locator(".dock > [aria-live=polite]")
    if how == "stopped":
        page.keyboard.press("Escape")
        expect(live).to_contain_text("Stopped by you.")
    else:
        models.go.set()
        finished(page)
        expect(live).to_contain_text("The reply broke off.")
    expect(live).not_to_contain_text("complete")


def test_screen_readers_hear_what_is_waited_for(studio: Studio, models: Models) -> None:
    models.answer = Reply("Done.", progress=(Progress("loading", 1, 2), Progress("reading", 1, 2)))
    models.hold = 1
    page = studio.open()
    say(page, "Go.")
    expect(page.locator(".dock > [aria-live=polite]")).to_contain_text("Loading the model")


def test_between_replies_the_keyboard_stays_where_it_is(studio: Studio, models: Models) -> None:
    page = studio.open()
    say(page, "Hello")
    finished(page)
    for count in (2, 3):
        models.answer = f"Number {count}."
        again = page.get_by_role("button", name="Answer again")
        again.focus()
        page.keyboard.press("Enter")
        expect(finished(page)).to_contain_text(f"Number {count}.")
        expect(field_of(page)).to_be_focused()
    earlier = page.get_by_role("button", name="Earlier reply")
    earlier.focus()
    page.keyboard.press("Enter")
    expect(replies(page).last).to_contain_text("Number 2.")
    expect(earlier).to_be_focused()
    page.keyboard.press("Enter")
    expect(replies(page).last).to_contain_text("Tokyo.")
    expect(earlier).to_be_focused()
    page.keyboard.press("Enter")  # there is none before the first
    expect(replies(page).last).to_contain_text("Tokyo.")


def test_only_the_newest_failure_is_tried_again(studio: Studio, models: Models) -> None:
    models.answer = ProviderError("It broke.")
    page = studio.open()
    say(page, "First")
    finished(page)
    models.answer = "Here."
    say(page, "Second")
    expect(finished(page, 2)).to_contain_text("Here.")
    # A retry up there would take what was said since out of sight.
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(replies(page).first).to_contain_text("It broke.")
    asked = [[message.role for message in request.prompt] for request in models.asked]  # type: ignore[union-attr]
    # Many templates take nothing but turns in alternation.
    assert asked[-1] == ["user"]
    assert "First" in str(models.asked[-1].prompt)


def test_a_conversation_stays_with_its_model(studio: Studio, models: Models) -> None:
    page = studio.open()
    say(page, "Hello")
    expect(finished(page).locator(".who")).to_have_text(SMALL)
    # Another client has its model loaded, and this one is put away.
    models.loaded = OTHER
    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.locator("tr").filter(has_text=OTHER)).to_contain_text("In memory")
    page.go_back()
    ready(page)
    expect(page.locator(".picker select")).to_have_value(SMALL)


def test_language_and_colours_change_under_a_running_reply(studio: Studio, models: Models) -> None:
    models.answer = "One two three four five six."
    models.hold = 2
    page = studio.open()
    say(page, "Count.")
    expect(replies(page).last).to_contain_text("One")
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_label("日本語").check()
    page.get_by_label("暗い").check()
    page.go_back()
    expect(page.get_by_role("button", name="停止")).to_be_visible()
    models.go.set()
    expect(finished(page)).to_contain_text("One two three four five six.")
    expect(page.get_by_role("button", name="別の返答を求める")).to_be_visible()
    assert len(models.asked) == 1


HAIKU = "古池や蛙飛びこむ水の音"


@pytest.mark.parametrize("viewport", [None, PHONE])
def test_without_any_storage_a_person_can_still_talk(
    studio: Studio, models: Models, viewport: dict[str, int] | None
) -> None:
    models.answer = HAIKU
    page: Page = studio.open(
        viewport=viewport,
        locale="ja-JP",
        init="for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window,"
        " name, { get() { throw new DOMException('closed', 'SecurityError'); } });",
    )
    say(page, "一句お願いします")
    expect(finished(page)).to_contain_text(HAIKU)
    page.get_by_role("link", name="設定").click()
    page.get_by_label("English").check()
    expect(page.get_by_role("alert").filter(has_text="Not kept")).to_be_visible()
    page.go_back()
    expect(replies(page).last).to_contain_text(HAIKU)


def test_a_key_can_be_entered_above_a_phones_keyboard(browser: Browser, models: Models) -> None:
    with run_server(models, key="sesame-open") as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open("/chat", viewport={"width": 390, "height": 360}, touch=True)
        page.get_by_label("Key", exact=True).fill("sesame-open")
        for reached in (page.get_by_role("button", name="Use this key"), field_of(page)):
            reached.scroll_into_view_if_needed()
            expect(reached).to_be_in_viewport(ratio=0.9)
        page.get_by_role("button", name="Use this key").tap()
        ready(page)
        page.context.close()
    assert studio.watch.faults == []


def test_a_model_that_speaks_japanese_is_offered_japanese_to_try(
    studio: Studio, models: Models
) -> None:
    models.names_shown = [SMALL, OTHER]
    page = studio.open(locale="ja-JP")
    ready(page)
    expect(page.locator(".example").first).to_have_text("What is the capital of Japan?")
    page.locator(".picker select").select_option(OTHER)
    expect(page.locator(".example").first).to_have_text("日本の首都はどこですか。")


def test_a_message_that_the_server_does_not_answer_can_be_taken_back(
    studio: Studio, models: Models
) -> None:
    page = studio.open()
    say(page, "Hello")
    finished(page)
    held: list[Route] = []
    ended: list[str] = []

    def note(request: Request) -> None:
        if "Precious" in (request.post_data or ""):  # others may fail, too: the page's news
            ended.append(request.url)

    page.on("requestfailed", note)
    address = "**/studio/api/conversations/*/messages"

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)  # never answered

    page.route(address, hold)
    say(page, "Precious")
    say(page, "And more")
    unsent = page.locator(".unsent")
    expect(unsent.get_by_text("The server has not answered yet.")).to_be_visible()
    expect(unsent.get_by_text(re.compile(r"^\d+ s$"))).to_be_visible()
    later = page.get_by_role("region", name="Messages that wait").get_by_role("listitem")
    expect(later).to_contain_text("And more")
    expect(later).to_contain_text("Goes out after the message above.")
    unsent.get_by_role("button", name="Edit").click()
    expect(field_of(page)).to_have_value("Precious")
    expect(unsent).to_have_count(0)
    finished(page, 2)  # what was said after it
    assert len(ended) == 1
    assert len(models.asked) == 2
    expect(page.locator("article.question").last).to_contain_text("And more")
