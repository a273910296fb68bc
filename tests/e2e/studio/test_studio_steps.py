"""What people see of techniques and agents: steps, trees, consent, and what is remembered."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from page_checks import KNOWN, foreign_words, walk
from playwright.sync_api import Browser, Locator, Page, expect
from studio_stage import (
    DESKTOP,
    PHONE,
    ROOMY,
    SMALL,
    HeldLM,
    Models,
    Stage,
    Studio,
    Watch,
    finished,
    ready,
    replies,
    run_server,
    say,
    serious,
)

from kataribe.base.lm import LM, ToolSpec
from kataribe.base.lm import Request as Asked
from kataribe.base.messages import Message, ToolCallPart
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Call, Line, Reply
from kataribe.store import facts
from kataribe.store.tables import LOCAL
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import FolderTurns, MemoryTurns, Turns
from kataribe.use.prompts.tree_of_thoughts import TreeOfThoughts, TreeOfThoughtsOptions

HELPER = "helper"
THINKER = "thinker"
LONG = "\n".join(f"Line {number} of what the tool found." for number in range(60))
ARGUMENTS = {"to": "ann@example.org", "subject": "Friday", "body": "The meeting moves to Friday."}
MINE = KNOWN | {"helper", "thinker", "send", "mail", "look", "up"}


class Tool:
    """A tool that answers with a text."""

    def __init__(self, name: str, said: str, used: list[str]) -> None:
        self.name = name
        self._said = said
        self._used = used

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, "A tool.", {"type": "object"})

    async def call(self, arguments: object) -> str:
        self._used.append(self.name)
        return self._said


def acting(request: Asked) -> Line:
    """Looks something up, then wants to send a mail, then answers."""
    told = [m for m in request.prompt if isinstance(m, Message) and m.role == "tool"]
    if not told:
        return Reply("I look it up first.", calls=(Call("look_up", {"what": "the meeting"}),))
    if len(told) == 1:
        return Reply(calls=(Call("send_mail", ARGUMENTS),))
    return "The mail is on its way."


NUMBERS = itertools.count(1)


def thinking(_: Asked) -> Line:
    """A thought unlike all others, and a score."""
    return f"Thought number {next(NUMBERS)} about <b>it</b>.\nScore: 7"


def by_name(call: ToolCallPart) -> Approval:
    return "ask" if call.name == "send_mail" else "always"


@dataclass
class Assistants(Models):
    """An agent whose second tool needs consent, and a tree of thoughts, beside plain models."""

    turns: Turns = field(default_factory=MemoryTurns)
    used: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names_shown = [HELPER, THINKER, SMALL]
        self.loaded = HELPER

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        if name not in (HELPER, THINKER):
            async with super().lease(name) as lm:
                yield lm
            return
        script = acting if name == HELPER else thinking
        inner = HeldLM(ScriptedLM(script, name=name, capabilities=ROOMY), self)
        if name == THINKER:
            options = TreeOfThoughtsOptions(breadth=2, branches=2, depth=2)
            yield TreeOfThoughts(inner, options)
            return
        tools = Tool("look_up", LONG, self.used), Tool("send_mail", "sent", self.used)
        options_ = AgentOptions(name=HELPER, approve=by_name, turns=self.turns)
        yield Agent(inner, tools, call_tool, options_)


@pytest.fixture
def models() -> Models:
    return Assistants()


def used(studio: Studio) -> list[str]:
    models = studio.stage.models
    assert isinstance(models, Assistants)
    return models.used


def ask(page: Page, name: str = HELPER) -> None:
    """Asks an assistant."""
    ready(page)
    page.locator(".picker select").select_option(name)
    say(page, "Tell Ann about the meeting.")


def card(page: Page) -> Locator:
    return page.locator(".consent")


def button(page: Page, name: str) -> Locator:
    return card(page).get_by_role("button", name=name)


WORDS = {
    "en-US": ("Allow once: send_mail", "Refuse: send_mail", "2 steps", "Tool call", "Show all"),
    "ja-JP": (
        "今回だけ許可：send_mail",
        "拒否：send_mail",
        "手順",
        "ツール呼び出し",
        "文字を表示",
    ),
}


@pytest.mark.parametrize(
    ("locale", "viewport"), [("en-US", DESKTOP), ("ja-JP", PHONE), ("en-US", PHONE)]
)
def test_an_agent_asks_and_goes_on(studio: Studio, locale: str, viewport: dict[str, int]):
    allow, _, _, call, show_all = WORDS[locale]
    page = studio.open(locale=locale, viewport=viewport, touch=viewport is PHONE)
    ask(page)
    expect(card(page)).to_be_visible()
    expect(card(page)).to_contain_text("ann@example.org")
    expect(card(page)).to_contain_text("The meeting moves to Friday.")
    steps = page.locator(".steps")
    expect(steps).to_have_attribute("open", "")
    expect(steps.locator("> ol > li").first).to_contain_text(call)
    assert used(studio) == ["look_up"]
    assert serious(page) == []
    # What the tool and the model said is English on both pages.
    assert foreign_words(page.locator(".consent .row"), locale, MINE) == []
    steps.locator("li details").first.locator("summary").click()
    more = steps.get_by_role("button", name=show_all).first
    more.click()
    expect(steps).to_contain_text("Line 59 of")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    button(page, allow).click()
    reply = finished(page)
    expect(reply).to_contain_text("The mail is on its way.")
    expect(card(page)).to_have_count(0)
    assert used(studio) == ["look_up", "send_mail"]
    assert steps.get_attribute("open") is None, "it folds to one line"
    page.reload()
    expect(page.locator(".steps summary").first).to_be_visible()
    page.locator(".steps > summary").click()
    expect(page.locator(".steps > ol > li")).to_have_count(4)
    expect(page.locator(".steps")).to_contain_text("ann@example.org")


def test_consent_can_be_refused_with_words_by_keys_alone(studio: Studio):
    page = studio.open()
    ask(page)
    field_ = card(page).get_by_role("textbox")
    expect(field_).to_be_visible()
    names = walk(page)
    assert [name for name in names if name in ("Allow once", "Refuse")] == ["Allow once", "Refuse"]
    field_.focus()
    page.keyboard.type("Not now.")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    finished(page)
    assert used(studio) == ["look_up"]
    page.locator(".steps > summary").click()
    expect(page.locator(".steps")).to_contain_text("You did not allow this.")
    expect(page.locator(".steps")).to_contain_text("Not now.")


def test_an_answer_in_one_tab_closes_the_card_in_the_other(studio: Studio):
    page = studio.open()
    ask(page)
    expect(card(page)).to_be_visible()
    other = studio.open(page.url.removeprefix(studio.stage.address))
    expect(card(other)).to_be_visible()
    page.reload()
    expect(card(page)).to_be_visible()
    button(other, "Allow once: send_mail").click()
    expect(card(page)).to_have_count(0)
    expect(finished(page)).to_contain_text("The mail is on its way.")
    expect(finished(other)).to_contain_text("The mail is on its way.")
    assert used(studio) == ["look_up", "send_mail"]


def test_always_in_this_conversation_and_back(studio: Studio):
    page = studio.open()
    ask(page)
    button(page, "Always in this conversation: send_mail").click()
    finished(page)
    say(page, "And tell Bob.")
    finished(page, 2)
    assert used(studio) == ["look_up", "send_mail"] * 2
    newest = replies(page).last
    newest.locator(".steps > summary").click()
    newest.get_by_role("button", name="Ask again from now on").click()
    expect(newest.get_by_role("button", name="Ask again from now on")).to_have_count(0)
    say(page, "And tell Eve.")
    expect(card(page)).to_be_visible()


def test_stopping_while_it_waits(studio: Studio):
    page = studio.open()
    ask(page)
    expect(card(page)).to_be_visible()
    page.locator(".composer").get_by_role("button", name="Stop").click()
    expect(card(page)).to_have_count(0)
    expect(replies(page).last).to_contain_text("so it was not run")
    assert used(studio) == ["look_up"]


def test_a_restart_of_the_server_is_said_and_the_answer_goes_on(browser: Browser, tmp_path: Path):
    models = Assistants(turns=FolderTurns(tmp_path / "turns"))
    with run_server(models, folder=tmp_path) as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        ask(page)
        expect(card(page)).to_be_visible()
        port = int(stage.address.rpartition(":")[2])
        stage.stop()
    again = Assistants(turns=FolderTurns(tmp_path / "turns"))
    with run_server(again, folder=tmp_path, port=port):
        expect(replies(page).last).to_contain_text("started again while this waited")
        button(page, "Allow once: send_mail").click()
        expect(finished(page)).to_contain_text("The mail is on its way.")
        assert again.used == ["send_mail"]
        page.context.close()


@pytest.mark.parametrize(("locale", "viewport"), [("en-US", DESKTOP), ("ja-JP", PHONE)])
def test_a_tree_of_thoughts_is_drawn(studio: Studio, locale: str, viewport: dict[str, int]):
    page = studio.open(locale=locale, viewport=viewport, touch=viewport is PHONE)
    ask(page, THINKER)
    finished(page)
    page.locator(".steps > summary").click()
    picture = page.locator(".thoughts svg")
    expect(picture).to_be_visible()
    expect(picture.locator(".node")).to_have_count(6)
    expect(picture.locator(".edge.chosen")).to_have_count(2)
    page.locator(".thoughts > details > summary").click()
    expect(page.locator(".thoughts tbody tr")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious(page) == []


def remember(stage: Stage, *texts: str) -> None:
    with stage.store.writing() as tx:
        for text in texts:
            facts.add(tx, LOCAL, text, None, HELPER)


@pytest.mark.parametrize(("locale", "viewport"), [("en-US", DESKTOP), ("ja-JP", PHONE)])
def test_the_memory_page_speaks_one_language(studio: Studio, locale: str, viewport: dict[str, int]):
    page = studio.open("/memory", locale=locale, viewport=viewport, touch=viewport is PHONE)
    expect(page.locator(".memory h2").first).to_be_visible()
    assert foreign_words(page.locator(".memory"), locale, MINE) == []
    remember(studio.stage, "Likes tea.", "東京に住んでいる。")
    page.reload()
    expect(page.locator(".fact")).to_have_count(2)
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_remembered_is_found_changed_deleted_and_brought_back(studio: Studio):
    remember(studio.stage, "Likes tea.", "Lives in Tokyo.", "Has a dog.")
    page = studio.open("/settings")
    page.get_by_role("link", name="See, change or delete what assistants remember").click()
    rows = page.locator(".fact")
    expect(rows).to_have_count(3)
    page.get_by_role("searchbox").fill("tea")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(studio.stage.address + "/memory?q=tea")
    rows.get_by_role("button", name="Change: Likes tea.").click()
    page.get_by_role("textbox", name="What is remembered").fill("Likes green tea.")
    page.keyboard.press("Enter")
    expect(rows).to_contain_text("Likes green tea.")
    rows.get_by_role("button", name="Delete: Likes green tea.").click()
    expect(rows).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    expect(rows).to_have_count(3)
    page.get_by_role("radio", name="No").check()
    expect(page.locator(".memory")).to_contain_text("Memory is switched off.")
    page.reload()
    expect(page.get_by_role("radio", name="No")).to_be_checked()
    page.get_by_role("button", name="Delete everything").click()
    dialog = page.get_by_role("dialog")
    confirm = dialog.get_by_role("button", name="Delete everything for good")
    expect(confirm).to_be_disabled()
    dialog.get_by_role("textbox").press("Enter")
    expect(dialog).to_be_visible()  # nothing was named
    dialog.get_by_role("textbox").fill("forget everything")
    confirm.click()
    expect(rows).to_have_count(0)
    expect(page.locator(".memory")).to_contain_text("Deleted for good: 3.")
