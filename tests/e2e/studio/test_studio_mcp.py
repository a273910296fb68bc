"""MCP servers in the studio: added, checked, tried, removed and put back, with a real program."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from page_checks import foreign_words
from playwright.sync_api import Browser, Locator, Page, expect
from studio_stage import DESKTOP, PHONE, Models, Studio, Watch, run_server, serious

from kataribe.cli.mcp_here import McpHere
from kataribe.use.agents.mcp.servers import Servers
from tests.use.agents.mcp.mcp_entries import HERE, QUICK, sdk, sdk_servers

LINE = shlex.join([sys.executable, str(HERE / "server_for_tests.py")])
TOKEN = "horse-battery-staple"

STICKING_OUT = """
() => [...document.querySelectorAll("main *")].filter((at) => {
  const box = at.getBoundingClientRect();
  return box.width > 1 && box.right > innerWidth + 1 && !at.closest("pre, .unseen");
}).map((at) => at.outerHTML.slice(0, 120))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


@pytest.fixture
def studio(browser: Browser, models: Models, file: Path) -> Iterator[Studio]:
    servers = Servers(file, {"TOKEN": TOKEN}, QUICK)
    with run_server(models, mcp=McpHere(servers)) as stage:
        watch = Watch(stage.address)
        yield Studio(browser, stage, watch)
        for context in browser.contexts:
            context.close()
        _end_all(stage.address)
    assert watch.faults == []


def _end_all(address: str) -> None:
    """Ends the sessions in the loop that began them."""
    for one in httpx.get(f"{address}/studio/api/mcp").json()["data"]:
        httpx.delete(f"{address}/studio/api/mcp/servers/{quote(one['name'], safe='')}")
    until = time.monotonic() + 20
    while sdk_servers() and time.monotonic() < until:
        time.sleep(0.05)
    assert sdk_servers() == []


def _write(file: Path) -> None:
    entries = {
        "files": sdk(env={"TOKEN": "${TOKEN}"}),
        "far": {"url": "https://mcp.example.org/mcp", "headers": {"Authorization": TOKEN}},
        "off": sdk(disabled=True),
        "odd": {"comand": "x"},
        "other": {"url": "https://mcp.example.org/mcp", "alwaysAllow": ["add"]},
    }
    file.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")


def _row(page: Page, name: str) -> Locator:
    return page.locator("li.server").filter(has=page.get_by_role("heading", name=name, exact=True))


def _tool(row: Locator, name: str) -> Locator:
    heading = row.page.get_by_role("heading", name=name, exact=True)
    return row.locator(".mcp-tools > li").filter(has=heading)


def test_from_an_empty_page_to_a_tool_that_answers(studio: Studio, file: Path) -> None:
    page = studio.open("/settings", viewport=DESKTOP)
    page.get_by_role("link", name="See, try and add the tools of other programs").click()
    expect(page).to_have_title("MCP servers · Kataribe")
    expect(page.get_by_text("There are no MCP servers yet")).to_be_visible()
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_label("Command line")).to_have_value("kataribe mcp serve")
    page.get_by_label("Name", exact=True).fill("files")
    page.get_by_label("Command line").fill(LINE)
    page.get_by_label("Environment variables").fill("TOKEN")
    page.get_by_role("button", name="Add the server").click()
    row = _row(page, "files")
    expect(row).to_contain_text("Not started")
    assert json.loads(file.read_text())["mcpServers"]["files"]["env"] == {"TOKEN": "${TOKEN}"}
    assert sdk_servers() == []
    row.get_by_role("button", name="Check now: files").click()
    expect(row).to_contain_text("Open")
    tool = _tool(row, "add")
    expect(tool).to_contain_text("Adds two whole numbers.")
    expect(tool).to_contain_text("files__add")
    tool.get_by_text("Schema of the arguments").click()
    expect(tool.locator("pre")).to_contain_text('"integer"')
    tool.get_by_text("Try it").click()
    field = tool.get_by_label("Arguments as JSON")
    assert json.loads(field.input_value()) == {"a": 0, "b": 0}
    field.fill('{"a": 2, "b": 40}')
    tool.get_by_role("button", name="Run the tool: add").click()
    expect(tool.locator(".answer")).to_contain_text("42")
    page.reload()  # the address keeps what is unfolded
    expect(_tool(_row(page, "files"), "add")).to_be_visible()


def test_wrong_arguments_are_said_where_they_stand_and_kept(studio: Studio, file: Path) -> None:
    _write(file)
    page = studio.open("/mcp-servers?server=files", viewport=DESKTOP)
    row = _row(page, "files")
    expect(row).to_contain_text("Check it to see its tools.")
    row.get_by_role("button", name="Check now: files").click()
    tool = _tool(row, "add")
    tool.get_by_text("Try it").click()
    field, run = tool.get_by_label("Arguments as JSON"), tool.get_by_role("button", name="Run")
    for typed, words in (
        ("{", "This is no JSON."),
        ("[1]", "Write an object"),
        ('{"a": 1}', "Still needed: b"),
        ('{"a": "one", "b": 1}', "do not fit"),
    ):
        field.fill(typed)
        run.click()
        expect(tool.get_by_text(words)).to_be_visible()
        expect(field).to_have_value(typed)
        expect(tool.locator(".answer")).to_have_count(0)
    failing = _tool(row, "fail")
    failing.get_by_text("Try it").click()
    failing.get_by_label("Arguments as JSON").fill('{"words": "too warm"}')
    failing.get_by_role("button", name="Run").click()
    expect(failing.locator(".answer")).to_contain_text("The tool reports an error")
    expect(failing.locator(".answer")).to_contain_text("Error executing tool fail")  # the SDK's


