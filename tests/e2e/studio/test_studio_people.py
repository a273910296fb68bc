"""Accounts in a browser: signing in and out, sessions, passwords, API keys."""

from __future__ import annotations

import os
import re
from contextlib import suppress

import httpx
import pytest
from playwright.sync_api import Page, expect
from studio_stage import (
    DESKTOP,
    PHONE,
    InputMethod,
    Stage,
    Studio,
    field_of,
    finished,
    ready,
    say,
    serious,
)

from kataribe.store import people
from kataribe.store.ids import now
from kataribe.store.passwords import hashed

PASSWORD = "correct horse battery"
STORED = "JSON.stringify([localStorage, sessionStorage])"
SHOTS = os.environ.get("STUDIO_SHOTS")


@pytest.fixture
def taro(stage: Stage) -> people.Person:
    """The first account."""
    with stage.store.writing() as tx:
        return people.add(tx, "太郎", hashed(PASSWORD), now())[0]


def _sign_in(page: Page, password: str = PASSWORD) -> None:
    page.locator("input[autocomplete=username]").fill("太郎")
    page.locator("input[autocomplete=current-password]").fill(password)
    page.locator("button[type=submit]").click()


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def _sticks_out(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"))


def test_without_accounts_there_is_no_door(studio: Studio) -> None:
    page = studio.open("/sign-in?to=%2Fmodels")
    expect(page).to_have_url(re.compile("/models$"))
    page.goto(studio.stage.address + "/settings")
    expect(page.locator("form.key")).to_be_visible()
    expect(page.locator("section.account")).to_have_count(0)


def test_signing_in_leads_to_where_one_wanted_to_go(studio: Studio, taro: people.Person) -> None:
    del taro
    page = studio.open("/settings?from=link")
    expect(page).to_have_url(re.compile(r"/sign-in\?to=%2Fsettings%3Ffrom%3Dlink$"))
    expect(page.locator("input[autocomplete=username]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Enter your name and your password.")
    _sign_in(page, "not the password")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.locator("input[autocomplete=username]")).to_have_value("太郎")
    _sign_in(page)
    expect(page).to_have_url(re.compile(r"/settings\?from=link$"))
    expect(page.locator("section.account").first).to_contain_text("太郎")
    # The session is out of reach of scripts.
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("section.account").first).to_contain_text("太郎")


@pytest.mark.parametrize("to", ["https://evil.example.org/", "//evil.example.org", "/sign-in"])
def test_the_door_leads_nowhere_else(studio: Studio, taro: people.Person, to: str) -> None:
    del taro
    page = studio.open(f"/sign-in?to={to}")
    _sign_in(page)
    expect(page).to_have_url(studio.stage.address + "/chat")


def test_too_many_tries_count_down(studio: Studio, taro: people.Person) -> None:
    del taro
    page = studio.open("/sign-in")
    # Waits double with each try: where tries are slow, a later one comes within its wait.
    for _ in range(12):
        with page.expect_response("**/sign-in") as answer:
            _sign_in(page, "not the password")
        if answer.value.status != 429:
            continue
        with suppress(AssertionError):  # a wait of a second may be over before one looks
            expect(page.get_by_role("alert")).to_contain_text("Try again in", timeout=3000)
            break
    expect(page.get_by_role("alert")).to_have_text("You can try again now.", timeout=120_000)
    _sign_in(page)
    expect(page).to_have_url(studio.stage.address + "/chat")


