"""Settings: kept by the server, at once in the browser, over reloads and away servers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from studio_stage import OTHER, Models, Studio, field_of, finished, run_server, say

from kataribe.base.messages import Message, text_of
from kataribe.store import preferences
from kataribe.store.tables import LOCAL


def _status(page: Page, words: str) -> None:
    expect(page.locator(".settings header [role=status]")).to_have_text(words)


KEPT = "Kept by the server, for every browser that you use."


def test_what_is_set_is_there_in_another_browser(studio: Studio) -> None:
    page = studio.open("/settings")
    _status(page, KEPT)
    page.get_by_label("日本語").check()
    page.get_by_label("暗い").check()
    page.get_by_label("改行する（Ctrl+Enter で送信）").check()
    _status(page, "サーバーに保存され、どのブラウザーからでも使えます。")
    other = studio.open("/settings")  # an English one, with its own storage
    expect(other.locator("html")).to_have_attribute("lang", "ja")
    expect(other.locator("html")).to_have_attribute("data-theme", "dark")
    expect(other.get_by_label("改行する（Ctrl+Enter で送信）")).to_be_checked()


def test_the_system_text_and_the_model_begin_new_conversations(
    studio: Studio, models: Models
) -> None:
    page = studio.open("/settings")
    _status(page, KEPT)
    page.get_by_label("System text").fill("Answer like a pirate.")
    page.get_by_role("combobox", name="Model").select_option(OTHER)
    _status(page, KEPT)
    page.get_by_role("link", name="Chat").click()
    expect(page.locator(".picker select")).to_have_value(OTHER)
    say(page, "Hello")
    finished(page)
    prompt = models.asked[0].prompt
    first = prompt[0]
    assert isinstance(first, Message)
    assert (first.role, text_of(first)) == ("system", "Answer like a pirate.")


def test_presets_are_made_chosen_and_deleted(studio: Studio, models: Models) -> None:
    page = studio.open("/settings")
    _status(page, KEPT)
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Top-p").fill("0.9")
    page.get_by_role("button", name="Save as a preset").click()
    page.get_by_label("Name of the preset").fill("正確")
    page.keyboard.press("Enter")
    preset = page.get_by_label("Preset", exact=True)
    expect(preset).to_have_value("正確")
    page.get_by_label("Temperature").fill("1.5")
    expect(preset).to_have_value("")
    preset.select_option("正確")
    expect(page.get_by_label("Temperature")).to_have_value("0.2")
    _status(page, KEPT)
    other = studio.open("/settings")
    expect(other.get_by_label("Preset", exact=True)).to_have_value("正確")
    say_page = studio.open("/chat")
    say(say_page, "Hi")
    finished(say_page)
    assert models.asked[-1].sampling.temperature == 0.2
    other.get_by_role("button", name="Delete the preset").click()
    expect(other.get_by_label("Preset", exact=True)).to_be_disabled()


def test_what_the_server_could_not_be_told_is_told_later(
    studio: Studio, models: Models, tmp_path: Path
) -> None:
    with run_server(models, folder=tmp_path) as stage:
        port = int(stage.address.rpartition(":")[2])
        studio.watch.address = "http://127.0.0.1:"
        page = studio.open("/chat")
        page.goto(f"{stage.address}/settings")
        _status(page, KEPT)
        stage.stop()
    page.get_by_label("Temperature").fill("0.7")
    _status(page, "Kept in this browser only, until the server can be told.")
    expect(page.get_by_role("alert").filter(has_text="No answer from the server")).to_be_visible()
    with run_server(models, port=port, folder=tmp_path) as stage:
        page.get_by_role("button", name="Try again").first.click()
        _status(page, KEPT)
        with stage.store.reading() as tx:
            assert preferences.read(tx, LOCAL)["sampling"]["temperature"] == 0.7


def test_a_reload_keeps_what_the_server_does_not_know_yet(studio: Studio, models: Models) -> None:
    page = studio.open("/settings")
    _status(page, KEPT)
    page.route("**/studio/api/preferences", lambda route: route.abort())
    page.get_by_label("Temperature").fill("0.4")
    _status(page, "Kept in this browser only, until the server can be told.")
    page.unroute("**/studio/api/preferences")
    page.reload()
    expect(page.get_by_label("Temperature")).to_have_value("0.4")
    _status(page, KEPT)
    assert models.asked == []
    with studio.stage.store.reading() as tx:
        assert preferences.read(tx, LOCAL)["sampling"]["temperature"] == 0.4


def test_damaged_values_from_the_server_break_nothing(studio: Studio) -> None:
    with studio.stage.store.writing() as tx:
        preferences.change(
            tx,
            LOCAL,
            {
                "language": "xx",
                "theme": 7,
                "sampling": {"temperature": 99, "topP": "x"},
                "presets": [{"name": ""}, 3, {"name": "ok", "sampling": {"temperature": 1}}],
                "system": ["no"],
                "dismissed": {"a": 1},
            },
        )
    page = studio.open("/settings")
    _status(page, KEPT)
    expect(page.get_by_label("Temperature")).to_have_value("")
    expect(page.get_by_label("Preset", exact=True).locator("option")).to_have_count(2)
    expect(page.get_by_label("System text")).to_have_value("")


def test_everything_goes_out_and_comes_in(studio: Studio, models: Models, tmp_path: Path) -> None:
    page = studio.open("/chat")
    say(page, "Remember 語り部")
    finished(page)
    page.goto(f"{studio.stage.address}/settings")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Export everything").click()
    exported = tmp_path / "all.json"
    coming.value.save_as(exported)
    assert "語り部" in json.dumps(json.loads(exported.read_text("utf-8")), ensure_ascii=False)
    page.locator("input[type=file]").set_input_files(exported)
    here = page.locator(".settings [role=status]").filter(has_text="here already: 1")
    expect(here).to_be_visible()
    with run_server(models) as fresh:
        studio.watch.address = "http://127.0.0.1:"
        page.goto(f"{fresh.address}/settings")
        page.locator("input[type=file]").set_input_files(exported)
        expect(page.get_by_text("Imported: conversations 1, messages 2, jobs 0.")).to_be_visible()
        page.get_by_role("link", name="Chat").click()
        expect(page.locator(".sidebar .rows li")).to_have_count(1)
        broken = tmp_path / "broken.json"
        broken.write_text('{"format": "something else"}')
        page.goto(f"{fresh.address}/settings")
        page.locator("input[type=file]").set_input_files(broken)
        expect(page.get_by_role("alert").filter(has_text="refused")).to_be_visible()


def test_the_data_folder_and_the_keys_are_shown_but_no_value(studio: Studio) -> None:
    page = studio.open("/settings")
    folder = str(studio.stage.store.path.parent)
    expect(page.locator(".path")).to_have_text(folder)
    expect(page.locator(".sizes").first).to_contain_text(re.compile(r"\d+(\.\d)? [kM]?B"))
    expect(page.locator(".sizes").last).to_contain_text("OPENAI_API_KEY")
    expect(page.locator(".sizes").last).to_contain_text("Not set")


def test_a_hosted_key_is_shown_as_set_and_never_itself(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-wasabimochi"
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    page = studio.open("/chat")
    with page.expect_response("**/studio/api/storage") as told:
        page.get_by_role("link", name="Settings").click()
    keys = page.locator(".sizes").last
    expect(keys.locator("dt")).to_have_text(
        ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"]
    )
    expect(keys.locator("dd")).to_have_text(["Set", "Not set", "Not set"])
    assert secret not in page.content()
    assert "OPENAI_API_KEY" in told.value.text()
    assert secret not in told.value.text()


def test_typing_a_system_text_is_not_undone_by_the_servers_answers(studio: Studio) -> None:
    page = studio.open("/settings")
    _status(page, KEPT)
    field = page.get_by_label("System text")
    field.focus()
    for word in ("one ", "two ", "three ", "four ", "five"):
        page.keyboard.type(word)
        page.wait_for_timeout(420)  # long enough for an answer to come in between
    expect(field).to_have_value("one two three four five")
    _status(page, KEPT)
    page.reload()
    expect(field).to_have_value("one two three four five")
    expect(field_of(page)).to_have_count(0)
