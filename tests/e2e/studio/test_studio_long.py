"""A conversation of 2,000 messages and 5 MB, and messages that are long by themselves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect
from studio_stage import Models, Stage, Studio, field_of, finished, ready, replies, say

from kataribe.store.tables import conversations, messages

LONG = "longconversation0001"
COUNT = 2000
PARAGRAPH = "The night is long and the tale goes on; **bold** words and `code` stand in it. " * 8


def _id(number: int) -> str:
    return f"message{number:013d}"


def fill(stage: Stage, count: int = COUNT) -> None:
    """Puts a long conversation into the database, as rows."""
    rows = []
    for number in range(count):
        asks = number % 2 == 0
        text = f"Question {number}?" if asks else f"Answer {number}.\n\n" + f"{PARAGRAPH}\n\n" * 8
        rows.append(
            {
                "id": _id(number),
                "conversation": LONG,
                "parent": _id(number - 1) if number else None,
                "role": "user" if asks else "assistant",
                "state": "sent" if asks else "done",
                "text": text,
                "model": None if asks else stage.models.loaded,
                "finish": None if asks else "stop",
                "created_at": float(number),
            }
        )
    with stage.store.writing() as tx:
        tx.execute(
            conversations.insert().values(
                id=LONG,
                owner="local",
                title="Long",
                head=_id(count - 1),
                created_at=1.0,
                updated_at=1.0,
            )
        )
        tx.execute(messages.insert(), rows)


def _place(page: Page, number: int) -> float:
    """Where a message stands, in pixels below the top of what is seen."""
    return float(
        page.evaluate(
            "(id) => document.getElementById('message-' + id).getBoundingClientRect().top"
            " - document.querySelector('.scroller').getBoundingClientRect().top",
            _id(number),
        )
    )


def test_a_long_conversation_opens_at_its_end_and_draws_what_is_seen(
    studio: Studio, models: Models
) -> None:
    fill(studio.stage)
    page = studio.open(f"/chat/{LONG}")
    expect(replies(page).last).to_contain_text(f"Answer {COUNT - 1}.")
    assert page.locator("article").count() < 60
    distance = page.evaluate(
        "(() => { const box = document.querySelector('.scroller');"
        " return box.scrollHeight - box.clientHeight - box.scrollTop; })()"
    )
    assert distance < 2
    ready(page)
    say(page, "And then?")
    expect(page.locator("article.question").last).to_contain_text("And then?")
    expect(page.locator("article.reply").last).to_contain_text("Tokyo.")


def test_scrolling_up_reads_more_and_nothing_jumps(studio: Studio, models: Models) -> None:
    fill(studio.stage)
    page = studio.open(f"/chat/{LONG}")
    expect(replies(page).last).to_contain_text(f"Answer {COUNT - 1}.")
    ready(page)  # with the models named, a line about them takes room below
    page.mouse.move(700, 300)
    # Each frame: where do the messages stand that were there in the one before?
    page.evaluate(
        """() => {
          window.jumps = [];
          const box = document.querySelector('.scroller');
          let before = new Map();
          const look = () => {
            const now = new Map();
            for (const at of document.querySelectorAll('article[id]')) {
              const { top, bottom } = at.getBoundingClientRect();
              if (bottom > 0 && top < innerHeight) now.set(at.id, top);
            }
            const moved = [...now].flatMap(([id, top]) =>
              before.has(id) ? [top - before.get(id)] : []);
            if (moved.length > 0) window.jumps.push([Math.min(...moved), Math.max(...moved)]);
            before = now;
            requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        }"""
    )
    frame = (
        "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
    )
    for _ in range(40):
        page.mouse.wheel(0, -600)
        page.evaluate(frame)  # two turns of the wheel in one frame would be twice as far
        page.wait_for_timeout(60)
    still = _settled(page)
    seen = page.locator("article.reply").first
    expect(seen).to_contain_text("Answer")
    jumps = page.evaluate("window.jumps")
    # The wheel goes one way; what comes in above may not push what is seen the other way.
    assert min(low for low, _ in jumps) > -2, "what was seen moved up while scrolling up"
    assert max(high for _, high in jumps) <= 1300, "what was seen jumped away"
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('.scroller').scrollTop") == still
    assert page.locator("article").count() < 80


def _settled(page: Page) -> float:
    """Where the messages are scrolled to, once they have stood there for a second."""
    last = -1.0
    for _ in range(30):
        at = float(page.evaluate("document.querySelector('.scroller').scrollTop"))
        if at == last:
            return at
        last = at
        page.wait_for_timeout(1000)
    raise AssertionError(f"the messages still move, at {last}")


def test_every_message_has_an_address(studio: Studio, models: Models) -> None:
    fill(studio.stage)
    page = studio.open(f"/chat/{LONG}#{_id(501)}")
    expect(page.locator(f"#message-{_id(501)}")).to_contain_text("Answer 501.")
    expect(page.locator(".addressed")).to_have_count(1)
    # Those above it are drawn too, when the page has nothing else to do, and stand in order. It
    # is itself so long that what is below it need not be.
    for number in range(499, 502):
        expect(page.locator(f"#message-{_id(number)}")).to_be_attached()
    places = [_place(page, number) for number in range(499, 502)]
    assert all(above < below for above, below in pairwise(places))
    assert -5 < places[2] < 200


@pytest.mark.slow
def test_the_middle_of_everything_can_be_dragged_to(studio: Studio, models: Models) -> None:
    fill(studio.stage)
    page = studio.open(f"/chat/{LONG}")
    expect(replies(page).last).to_contain_text(f"Answer {COUNT - 1}.")
    page.evaluate(
        "const box = document.querySelector('.scroller'); box.scrollTop = box.scrollHeight / 2"
    )
    expect(replies(page).nth(2)).to_be_attached()
    numbers = page.evaluate(
        "[...document.querySelectorAll('article.question .bubble')]"
        ".map((at) => Number(at.textContent.match(/[0-9]+/)[0]))"
    )
    assert numbers == sorted(numbers)
    assert 500 < numbers[0] < 1500


def test_a_message_of_many_characters_is_shown_in_part(studio: Studio, models: Models) -> None:
    page = studio.open()
    ready(page)
    field_of(page).evaluate(
        "(field) => { const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype,"
        " 'value').set; set.call(field, 'x'.repeat(300_000));"
        " field.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    field_of(page).press("Enter")
    finished(page)
    question = page.locator("article.question")
    expect(question).to_contain_text("294,000 characters are left")
    question.get_by_role("button", name="Show more").click()
    expect(question).to_contain_text("194,000 characters are left")
