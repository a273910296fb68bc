"""The models page and the jobs: found, fetched, tried, loaded and deleted with a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from models_stage import FAR, FETCHED, HERE, Shop, open_shop
from page_checks import KNOWN, foreign_words, walk
from playwright.sync_api import Browser, Locator, Page, Route, expect
from studio_stage import (
    DESKTOP,
    PATIENCE,
    PHONE,
    SAFARI_ENTER,
    InputMethod,
    Studio,
    serious,
)

from kataribe.store.job_log import add_line
from kataribe.store.jobs import NewJob, add_job
from kataribe.store.tables import LOCAL, jobs


@pytest.fixture
def shop(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A server that has models and can fetch more."""
    with open_shop(browser, tmp_path, monkeypatch) as shop:
        yield shop


def rows(page: Page) -> Locator:
    """The models that are listed."""
    return page.locator("table.models tbody tr")


def row(page: Page, name: str) -> Locator:
    """The line of one model."""
    return rows(page).filter(has=page.get_by_role("link", name=name, exact=True))


def fetch(page: Page) -> None:
    """Asks for the hub's model."""
    page.get_by_label("Source").fill(FAR)
    page.get_by_label("Source").press("Enter")
    expect(page.get_by_text("The download has begun")).to_be_visible()


def tray(page: Page) -> Locator:
    """The opened tray of jobs."""
    page.locator(".jobs-button").click()
    return page.get_by_role("dialog", name="Jobs")


def test_the_filters_choose_and_live_in_the_address(shop: Shop) -> None:
    page = shop.studio.open("/models")
    expect(row(page, HERE)).to_contain_text(re.compile("On disk|In memory"))
    every = rows(page).count()
    assert every > 15
    page.get_by_label("Task").select_option("base")
    expect(rows(page)).to_have_count(2)
    expect(row(page, "gpt2")).to_contain_text("Continues text")
    page.get_by_label("Task").select_option("")
    page.get_by_label("Language").select_option("ja")
    page.get_by_label("Where").select_option("absent")
    page.get_by_label("Search by name").fill("SARA shina")
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_text(f"2 of {every}")).to_be_visible()
    assert "language=ja" in page.url
    assert "where=absent" in page.url
    page.reload()
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_label("Search by name")).to_have_value("SARA shina")
    rows(page).first.get_by_role("link", name=re.compile("^sarashina")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("sarashina2.2")
    page.go_back()
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Search by name").fill("no such thing")
    expect(page.get_by_text("No model matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").last.click()
    expect(rows(page)).to_have_count(every)
    expect(page.get_by_label("Search by name")).to_be_focused()
    assert "?" not in page.url
    page.get_by_label("Only what fits here").check()
    expect(page.get_by_text("Does not fit")).to_have_count(0)
    assert "fits=1" in page.url


def test_a_model_is_fetched_paused_resumed_tried_and_deleted(shop: Shop) -> None:
    page = shop.studio.open("/models")
    fetch(page)
    button = page.locator(".jobs-button")
    expect(button).to_have_accessible_name(re.compile(r"^Jobs: 1 open, \d+% done$"))
    page.goto(shop.studio.stage.address + "/settings")  # from every page
    job = tray(page).locator(".job")
    expect(job.get_by_role("progressbar")).to_be_visible()
    expect(job).to_contain_text(re.compile(r"Downloading · [\d.]+ kB of [\d.]+ kB"))
    job.get_by_role("button", name="Pause").click()
    expect(job).to_contain_text("Paused")
    expect(job.get_by_role("button", name="Go on")).to_be_focused()
    page.reload()
    job = tray(page).locator(".job")
    expect(job).to_contain_text("Paused")
    shop.hub.quickly.set()
    job.get_by_role("button", name="Go on").click()
    expect(job).to_contain_text("Done")
    ranges = [told for _, told, _ in shop.hub.fake.log if told]
    assert ranges, "it went on with what had arrived, and did not begin anew"
    job.get_by_role("link", name=FETCHED, exact=True).last.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"/models/{FETCHED}$"))
    _try(page)
    _delete(page, shop)