def test_an_enter_of_the_input_method_signs_nobody_in(studio: Studio, taro: people.Person) -> None:
    del taro
    page = studio.open("/sign-in", locale="ja-JP")
    page.locator("input[autocomplete=current-password]").fill(PASSWORD)
    page.locator("input[autocomplete=username]").focus()
    typing = InputMethod(page)
    typing.compose("たろう")
    typing.enter()
    typing.commit("太郎")
    page.wait_for_timeout(300)
    expect(page.locator(".fault")).to_be_empty()
    expect(page).to_have_url(re.compile("/sign-in"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(studio.stage.address + "/chat")


def test_signing_out_closes_the_door_and_takes_drafts(studio: Studio, taro: people.Person) -> None:
    del taro
    page = studio.open("/settings")
    _sign_in(page)
    expect(page.locator("section.account").first).to_be_visible()
    page.get_by_label("日本語").check()
    page.goto(studio.stage.address + "/chat")
    field_of(page).fill("wasabimochi")
    page.goto(studio.stage.address + "/settings")
    assert "wasabimochi" in page.evaluate(STORED)
    page.get_by_role("button", name="サインアウト", exact=True).click()
    expect(page).to_have_url(re.compile("/sign-in$"))
    expect(page.locator("html")).to_have_attribute("lang", "ja")  # what is nobody's stays
    assert "wasabimochi" not in page.evaluate(STORED)
    page.goto(studio.stage.address + "/chat")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_somebody_else_in_another_tab_sees_nothing_of_the_one_before(
    studio: Studio, stage: Stage, taro: people.Person
) -> None:
    del taro
    with stage.store.writing() as tx:
        people.add(tx, "花子", hashed(PASSWORD), now())
    page = studio.open("/chat")
    _sign_in(page)
    say(page, "wasabimochi")
    finished(page)
    field_of(page).fill("half a thought")
    other = page.context.new_page()
    other.goto(stage.address + "/settings")
    other.get_by_role("button", name="Sign out", exact=True).click()
    expect(other).to_have_url(re.compile("/sign-in$"))
    expect(page).to_have_url(re.compile("/sign-in"))
    other.locator("input[autocomplete=username]").fill("花子")
    other.locator("input[autocomplete=current-password]").fill(PASSWORD)
    other.locator("button[type=submit]").click()
    ready(other)
    page.goto(stage.address + "/chat")
    ready(page)
    expect(field_of(page)).to_have_value("")
    expect(page.locator("body")).not_to_contain_text("wasabimochi")


def test_a_session_that_ended_elsewhere_asks_again(
    studio: Studio, stage: Stage, taro: people.Person
) -> None:
    page = studio.open("/settings")
    _sign_in(page)
    expect(page.locator("section.account").first).to_be_visible()
    with stage.store.writing() as tx:
        people.set_disabled(tx, taro.id, disabled=True)
    page.get_by_label("Name of a new key").fill("laptop")
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_text("The session has ended").first).to_be_visible()
    expect(page.get_by_label("Name of a new key")).to_have_value("laptop")


def test_keys_are_made_shown_once_and_deleted_by_name(studio: Studio, taro: people.Person) -> None:
    del taro
    page = studio.open("/settings")
    _sign_in(page)
    page.get_by_label("Name of a new key").fill("laptop")
    page.keyboard.press("Enter")
    shown = page.locator(".made code")
    expect(shown).to_have_text(re.compile("^sk-kataribe-"))
    key = shown.text_content() or ""
    models = httpx.get(
        studio.stage.address + "/v1/models",
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert models.status_code == 200
    page.get_by_role("button", name="I have copied it").click()
    expect(shown).to_have_count(0)
    page.reload()
    row = page.locator("ul.things li", has_text="laptop")
    expect(row).to_contain_text(key[:16])
    assert key not in page.content()
    row.get_by_role("button", name="Delete the key laptop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete the key “laptop”?")
    dialog.get_by_role("button", name="Delete the key laptop").click()
    expect(row).to_have_count(0)
    refused = httpx.get(
        studio.stage.address + "/v1/models",
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert refused.status_code == 401


def test_a_new_password_signs_other_browsers_out(studio: Studio, taro: people.Person) -> None:
    del taro
    page, other = studio.open("/settings"), studio.open("/settings")
    for one in (page, other):
        _sign_in(one)
        expect(one.locator("section.account").first).to_be_visible()
    page.reload()
    sessions = page.locator("section.account", has_text="Where you are signed in")
    expect(sessions.locator("li")).to_have_count(2)
    field = page.get_by_label("New password")
    page.get_by_label("Current password").fill(PASSWORD)
    field.fill("short")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The new password needs at least 10 characters.")).to_be_visible()
    field.fill("another long password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password is changed")).to_be_visible()
    expect(sessions.locator("li")).to_have_count(1)
    other.reload()
    expect(other).to_have_url(re.compile("/sign-in"))


@pytest.mark.parametrize(
    ("locale", "dark", "phone"),
    [
        ("en-US", False, False),
        ("ja-JP", True, True),
        pytest.param("ja-JP", True, False, marks=pytest.mark.slow),
        pytest.param("en-US", False, True, marks=pytest.mark.slow),
    ],
)
def test_every_dress(
    studio: Studio, taro: people.Person, locale: str, dark: bool, phone: bool
) -> None:
    del taro
    viewport = PHONE if phone else DESKTOP
    page = studio.open("/settings", locale=locale, dark=dark, viewport=viewport, touch=phone)
    name = f"{locale}-{'dark' if dark else 'light'}-{'phone' if phone else 'desktop'}"
    _sign_in(page, "wrong password")
    expect(page.get_by_role("alert")).not_to_be_empty()
    _shot(page, f"sign-in-{name}")
    assert serious(page) == []
    assert not _sticks_out(page)
    _sign_in(page)
    keys = page.locator("section.account").last
    keys.locator("form input").fill("laptop")
    keys.locator("form button").click()
    expect(page.locator(".made code")).to_be_visible()
    page.locator("section.account").first.scroll_into_view_if_needed()
    _shot(page, f"account-{name}")
    keys.scroll_into_view_if_needed()
    page.locator(".made").scroll_into_view_if_needed()
    _shot(page, f"keys-{name}")
    assert serious(page) == []
    assert not _sticks_out(page)
    page.locator("ul.things button.danger").last.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    _shot(page, f"delete-{name}")
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.goto(studio.stage.address + "/chat")
    ready(page)
