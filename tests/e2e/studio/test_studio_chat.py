"""The chat page: streaming, stopping, errors, drafts, branches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from studio_stage import (
    OTHER,
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
)

from kataribe.base.errors import BusyError, ContextLengthError, ProviderError
from kataribe.base.events import FinishReason, Progress
from kataribe.run.providers.scripted import Reply

POEM = "\n\n".join(f"Line {n}: the night is long and the tale goes on." for n in range(60))


def test_words_stream_in_and_are_counted(studio: Studio, models: Models) -> None:
    models.answer = Reply("One two three four five six seven eight nine ten.", pace=0.01)
    models.hold = 2
    page = studio.open()
    say(page, "Count.")
    reply = replies(page).last
    expect(reply.locator(".prose")).to_have_text("One two")
    expect(reply).to_have_attribute("aria-busy", "true")
    models.go.set()
    expect(finished(page)).to_contain_text("nine ten.")
    measured = reply.locator(".measured").inner_text()
    assert "49 tokens" in measured  # a scripted token is a byte
    assert "tokens/s" in measured
    assert "first word after" in measured
    expect(page).to_have_url(f"{studio.stage.address}{page.evaluate('location.pathname')}")
    assert page.evaluate("location.pathname").startswith("/chat/")
    say(page, "Again.")
    finished(page, 2)
    spoken = [[message.role for message in request.prompt] for request in models.asked]  # type: ignore[union-attr]
    assert spoken == [["user"], ["user", "assistant", "user"]]


@pytest.mark.parametrize("how", ["button", "escape"])
def test_stop_keeps_the_words_and_frees_the_server(
    studio: Studio, models: Models, how: str
) -> None:
    models.answer = POEM
    models.hold = 4
    page = studio.open()
    say(page, "Recite.")
    expect(replies(page).last).to_contain_text("Line 0: the night")
    if how == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    reply = finished(page)
    expect(reply).to_contain_text("Stopped by you.")
    said = reply.locator(".prose").inner_text()
    expect(field_of(page)).to_be_focused()
    for _ in range(600):
        if models.closed == 1:
            break
        page.wait_for_timeout(50)
    assert models.closed == 1, "the server still writes for nobody"
    assert reply.locator(".prose").inner_text() == said


def test_another_reply_stands_beside_the_first(studio: Studio, models: Models) -> None:
    models.answer = "First."
    page = studio.open()
    say(page, "Hello")
    finished(page)
    models.answer = "Second."
    page.get_by_role("button", name="Answer again").click()
    expect(replies(page).last).to_contain_text("Second.")
    expect(replies(page)).to_have_count(1)
    page.get_by_role("button", name="Earlier reply").click()
    expect(replies(page).last).to_contain_text("First.")
    page.reload()
    expect(replies(page).last).to_contain_text("First.")
    page.get_by_role("button", name="Later reply").click()
    expect(replies(page).last).to_contain_text("Second.")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("length", "Cut: the reply reached the limit"),
        ("content_filter", "Ended by a guard."),
        ("repetition", "begun to repeat itself"),
        ("deadline", "the time for this reply was over"),
        ("budget", "the budget for this reply was spent"),
    ],
)
def test_an_ending_that_is_no_end_is_said(
    studio: Studio, models: Models, reason: FinishReason, words: str
) -> None:
    models.answer = Reply("A tale that", reason=reason, detail="as scripted")
    page = studio.open()
    say(page, "Tell.")
    expect(finished(page)).to_contain_text(words)


def test_waiting_shows_numbers_that_move(studio: Studio, models: Models) -> None:
    steps = {
        "In the queue: place 2 of 3": Progress("queued", 2, 3),
        "Loading the model: 49.0 MB of 98.0 MB": Progress("loading", 49_000_000, 98_000_000),
        "Reading: 512 of 1,024 tokens": Progress("reading", 512, 1024),
    }
    models.answer = Reply("Done.", progress=tuple(steps.values()))
    page = studio.open()
    waiting = replies(page).last.locator(".waiting")
    models.hold = 0
    say(page, "Wait.")
    for place, words in enumerate(["Sent, ", *steps]):
        models.hold = place
        expect(waiting).to_contain_text(words)
    models.go.set()
    expect(finished(page)).to_contain_text("Done.")
    expect(waiting).to_have_count(0)


def test_a_long_wait_says_how_long_still(studio: Studio, models: Models) -> None:
    models.answer = Reply(
        "Done.", progress=(Progress("reading", 100, 1000), Progress("reading", 200, 1000))
    )
    models.hold = 1
    page = studio.open()
    say(page, "Wait.")
    waiting = replies(page).last.locator(".waiting")
    expect(waiting).to_contain_text("Reading: 100 of 1,000 tokens")
    expect(waiting).not_to_contain_text("left")  # nobody knows yet how fast it goes
    page.wait_for_timeout(500)
    models.hold = 2
    expect(waiting).to_contain_text("Reading: 200 of 1,000 tokens")
    # 800 tokens are left where 100 took half a second or more.
    said = re.search(r"about (\d+) s left", waiting.inner_text())
    assert said is not None
    assert int(said[1]) >= 4
    models.go.set()
    expect(finished(page)).to_contain_text("Done.")


def test_what_the_model_thinks_is_folded_away(studio: Studio, models: Models) -> None:
    models.answer = Reply("Yes.", reasoning="Let me see.")
    page = studio.open()
    say(page, "Think.")
    thought = finished(page).locator("details.reasoning")
    expect(thought).not_to_have_attribute("open", "")
    thought.locator("summary").click()
    expect(thought).to_contain_text("Let me see.")


def test_an_error_stands_at_its_message_and_can_be_tried_again(
    studio: Studio, models: Models
) -> None:
    models.answer = ProviderError("The far server burns.")
    page = studio.open()
    say(page, "Hello there")
    alert = finished(page).get_by_role("alert")
    expect(alert).to_contain_text("The server failed")
    expect(alert).to_contain_text("The far server burns.")
    expect(page.locator("article.question")).to_contain_text("Hello there")
    models.answer = "Back again."
    alert.get_by_role("button", name="Try again").click()
    expect(replies(page).last).to_contain_text("Back again.")
    expect(page.get_by_role("alert").filter(has_text="failed")).to_have_count(0)


def test_an_error_in_the_middle_keeps_what_came(studio: Studio, models: Models) -> None:
    models.answer = Reply("One two three", error=ProviderError("It broke."), fail_after=2)
    page = studio.open()
    say(page, "Go.")
    reply = finished(page)
    expect(reply.locator(".prose")).to_have_text("One two")
    expect(reply.get_by_role("alert")).to_contain_text("It broke.")


def test_a_message_that_is_too_long_can_be_shortened_in_its_place(
    studio: Studio, models: Models
) -> None:
    models.answer = ContextLengthError(9000, 8192)
    page = studio.open()
    say(page, "much too long")
    alert = finished(page).get_by_role("alert")
    expect(alert).to_contain_text("longer than the model can read")
    expect(alert).to_contain_text("9000 tokens")
    expect(alert).to_contain_text("8192 tokens")
    field_of(page).fill("and another thought")
    alert.get_by_role("button", name="Edit the message").click()
    editor = page.locator(".editing textarea")
    expect(editor).to_be_focused()
    expect(editor).to_have_value("much too long")
    models.answer = "Short enough."
    editor.fill("short")
    editor.press("Enter")
    expect(finished(page)).to_contain_text("Short enough.")
    expect(page.locator("article.question .bubble")).to_have_text("short")
    expect(field_of(page)).to_have_value("and another thought")
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator("article.question .bubble")).to_have_text("much too long")


def test_a_full_server_is_asked_again(studio: Studio, models: Models) -> None:
    models.answer = BusyError("256 requests wait already.", retry_after=2)
    page = studio.open()
    say(page, "Hello")
    alert = finished(page).get_by_role("alert")
    expect(alert).to_contain_text("The server is full at the moment")
    models.answer = "Now."
    alert.get_by_role("button", name="Try again").click()
    expect(replies(page).last).to_contain_text("Now.")


def test_a_server_that_goes_away_and_comes_back(
    browser: Browser, models: Models, tmp_path: Path
) -> None:
    models.answer = POEM
    models.hold = 4
    with run_server(models, folder=tmp_path) as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        say(page, "Recite.")
        expect(replies(page).last).to_contain_text("Line 0")
        port = int(stage.address.rpartition(":")[2])
        stage.stop()
        lost = page.locator(".dock [role=status]").filter(has_text="The server does not answer")
        expect(lost).to_be_visible()
        field_of(page).fill("said while nobody listens")
        field_of(page).press("Enter")
        alert = page.locator(".unsent").get_by_role("alert")
        expect(alert).to_contain_text("No answer from the server")
        field_of(page).fill("a draft that nobody may lose")
    models.answer = "Here again."
    models.hold = None
    with run_server(models, port=port, folder=tmp_path):
        expect(lost).to_have_count(0)
        interrupted = page.locator("article.reply").first
        expect(interrupted).to_contain_text("Interrupted: the server stopped")
        expect(interrupted.locator(".prose")).to_contain_text("Line 0")
        again = page.locator(".unsent").get_by_role("button", name="Try again")
        if again.count():  # otherwise it has gone out by itself
            again.click()
        expect(page.locator(".unsent")).to_have_count(0)
        expect(finished(page, 2)).to_contain_text("Here again.")
        expect(page.locator("article.question")).to_have_count(2)
        expect(field_of(page)).to_have_value("a draft that nobody may lose")
        page.reload()
        expect(field_of(page)).to_have_value("a draft that nobody may lose")
        page.context.close()
    assert studio.watch.faults == []


def test_a_key_is_asked_for_in_place(browser: Browser, models: Models) -> None:
    with run_server(models, key="sesame-open") as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        field_of(page).fill("my draft")
        form = page.locator(".dock form.key")
        expect(page.locator(".dock").get_by_role("alert")).to_contain_text(
            "This server asks for a key"
        )
        form.get_by_label("Key", exact=True).fill("wrong key")
        form.get_by_role("button", name="Use this key").click()
        expect(form).to_contain_text("letters, digits and signs")
        form.get_by_label("Key", exact=True).fill("wrong-key")
        form.get_by_role("button", name="Use this key").click()
        expect(form).to_be_visible()
        form.get_by_label("Key", exact=True).fill("sesame-open")
        form.get_by_label("Key", exact=True).press("Enter")
        expect(form).to_have_count(0)
        expect(field_of(page)).to_have_value("my draft")
        ready(page)
        field_of(page).press("Enter")
        expect(finished(page)).to_contain_text("Tokyo.")
        # The key is changed behind the page: the message stays, the new key sends it again.
        page.evaluate(
            "localStorage.setItem('kataribe.settings', JSON.stringify({...JSON.parse("
            "localStorage.getItem('kataribe.settings')), key: 'old-key-now'}))"
        )
        page.reload()
        form.get_by_label("Key", exact=True).fill("sesame-open")
        form.get_by_role("button", name="Use this key").click()
        expect(form).to_have_count(0)
        assert "sesame-open" not in page.content()
        page.context.close()
    assert studio.watch.faults == []


def test_a_reply_refused_for_its_key_is_sent_again_with_the_right_one(
    browser: Browser, models: Models
) -> None:
    with restarted_with_key(browser, models, "sesame-open") as page:
        field_of(page).fill("Still here?")
        field_of(page).press("Enter")
        form = page.locator(".unsent form.key")
        form.get_by_label("Key", exact=True).fill("sesame-open")
        form.get_by_role("button", name="Use this key").click()
        expect(replies(page).last).to_contain_text("Tokyo.")


def test_a_reload_joins_the_running_reply_where_it_is(studio: Studio, models: Models) -> None:
    models.answer = POEM
    models.hold = 30
    page = studio.open()
    field_of(page).fill("a first draft")
    page.reload()
    expect(field_of(page)).to_have_value("a first draft")
    say(page, "Recite.")
    expect(replies(page).last).to_contain_text("Line 1")
    field_of(page).fill("a second draft")
    page.reload()
    expect(replies(page).last).to_contain_text("Line 1")
    expect(replies(page).last).to_have_attribute("aria-busy", "true")
    expect(field_of(page)).to_have_value("a second draft")
    models.go.set()
    expect(finished(page)).to_contain_text("Line 59")
    assert finished(page).inner_text().count("Line 1:") == 1
    assert len(models.asked) == 1


def test_a_conversation_is_read_once_however_it_is_opened(studio: Studio, models: Models) -> None:
    page = studio.open()
    say(page, "Hello")
    finished(page)
    talk = page.url.rsplit("/", 1)[1]
    read: list[str] = []

    def note(request: Request) -> None:
        if request.method == "GET" and request.url.endswith(f"/studio/api/conversations/{talk}"):
            read.append(request.url)

    page.on("request", note)
    page.reload()
    expect(finished(page)).to_contain_text("Tokyo.")
    page.wait_for_timeout(500)  # the news have come, and say of nothing more
    assert len(read) == 1
    page.goto(studio.stage.address + "/chat")
    ready(page)
    read.clear()
    page.locator(f'.sidebar a[href*="{talk}"]').first.click()
    expect(finished(page)).to_contain_text("Tokyo.")
    page.wait_for_timeout(500)
    assert len(read) == 1


def test_another_device_sees_the_same_reply(studio: Studio, models: Models) -> None:
    models.answer = "One two three four five six."
    models.hold = 2
    page = studio.open()
    say(page, "Count.")
    expect(replies(page).last).to_contain_text("One")
    page.wait_for_url("**/chat/*")
    other = studio.open(page.evaluate("location.pathname"))
    expect(replies(other).last).to_contain_text("One")
    expect(replies(other).last).to_have_attribute("aria-busy", "true")
    models.go.set()
    for each in (page, other):
        expect(finished(each)).to_contain_text("five six.")


def test_a_reply_goes_on_while_another_page_is_looked_at(studio: Studio, models: Models) -> None:
    models.answer = "One two three four five six seven eight."
    models.hold = 2
    page = studio.open()
    say(page, "Count.")
    expect(replies(page).last).to_contain_text("One")
    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    models.go.set()
    page.go_back()
    expect(finished(page)).to_contain_text("seven eight.")
    expect(finished(page)).not_to_contain_text("Interrupted")


def test_the_chosen_model_answers(studio: Studio, models: Models) -> None:
    page = studio.open()
    ready(page)
    page.get_by_label("Model", exact=True).select_option(OTHER)
    say(page, "Hi")
    expect(finished(page).locator(".who")).to_have_text(OTHER)
    page.reload()
    expect(page.get_by_label("Model", exact=True)).to_have_value(OTHER)


def test_sampling_from_the_settings_is_sent(studio: Studio, models: Models) -> None:
    page = studio.open("/settings")
    page.get_by_label("Temperature").fill("3")
    expect(page.get_by_role("alert").filter(has_text="from 0 to 2")).to_be_visible()
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Top-p").fill("0.9")
    page.get_by_label("Most tokens").fill("３")  # full width, as an input method gives it
    page.get_by_role("link", name="Chat", exact=True).click()
    say(page, "Hi")
    expect(finished(page)).to_contain_text("Cut: the reply reached the limit")
    sampling = models.asked[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.5, 0.9, 3)


def test_an_example_can_be_tried(studio: Studio, models: Models) -> None:
    page = studio.open()
    ready(page)
    page.get_by_role("button", name="What is the capital of Japan?").click()
    expect(finished(page)).to_contain_text("Tokyo.")


def test_no_model_at_all_says_how_to_get_one(studio: Studio, models: Models) -> None:
    models.names_shown = []
    page = studio.open()
    expect(page.get_by_text("No model can be used yet")).to_be_visible()
    expect(page.locator(".command code")).to_have_text(f"kataribe models pull {SMALL}")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.goto(f"{studio.stage.address}/models")
    expect(page.get_by_text("There is no model yet")).to_be_visible()


def test_an_unknown_conversation_and_an_unknown_page_say_so(studio: Studio) -> None:
    page = studio.open("/chat/nowhere")
    expect(page.get_by_text("There is no conversation at this address")).to_be_visible()
    page.goto(f"{studio.stage.address}/nowhere")
    expect(page.get_by_role("heading")).to_have_text("There is no page at this address")


def _distance_to_end(page: Page) -> float:
    return float(
        page.evaluate(
            "(() => { const box = document.querySelector('.scroller');"
            " return box.scrollHeight - box.clientHeight - box.scrollTop; })()"
        )
    )


def test_the_page_follows_the_words_only_at_the_end(studio: Studio, models: Models) -> None:
    models.answer = Reply(POEM, pace=0.004)
    page = studio.open(viewport={"width": 900, "height": 500})
    page.evaluate(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const entry of"
        " list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value; })"
        ".observe({ type: 'layout-shift', buffered: false })"
    )
    say(page, "Recite.")
    composer = page.locator(".composer").bounding_box()
    expect(replies(page).last).to_contain_text("Line 15")
    assert _distance_to_end(page) < 64
    page.mouse.move(400, 200)
    page.mouse.wheel(0, -300)
    expect(page.get_by_role("button", name="To the newest words")).to_be_visible()
    place = page.evaluate("document.querySelector('.scroller').scrollTop")
    expect(replies(page).last).to_contain_text("Line 45")
    assert page.evaluate("document.querySelector('.scroller').scrollTop") == place
    page.get_by_role("button", name="To the newest words").click()
    finished(page)
    assert _distance_to_end(page) < 2
    assert page.locator(".composer").bounding_box() == composer, "the composer moved"
    assert page.evaluate("window.shifts") < 0.01, "the page jumped while words came in"