def test_a_long_run_shows_its_seconds_and_can_be_cancelled(studio: Studio, file: Path) -> None:
    _write(file)
    page = studio.open("/mcp-servers?server=files", viewport=DESKTOP)
    row = _row(page, "files")
    row.get_by_role("button", name="Check now: files").click()
    tool = _tool(row, "hang")
    tool.get_by_text("Try it").click()
    tool.get_by_label("Arguments as JSON").fill('{"seconds": 15}')
    tool.get_by_role("button", name="Run the tool: hang").click()
    expect(tool.get_by_text(re.compile("Running for [2-9]"))).to_be_visible()
    tool.get_by_role("button", name="Cancel").click()
    expect(tool.get_by_text("Running for")).to_have_count(0)
    tool.get_by_label("Arguments as JSON").fill('{"seconds": 0}')
    tool.get_by_role("button", name="Run the tool: hang").click()
    expect(tool.locator(".answer")).to_contain_text("at last")


def test_states_are_said_and_no_secret_is_shown(studio: Studio, file: Path) -> None:
    _write(file)
    page = studio.open("/mcp-servers", viewport=DESKTOP)
    for name, words in (
        ("files", "Not started"),
        ("far", "Authorization"),
        ("off", "Switched off"),
        ("odd", "Did you mean command?"),
        ("other", "Not taken as it is written in the file: alwaysAllow is passed over"),
    ):
        expect(_row(page, name)).to_contain_text(words)
    assert TOKEN not in page.content()
    file.write_text(json.dumps({"mcpServers": {"gone": {"command": "no-such-program-here"}}}))
    page.reload()
    _row(page, "gone").get_by_role("button", name="Check now: gone").click()
    expect(_row(page, "gone")).to_contain_text("Failed")
    expect(_row(page, "gone").locator("q").first).to_contain_text("no-such-program-here")


def test_a_removed_server_comes_back(studio: Studio, file: Path) -> None:
    _write(file)
    before = json.loads(file.read_text())
    page = studio.open("/mcp-servers", viewport=DESKTOP)
    expect(_row(page, "far")).to_contain_text("Not started")
    expect(_row(page, "far")).not_to_contain_text("0 tools")  # nobody knows yet
    _row(page, "far").get_by_role("button", name="Remove: far").click()
    expect(page.get_by_text("Removed: far")).to_be_visible()
    expect(_row(page, "far")).to_have_count(0)
    assert "far" not in json.loads(file.read_text())["mcpServers"]
    page.get_by_role("button", name="Undo").click()
    expect(_row(page, "far")).to_be_visible()
    assert json.loads(file.read_text()) == before
    assert list(json.loads(file.read_text())["mcpServers"]) == list(before["mcpServers"])


def test_what_cannot_be_added_keeps_what_was_typed(studio: Studio, file: Path) -> None:
    _write(file)
    page = studio.open("/mcp-servers", viewport=DESKTOP)
    page.get_by_label("Name", exact=True).fill("files")
    page.get_by_label("An address").check()
    page.get_by_label("Address", exact=True).fill("https://mcp.example.org/mcp")
    page.get_by_role("button", name="Add the server").click()
    expect(page.get_by_role("alert").get_by_text("already")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("files")
    page.get_by_label("Name", exact=True).fill("issues")
    page.get_by_label("Variable with the token").fill("TOKEN")
    page.get_by_role("button", name="Add the server").click()
    expect(_row(page, "issues")).to_be_visible()
    headers = json.loads(file.read_text())["mcpServers"]["issues"]["headers"]
    assert headers == {"Authorization": "Bearer ${TOKEN}"}


def test_the_page_says_how_others_ask_this_kataribe(studio: Studio) -> None:
    page = studio.open("/mcp-servers", viewport=DESKTOP)
    for words in (f"{studio.stage.address}/mcp", "kataribe mcp serve", '"args": ["mcp", "serve"]'):
        expect(page.locator(".command code").filter(has_text=words).first).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "dark", "phone"),
    [("en-US", False, True), ("ja-JP", True, True), ("ja-JP", False, False)],
)
def test_every_dress(studio: Studio, file: Path, locale: str, dark: bool, phone: bool) -> None:
    viewport = PHONE if phone else DESKTOP
    page = studio.open("/mcp-servers", locale=locale, viewport=viewport, dark=dark, touch=phone)
    expect(page.locator("form.add")).to_be_visible()
    assert serious(page) == [], "empty"
    _write(file)
    page.goto(f"{studio.stage.address}/mcp-servers?server=files")
    row = _row(page, "files")
    row.get_by_role("button").first.click()
    expect(row.locator(".mcp-tools > li").first).to_be_visible()
    row.locator("details summary").nth(1).click()
    row.locator("form textarea").fill('{"a": 1, "b": 2}')
    row.locator("form button[type=submit]").click()
    expect(row.locator(".answer")).to_contain_text("3")
    assert serious(page) == []
    assert page.evaluate(STICKING_OUT) == []
    assert foreign_words(page.locator("body"), locale) == []