def _try(page: Page) -> None:
    page.get_by_label("What to ask").fill("Tell a tale.")
    page.get_by_label("What to ask").press("Enter")
    expect(page.get_by_role("region", name="Reply")).not_to_be_empty()
    # A few hundred tokens take long where the machine is busy with other things.
    ended = re.compile(r"\d+ tokens in [\d.]+ s")
    expect(page.locator(".taste")).to_contain_text(ended, timeout=4 * PATIENCE)


def _delete(page: Page, shop: Shop) -> None:
    page.get_by_role("button", name=f"Delete {FETCHED}").click()
    asked = page.get_by_role("dialog", name=f"Delete {FETCHED} from this machine?")
    expect(asked).to_contain_text(re.compile(r"Frees [\d.]+ kB"))
    expect(asked).to_contain_text("cannot be undone")
    expect(asked.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(asked).to_be_hidden()
    expect(page.get_by_role("button", name=f"Delete {FETCHED}")).to_be_focused()
    page.keyboard.press("Enter")
    asked.get_by_role("button", name=f"Delete {FETCHED}").click()
    expect(page.get_by_text(re.compile(f"{FETCHED} is deleted. Freed: [1-9]"))).to_be_visible()
    expect(row(page, FETCHED)).to_have_count(0)
    assert not (shop.workspace.models / FETCHED).exists()


def test_a_download_that_is_cancelled_leaves_nothing(shop: Shop) -> None:
    page = shop.studio.open("/models")
    fetch(page)
    page.get_by_role("link", name="Show the job").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".job-log")).to_contain_text("Downloading")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job-state")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Remove from the list")).to_be_focused()
    left = [path.name for path in shop.workspace.downloads.iterdir() if path.name != ".locks"]
    assert left == []
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/jobs$"))
    expect(page.get_by_text("Nothing is running")).to_be_visible()


def test_a_long_log_shows_its_newest_lines_and_older_ones_when_asked(shop: Shop) -> None:
    store = shop.studio.stage.store
    with store.writing() as tx:
        job = add_job(tx, LOCAL, NewJob("download", "Long work", {})).id
        tx.execute(jobs.update().where(jobs.c.id == job).values(state="done"))
        for number in range(1, 2401):
            add_line(tx, job, "info", f"line {number}.")
    page = shop.studio.open(f"/jobs/{job}")
    log = page.get_by_role("list", name="Log")
    lines = log.get_by_role("listitem")
    expect(lines).to_have_count(1000)
    expect(lines.last).to_contain_text("line 2400.")
    expect(lines.last).to_be_in_viewport()
    expect(page.get_by_text("Only the newest 1,000 of 2,400 lines are shown.")).to_be_visible()
    log.evaluate("(box) => box.scrollTo(0, 0)")
    expect(lines.first).to_contain_text("line 1401.")
    expect(lines.first).to_be_in_viewport()
    page.get_by_role("button", name="Show 1,000 older lines").click()
    expect(lines).to_have_count(2000)
    expect(lines.filter(has_text="line 1401.")).to_be_in_viewport()  # what was read stays
    page.get_by_role("button", name="Show 400 older lines").click()
    expect(lines).to_have_count(2400)
    expect(lines.first).to_contain_text("line 1.")
    expect(page.get_by_text("Only the newest")).to_have_count(0)
    expect(log).to_be_focused()


def test_terms_come_first_and_a_failure_says_why_and_is_tried_again(shop: Shop) -> None:
    page = shop.studio.open("/models/gemma-3-270m")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.get_by_text(re.compile(r"253.1 MB to fetch, [\d.]+ GB free"))).to_be_visible()
    page.get_by_role("button", name="Download (").click()
    expect(page.get_by_role("alert").filter(has_text="Accept the terms first.")).to_be_visible()
    consent = page.get_by_label("I have read and accept the Gemma Terms of Use")
    expect(consent).to_be_focused()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Download (").click()
    # pip has no index here, which is what a machine without a network is like.
    failed = page.locator(".job-failure")
    expect(failed).to_contain_text("The source cannot be reached, or broke off.")
    expect(failed.locator("q")).not_to_be_empty()
    expect(page.locator(".jobs-button")).to_have_accessible_name(re.compile("A job has failed"))
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".job-log, .job-state[data-state=failed]").first).to_be_visible()


