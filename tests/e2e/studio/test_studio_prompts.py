"""Prompts in the studio: written, tried side by side, compared, and found again."""

from __future__ import annotations

import json
import os
import re
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

import pytest
from page_checks import KNOWN, foreign_words, walk
from playwright.sync_api import Locator, Page, expect
from studio_stage import DESKTOP, OTHER, PHONE, SMALL, InputMethod, Models, Studio, serious

from kataribe.base.errors import ProviderError
from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.run.providers import Reply

TEXT = "Translate {{word}} into {{language}}."
NAMES = KNOWN | {"Way"}


def echo(request: Request) -> Reply:
    """Says what it was asked."""
    return Reply(text_of(request.prompt[-1]))


def post(studio: Studio, path: str, body: object) -> dict[str, object]:
    """Asks the server as another program would."""
    asked = HTTPRequest(
        f"{studio.stage.address}/studio/api/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(asked) as answer:
        return json.load(answer)


def made(studio: Studio, *texts: str, name: str = "translate") -> str:
    """A prompt with these versions; its id."""
    body = {"name": name, "text": texts[0], "note": "the first"}
    id_ = str(post(studio, "prompts", body)["summary"]["id"])  # type: ignore[index]
    for text in texts[1:]:
        post(studio, f"prompts/{id_}/versions", {"text": text, "note": "another"})
    return id_


def cell(page: Page, way: int, row: int) -> Locator:
    return page.get_by_label(f"Answers of way {way} to input {row}", exact=True)


def fill(page: Page, row: int, **values: str) -> None:
    for name, value in values.items():
        page.get_by_label(f"{name} of input {row}", exact=True).fill(value)


def below(page: Page) -> float:
    """How far the last of five inputs stands below the first line of the bench."""
    head = page.get_by_role("heading", name="Side by side").bounding_box()
    last = cell(page, 1, 5).bounding_box()
    assert head is not None
    assert last is not None
    return last["y"] - head["y"]


def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look (`STUDIO_SHOTS` names the folder)."""
    folder = os.environ.get("STUDIO_SHOTS")
    if folder:
        page.screenshot(path=f"{folder}/prompts-{name}.png")


def test_the_empty_page_teaches_with_an_example_that_runs(studio: Studio, models: Models) -> None:
    models.answer = echo
    page = studio.open("/prompts")
    expect(page.get_by_text("There are no prompts yet")).to_be_visible()
    assert not serious(page)
    shot(page, "empty")
    page.get_by_role("link", name="Begin with an example").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile("{{thing}}"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("/prompts/explain$"))
    page.get_by_role("button", name="Run all").click()
    expect(cell(page, 1, 2)).to_contain_text("Explain gravity to an engineer")
    expect(cell(page, 2, 1)).to_contain_text("rainbow")
    shot(page, "example")
    page.reload()
    expect(cell(page, 1, 2)).to_contain_text("Explain gravity to an engineer")


def test_prompts_are_found_deleted_and_brought_back(studio: Studio) -> None:
    made(studio, TEXT)
    made(studio, "Sum up {{text}}", "Sum up {{text}} in a line", name="要約")
    page = studio.open("/prompts")
    rows = page.locator("li.prompt")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("version 2")
    expect(rows.first).to_contain_text("another")
    shot(page, "list")
    page.keyboard.press("/")
    page.keyboard.type("trans")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Delete translate").click()
    expect(page.get_by_text("translate was deleted.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(1)
    rows.first.get_by_role("link").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(TEXT)
    page.go_back()
    expect(page.get_by_label("Search")).to_have_value("trans")
    assert not serious(page)


def test_one_is_written_and_saved_as_versions(studio: Studio) -> None:
    page = studio.open("/prompts/-new")
    page.get_by_label("Name", exact=True).fill("a b")
    expect(page.get_by_text("This cannot be a name")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("greet")
    text = page.get_by_label("Text", exact=True)
    text.fill("Greet {{whom}} at {{1st}}")
    expect(page.get_by_text("Line 1: {{1st}} begins no variable.")).to_be_visible()
    text.fill("Greet {{whom}}")
    expect(page.locator(".variables code")).to_have_text(["whom"])
    page.reload()
    expect(text).to_have_value("Greet {{whom}}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile("/prompts/greet$"))
    text.fill("Greet {{whom}} warmly")
    page.get_by_label("Note on this version").fill("warmer")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    page.get_by_role("tab", name="Versions").click()
    expect(page.locator(".diff .plus")).to_contain_text("+Greet {{whom}} warmly")
    expect(page.locator(".diff .minus")).to_contain_text("-Greet {{whom}}")
    expect(page.locator(".versions > li").first).to_contain_text("warmer")
    shot(page, "versions")
    assert not serious(page)
    page.reload()
    expect(page.locator(".diff .plus")).to_be_visible()
    page.get_by_label("From").select_option("2")
    expect(page.get_by_text("They say the same.")).to_be_visible()
    page.get_by_role("button", name="Open in the editor: version 1").click()
    expect(text).to_have_value("Greet {{whom}}")


def test_ways_are_run_side_by_side_with_repeats(studio: Studio, models: Models) -> None:
    made(studio, TEXT, "Say {{word}} in {{language}}.")
    models.answer = echo
    page = studio.open("/prompts/translate")
    fill(page, 1, word="cat", language="French")
    page.get_by_role("button", name="Add a row").click()
    fill(page, 2, word="dog", language="Latin")
    page.get_by_role("button", name="Add a way").click()
    second = page.get_by_role("group", name="Way 2", exact=True)
    second.get_by_label("Model").select_option(OTHER)
    second.get_by_label("Version").select_option("1")
    page.get_by_label("Repeats").select_option("2")
    page.get_by_role("button", name="Run all").click()
    expect(cell(page, 1, 1).locator(".answer-words")).to_have_text(["Say cat in French."] * 2)
    expect(cell(page, 2, 2).locator(".answer-words")).to_have_text(
        ["Translate dog into Latin."] * 2
    )
    expect(page.get_by_role("button", name="Run all")).to_be_visible()
    sums = page.locator(".sum")
    expect(sums.first).to_contain_text("100%")
    expect(sums.first).to_contain_text("no charge")
    expect(sums.nth(1)).to_contain_text("about $")
    shot(page, "bench")
    assert not serious(page)
    page.get_by_role("tab", name="Answers").click()
    expect(page.locator(".kept-answers > li")).to_have_count(8)
    page.get_by_label("Answers of", exact=True).select_option("1")
    expect(page.locator(".kept-answers > li")).to_have_count(4)
    shot(page, "answers")
    assert not serious(page)


def test_steps_fold_and_errors_stand_in_their_cell(studio: Studio, models: Models) -> None:
    made(studio, "What is {{sum}}?")

    def script(request: Request) -> Reply:
        if "2+2" in text_of(request.prompt[-1]):
            raise ProviderError("The host is away.")
        return Reply("It is so. Answer: 7")

    models.answer = script
    page = studio.open("/prompts/translate")
    fill(page, 1, sum="3+4")
    page.get_by_role("button", name="Add a row").click()
    fill(page, 2, sum="2+2")
    page.get_by_label("Technique").select_option("self-consistency")
    page.get_by_role("button", name="Run all").click()
    expect(cell(page, 1, 2).get_by_role("alert")).to_contain_text("The host is away.")
    steps = cell(page, 1, 1).locator("details.steps")
    expect(steps).not_to_have_attribute("open", "")
    steps.locator("summary").first.click()
    expect(steps.locator("li.step").first).to_be_visible()
    shot(page, "steps")
    assert not serious(page)


def test_the_queue_moves_and_is_stopped(studio: Studio, models: Models) -> None:
    made(studio, "Say {{word}}.")
    models.answer = Reply("one two three four five six")
    models.hold = 3
    page = studio.open("/prompts/translate")
    page.get_by_text("Paste a table").click()
    page.get_by_label("Rows, with tabs or commas between the values").fill("word\na\nb\nc\nd\ne")
    page.get_by_role("button", name="Add 5 rows").click()
    before = below(page)
    page.get_by_role("button", name="Run all").click()
    expect(page.get_by_text("3 are asked, 2 wait")).to_be_visible()
    assert below(page) == before, "nothing jumps while it is written"
    shot(page, "queue")
    page.get_by_role("button", name="Stop way 1 on input 5").click()
    expect(page.get_by_text("3 are asked, 1 wait")).to_be_visible()
    page.get_by_role("button", name="Stop all").click()
    expect(page.get_by_role("button", name="Run all")).to_be_visible()
    expect(cell(page, 1, 1)).to_contain_text("Stopped.")
    models.hold = None
    page.get_by_role("button", name="Run way 1 on input 2").click()
    expect(cell(page, 1, 2)).to_contain_text("one two three four five six")


def test_a_table_is_pasted_into_a_field(studio: Studio) -> None:
    made(studio, TEXT)
    page = studio.open("/prompts/translate")
    field = page.get_by_label("word of input 1", exact=True)
    field.evaluate(
        """(field) => {
          const data = new DataTransfer();
          data.setData("text/plain", "cat\\tFrench\\ndog\\tLatin\\n");
          field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true,
            cancelable: true }));
        }"""
    )
    expect(page.get_by_label("language of input 2", exact=True)).to_have_value("Latin")
    page.reload()
    expect(page.get_by_label("word of input 1", exact=True)).to_have_value("cat")


def test_composing_never_saves_or_runs(studio: Studio, models: Models) -> None:
    page = studio.open("/prompts/-new", locale="ja-JP")
    field = page.get_by_label("名前", exact=True)
    field.click()
    method = InputMethod(page)
    method.compose("ほんやく")
    method.enter()
    method.commit("翻訳")
    expect(field).to_have_value("翻訳")
    expect(page).to_have_url(re.compile("/prompts/-new$"))
    assert models.asked == []


@pytest.mark.parametrize("place", ["/prompts", "/prompts/translate"])
@pytest.mark.parametrize(("locale", "dark"), [("en-US", False), ("ja-JP", True)])
def test_it_fits_a_phone_in_both_languages(
    studio: Studio, place: str, locale: str, dark: bool
) -> None:
    made(studio, TEXT)
    page = studio.open(place, locale=locale, viewport=PHONE, dark=dark, touch=True)
    expect(page.locator("li.prompt, .bench-cards").first).to_be_visible()
    over = page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        "(document.querySelector('.page'))"
    )
    assert over <= 0
    shot(page, f"phone-{place.rpartition('/')[2]}-{locale}")
    if place != "/prompts":
        page.locator(".bench-cards").scroll_into_view_if_needed()
        shot(page, f"phone-bench-{locale}")
    assert not serious(page)
    assert foreign_words(page.locator("body"), locale, NAMES | {"translate", SMALL}) == []


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_desktop_speaks_one_language(studio: Studio, locale: str) -> None:
    made(studio, TEXT, TEXT + "!")
    for view in ("", "?view=versions", "?view=answers"):
        page = studio.open(f"/prompts/translate{view}", locale=locale, viewport=DESKTOP)
        expect(page.get_by_role("tab", selected=True)).to_be_visible()
        shot(page, f"desktop-{view[6:]}-{locale}")
        assert foreign_words(page.locator("body"), locale, NAMES) == []


@pytest.mark.parametrize("place", ["/prompts", "/prompts/translate"])
def test_keys_go_through_the_page_in_order(studio: Studio, place: str) -> None:
    made(studio, TEXT)
    page = studio.open(place)
    expect(page.locator("li.prompt, .bench-table").first).to_be_visible()
    assert walk(page)


def test_a_name_that_is_not_there_says_so(studio: Studio) -> None:
    page = studio.open("/prompts/nobody")
    expect(page.get_by_role("heading", name="There is no such prompt")).to_be_visible()