def test_what_the_hub_refuses_stands_where_it_was_asked(shop: Shop) -> None:
    page = shop.studio.open("/models")
    source = page.get_by_label("Source")
    source.press("Enter")
    expect(page.get_by_text("Enter a source, such as hf:OWNER/NAME.")).to_be_visible()
    expect(source).to_be_focused()
    source.fill("acme/pico")
    source.press("Enter")
    expect(page.get_by_text("A source begins with hf: or pypi:")).to_be_visible()
    expect(source).to_have_value("acme/pico")
    source.fill("hf:acme/nothing")
    source.press("Enter")
    page.get_by_role("link", name="Show the job").click()
    expect(page.locator(".job-state")).to_have_text("Failed")
    expect(page.locator(".job-failure")).to_contain_text("acme/nothing")
    shop.hub.fake.licence = "gemma"
    shop.hub.quickly.set()
    page.goto(shop.studio.stage.address + "/models")
    fetch(page)
    page.get_by_role("link", name="Show the job").click()
    expect(page.get_by_role("link", name="Read the terms")).to_be_visible()
    page.get_by_role("button", name="Accept the terms and try again").click()
    shop.until_here(FETCHED)


def test_a_model_is_loaded_and_unloaded_by_hand(shop: Shop) -> None:
    page = shop.studio.open(f"/models/{HERE}")
    expect(page.get_by_text("Loaded; takes up to")).to_be_visible()  # the default model
    page.get_by_role("button", name="Unload").click()
    expect(page.get_by_text("Not loaded.")).to_be_visible()
    page.get_by_role("button", name="Load now").click()
    expect(page.get_by_text("Stays until it is unloaded.")).to_be_visible()
    page.goto(shop.studio.stage.address + "/models")
    expect(row(page, HERE)).to_contain_text("In memory")


def test_examples_change_by_arrow_keys_and_name_this_server(shop: Shop) -> None:
    page = shop.studio.open(f"/models/{HERE}")
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_text(["curl", "Python", "openai"])
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text(shop.studio.stage.address)
    expect(panel).to_contain_text(HERE)
    tabs.first.focus()
    page.keyboard.press("End")
    expect(tabs.last).to_be_focused()
    expect(panel).to_contain_text("from openai import OpenAI")
    page.keyboard.press("ArrowRight")
    expect(tabs.first).to_have_attribute("aria-selected", "true")


def test_a_trial_says_what_it_waits_for_and_stops(shop: Shop) -> None:
    page = shop.studio.open(f"/models/{HERE}")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)  # a server that says nothing yet

    page.route("**/v1/chat/completions", hold)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".taste")).to_contain_text(re.compile(r"Sent, \d+ s"))
    page.keyboard.press("Escape")
    expect(page.locator(".taste")).to_contain_text("Stopped by you.")
    asked = json.loads(held[0].request.post_data or "")
    assert asked["max_tokens"] == 256, "half of its context: the question needs room too"
    assert asked["messages"] == [{"role": "user", "content": "What is the capital of Japan?"}]
    page.unroute("**/v1/chat/completions")
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            status=500, json={"error": {"message": "It broke.", "code": "internal_error"}}
        ),
    )
    page.get_by_label("What to ask").fill("Still here?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".taste")).to_contain_text("It broke.")
    expect(page.get_by_label("What to ask")).to_have_value("Still here?")


@pytest.mark.parametrize("order", ["chromium", "safari"])
def test_enter_of_an_input_method_sends_nothing(shop: Shop, order: str) -> None:
    page = shop.studio.open("/models")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    for path, label in (("/models", "Source"), (f"/models/{HERE}", "What to ask")):
        page.goto(shop.studio.stage.address + path)
        field = page.get_by_label(label)
        field.focus()
        if order == "chromium":
            method = InputMethod(page)
            method.compose("にほん")
            method.enter()
            method.commit("日本")
            expect(field).to_have_value("日本")
        else:
            field.evaluate(f"(at) => ({SAFARI_ENTER})([at, 229])")
        page.wait_for_timeout(300)
        expect(page.locator(".fault:not(:empty)")).to_have_count(0)
        expect(page.locator(".taste")).to_have_count(0)
    assert not [url for url in sent if "/pull" in url or "/completions" in url]


def test_the_tray_is_reached_by_keys_and_gives_the_focus_back(shop: Shop) -> None:
    page = shop.studio.open("/models")
    button = page.locator(".jobs-button")
    button.focus()
    page.keyboard.press("Enter")
    opened = page.get_by_role("dialog", name="Jobs")
    expect(opened).to_contain_text("Nothing is running")
    page.keyboard.press("Escape")
    expect(opened).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    opened.get_by_role("link", name="All jobs").click()
    expect(opened).to_be_hidden()
    expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()


def test_addresses_of_nothing_say_so(shop: Shop) -> None:
    page = shop.studio.open("/models/no-such-model.gguf")
    expect(page.get_by_role("heading", name="There is no such model")).to_be_visible()
    page.goto(shop.studio.stage.address + "/jobs/00000000000000000000")
    expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()


def test_a_server_without_a_catalogue_lists_what_answers(studio: Studio) -> None:
    page = studio.open("/models")
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_text("This server has no catalogue")).to_be_visible()
    expect(page.locator(".jobs-button")).to_have_count(0)
    page.goto(studio.stage.address + "/jobs")
    expect(page.get_by_text("This server keeps no jobs")).to_be_visible()
    page.goto(studio.stage.address + "/models/storyteller")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("region", name="Reply")).to_have_text("Tokyo.")


DRESSES = [
    ("en-US", False, False),
    ("ja-JP", True, True),
    pytest.param("ja-JP", True, False, marks=pytest.mark.slow),
    pytest.param("en-US", False, True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("locale", "dark", "phone"), DRESSES)
def test_nothing_serious_for_axe_and_nothing_sticks_out(
    shop: Shop, locale: str, dark: bool, phone: bool
) -> None:
    viewport = PHONE if phone else DESKTOP
    page = shop.studio.open("/", locale=locale, dark=dark, viewport=viewport, touch=phone)
    begun = page.request.post(
        shop.studio.stage.address + "/studio/api/catalog/pull",
        data={"model": FAR},
        headers={"Origin": shop.studio.stage.address},
    )
    job = begun.json()["id"]
    for path in ("/models", f"/models/{HERE}", "/models/gemma-3-270m", "/jobs", f"/jobs/{job}"):
        page.goto(shop.studio.stage.address + path)
        expect(page.locator("table.models, .verdict, .job").first).to_be_visible()
        assert serious(page) == [], path
        assert _sticks_out(page) == [], path
        known = KNOWN | {HERE, "Gemma", "Google", "Terms", "Use"}  # names
        assert foreign_words(page.locator("body"), locale, known) == [], path
    page.locator(".jobs-button").click()
    expect(page.locator("dialog.tray .job")).to_be_visible()
    assert serious(page) == [], "the tray"


def test_keys_go_through_the_pages_in_order(shop: Shop) -> None:
    with shop.studio.stage.store.writing() as tx:
        job = add_job(tx, LOCAL, NewJob("download", "Old work", {})).id
        tx.execute(jobs.update().where(jobs.c.id == job).values(state="done"))
    page = shop.studio.open("/models")
    expect(row(page, HERE)).to_be_visible()
    assert {HERE, "gpt2"} <= set(walk(page))
    for path, name in ((f"/models/{HERE}", "Unload"), ("/jobs", "Remove from the list: Old work")):
        page.goto(shop.studio.stage.address + path)
        button = page.get_by_role("button", name=name)
        expect(button).to_be_visible()
        walk(page)


def _sticks_out(page: Page) -> list[str]:
    return list(
        page.evaluate(
            "[...document.querySelectorAll('main *')].filter((at) => {"
            " const box = at.getBoundingClientRect();"
            " return box.width > 1 && box.right > innerWidth + 1"
            "   && !at.closest('pre, .wide, .unseen'); }).map((at) => at.outerHTML.slice(0, 120))"
        )
    )
