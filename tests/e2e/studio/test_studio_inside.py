"""Looking inside a reply in the browser: a real small model behind a real server."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from page_checks import foreign_words
from pico_model import build
from playwright.sync_api import Browser, Locator, Page, expect
from studio_stage import (
    PHONE,
    SMALL,
    Models,
    Stage,
    Studio,
    Watch,
    finished,
    run_server,
    say,
    serious,
)

from kataribe.base.events import Event
from kataribe.base.inside import AttentionShape, Inspector
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.run.inference.attention_view import AttentionView
from kataribe.run.inference.load import LoadOptions, LocalModel, load_local
from kataribe.store import tables

SAID = "語り部は聞いたことを語る 🌏 0 1 2 3"


class Speaking:
    """Says what a script says, and shows the inside of a real model."""

    def __init__(self, local: LM, scripted: LM) -> None:
        self._local = local
        self._scripted = scripted

    @property
    def name(self) -> str:
        return self._scripted.name

    @property
    def capabilities(self) -> Capabilities:
        return self._scripted.capabilities

    def stream(self, request: Request) -> AsyncIterator[Event]:
        return self._scripted.stream(request)

    async def inspector(self) -> Inspector:
        found: Inspector = await self._local.inspector()  # type: ignore[attr-defined]
        return found


class Inspected(Models):
    """Models whose replies can be looked into."""

    local: LocalModel

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        async with super().lease(name) as lm:
            yield Speaking(self.local.lm, lm)


class Views:
    """Attention of the model in a folder."""

    def __init__(self, folder: Path) -> None:
        self.view = AttentionView(folder, 512)
        self.parameters = parameter_count(open_checkpoint(folder).config)
        self.most = 400_000_000

    async def shape(self, model: str) -> AttentionShape:
        config = self.view.config
        return AttentionShape(config.layers, config.heads, self.parameters, self.most, 2048)

    async def weights(
        self, model: str, ids: tuple[int, ...], layer: int, head: int, looking: int
    ) -> tuple[float, ...]:
        return await asyncio.to_thread(self.view.weights, ids, layer, head, looking)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pico") / "pico")


@pytest.fixture
def models(folder: Path) -> Iterator[Models]:
    found = Inspected(answer=SAID)
    found.local = load_local("pico", folder, LoadOptions(512, 2048, "float32", "cpu", 1))
    yield found
    found.local.close(0.0)


@pytest.fixture
def views(folder: Path) -> Views:
    return Views(folder)


@pytest.fixture
def stage(models: Models, views: Views) -> Iterator[Stage]:
    with run_server(models, attention=views) as stage:
        yield stage


def opened(page: Page, text: str = "Recite") -> Locator:
    """The panel of a reply to `text`."""
    say(page, text)
    reply = finished(page)
    reply.get_by_role("button", name=re.compile("^(More|その他の操作)$")).click()
    reply.get_by_role("button", name=re.compile("^(Look inside|中を見る)$")).click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("option").first).to_be_visible()
    return panel


DRESSES = [
    ("en-US", False, False),
    ("ja-JP", True, True),
    pytest.param("ja-JP", True, False, marks=pytest.mark.slow),
    pytest.param("en-US", False, True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("locale", "dark", "phone"), DRESSES)
def test_every_view_in_every_dress(studio: Studio, locale: str, dark: bool, phone: bool) -> None:
    viewport = PHONE if phone else None
    page = studio.open(locale=locale, dark=dark, viewport=viewport, touch=phone)
    panel = opened(page)
    for view in range(3):
        panel.get_by_role("tab").nth(view).click()
        expect(panel.get_by_role("tab").nth(view)).to_have_attribute("aria-selected", "true")
        if view == 2:
            expect(panel.get_by_role("table")).to_be_visible()
        assert serious(page) == []
        assert foreign_words(panel, locale) == []
        wide = page.evaluate("document.querySelector('.inside-view').scrollWidth")
        assert wide <= page.evaluate("document.querySelector('.inside-view').clientWidth")


def test_tokens_join_to_the_reply_and_keys_lead_through_them(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page)
    flow = panel.get_by_role("listbox")
    options = panel.get_by_role("option")
    words = "".join(options.all_inner_texts()[:-1]).replace("·", "").replace("␣", " ")
    assert words == SAID
    expect(panel.get_by_text("tokens", exact=False).first).to_be_visible()
    flow.focus()
    flow.press("End")
    expect(options.last).to_have_attribute("aria-selected", "true")
    expect(panel.get_by_role("heading", name="<|end|>")).to_be_visible()
    flow.press("Home")
    flow.press("ArrowRight")
    flow.press("ArrowRight")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    active = flow.get_attribute("aria-activedescendant")
    assert active == options.nth(2).get_attribute("id")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    assert page.evaluate("document.activeElement.tagName") != "BODY"


def test_sliders_show_live_what_can_be_drawn(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page)
    expect(panel.get_by_text("320 of 320 tokens can be drawn.")).to_be_visible()
    panel.get_by_role("slider", name="Top-k").fill("3")
    expect(panel.get_by_text("3 of 320 tokens can be drawn.")).to_be_visible()
    rows = panel.locator("tbody tr")
    expect(rows.nth(3)).to_contain_text("Cannot be drawn")
    expect(rows.nth(2)).not_to_contain_text("Cannot be drawn")
    panel.get_by_role("slider", name="Temperature").fill("0")
    expect(panel.get_by_text("1 of 320 tokens can be drawn.")).to_be_visible()
    expect(rows.first.locator("td").nth(1)).to_have_text("100.0%")
    panel.get_by_role("button", name="Unchanged").click()
    expect(panel.get_by_text("320 of 320 tokens can be drawn.")).to_be_visible()
    for label, name, value in (("Top-p", "top_p", 0.05), ("Min-p", "min_p", 0.9)):
        panel.get_by_role("slider", name=label).fill(str(value))
        alive = api(page, "/weigh", {"position": 0, name: value})["alive"]
        assert 0 < alive < 320
        expect(panel.get_by_text(f"{alive} of 320 tokens can be drawn.")).to_be_visible()
        panel.get_by_role("button", name="Unchanged").click()
        expect(panel.get_by_text("320 of 320 tokens can be drawn.")).to_be_visible()


def test_figures_and_shades_are_the_models_own(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page)
    tokens = api(page)["tokens"]
    options = panel.get_by_role("option")
    expect(options).to_have_count(len(tokens))
    for at, token in enumerate(tokens):
        level = sum(token["entropy"] >= step for step in (0.5, 1.5, 3, 5))
        expect(options.nth(at)).to_have_class(re.compile(rf"\bsure-{level}\b"))
    options.nth(1).click()
    probability, rank, uncertainty = panel.locator(".figures dd").all_inner_texts()
    assert share(probability) == pytest.approx(math.exp(tokens[1]["logprob"]), abs=6e-4)
    assert int(rank.replace(",", "")) == tokens[1]["rank"]
    assert float(uncertainty.removesuffix(" bits")) == pytest.approx(tokens[1]["entropy"], abs=6e-3)
    weighed = api(page, "/weigh", {"position": 1})["data"]
    model = panel.locator("tbody tr td:nth-of-type(1)")
    expect(model).to_have_count(len(weighed))
    shown = [share(each) for each in model.all_inner_texts()]
    assert shown == pytest.approx([each["before"] for each in weighed], abs=6e-4)


def share(text: str) -> float:
    """A probability as the page writes it."""
    return float(text.strip().removesuffix("%")) / 100


def api(page: Page, rest: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the server says of the inside of the newest reply."""
    talk = page.url.rpartition("/")[2]
    reply = (page.locator("article.reply").last.get_attribute("id") or "").removeprefix("message-")
    path = f"/studio/api/conversations/{talk}/messages/{reply}/inside{rest}"
    address = page.url.partition("/chat")[0]
    origin = {"Origin": address}
    answer = (
        page.request.get(address + path)
        if body is None
        else page.request.post(address + path, data=body, headers=origin)
    )
    assert answer.ok, answer.text()
    found: dict[str, Any] = answer.json()
    return found


def test_going_on_from_an_alternative_makes_a_branch(studio: Studio, models: Models) -> None:
    page = studio.open()
    panel = opened(page)
    flow = panel.get_by_role("listbox")
    flow.focus()
    tokens = panel.get_by_role("option")
    last = tokens.count() - 2
    for _ in range(last):
        flow.press("ArrowRight")
    before = "".join(tokens.all_inner_texts()[:last]).replace("·", "").replace("␣", " ")
    button = panel.get_by_role("button", name=re.compile("^Continue from here with")).first
    expect(button).to_be_visible()
    piece = (button.get_attribute("aria-label") or "").removeprefix("Continue from here with ")
    models.answer = " and on"
    button.click()
    expect(panel).to_have_count(0)
    reply = finished(page)
    expect(reply).to_contain_text("and on")
    asked = models.asked[-1]
    assert asked.continue_last
    begun = asked.prompt[-1].parts[0].text  # type: ignore[union-attr]
    assert begun == before + piece.replace("␣", " ").replace("⏎", "\n")


def test_what_might_have_stood_elsewhere_is_not_offered_here(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page)
    flow = panel.get_by_role("listbox")
    others = panel.locator(".others")
    buttons = others.get_by_role("button")
    expect(buttons.first).to_be_visible()
    page.route("**/inside/weigh", lambda route: None)
    flow.focus()
    flow.press("ArrowRight")
    expect(others).to_have_attribute("aria-busy", "true")
    expect(buttons).to_have_count(0)
    expect(others.locator("[aria-current=true]")).to_have_count(0)
    page.unroute("**/inside/weigh")  # lets go of what was held
    expect(others).to_have_attribute("aria-busy", "false")
    expect(buttons.first).to_be_visible()


def test_the_text_that_was_given_with_its_control_tokens(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page, "What is <|end|> here")
    panel.get_by_role("tab", name="What it was given").click()
    given = panel.locator("pre.given")
    text = given.inner_text()
    assert text.startswith("<|start|>user\nWhat is <|end|> here<|end|>\n<|start|>assistant")
    # Only the template's own are control tokens; what a person typed is text.
    assert given.locator("code").all_inner_texts() == ["<|start|>", "<|end|>", "<|start|>"]
    # The script counts other tokens than the model that is looked into: that is told.
    expect(panel.get_by_text(re.compile("have changed since"))).to_be_visible()
    expect(panel.get_by_text(re.compile(r"^\d+ tokens\. Control tokens"))).to_be_visible()
    with studio.stage.store.writing() as tx:
        tx.execute(tables.messages.update().values(prompt_tokens=None))
    page.reload()
    reply = finished(page)
    reply.get_by_role("button", name="More").click()
    reply.get_by_role("button", name="Look inside").click()
    panel.get_by_role("tab", name="What it was given").click()
    expect(panel.get_by_text(re.compile(r"^Exactly this text .* \d+ tokens"))).to_be_visible()
    expect(panel.get_by_text(re.compile("have changed since"))).to_have_count(0)


def test_a_reply_without_words_is_looked_into_too(studio: Studio) -> None:
    page = studio.open()
    say(page, "Recite")
    finished(page)
    with studio.stage.store.writing() as tx:
        cut = tables.messages.update().where(tables.messages.c.role == "assistant")
        tx.execute(cut.values(text="", reasoning="Let me see", state="stopped", finish=None))
    page.reload()
    reply = finished(page)
    expect(reply.get_by_role("button", name="Copy")).to_have_count(0)
    reply.get_by_role("button", name="More").click()
    reply.get_by_role("button", name="Look inside").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("option").first).to_be_visible()
    assert "".join(panel.get_by_role("option").all_inner_texts()).startswith("<think>")
    panel.get_by_role("tab", name="What it was given").click()
    expect(panel.locator("pre.given")).to_contain_text("Recite")


def test_attention_of_a_layer_and_head(studio: Studio) -> None:
    page = studio.open()
    panel = opened(page)
    panel.get_by_role("tab", name="Attention").click()
    table = panel.get_by_role("table")
    expect(table).to_be_visible()
    first = table.inner_text()
    panel.get_by_label("Layer").select_option("2")
    expect(table).not_to_have_text(first)
    flow = panel.get_by_role("listbox").get_by_role("option")
    looked = panel.locator(".looked .token")
    flow.nth(0).click()
    expect(flow.nth(0)).to_have_attribute("aria-selected", "true")
    expect(panel.get_by_label("Head")).to_have_value("0")
    before = looked.count()
    flow.nth(4).click()
    expect(looked).to_have_count(before + 4)
    shares = [float(each.rstrip("%")) for each in table.locator("td.chance").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 100.5


def test_attention_of_a_large_model_is_refused_with_the_limit(studio: Studio, views: Views) -> None:
    views.most = 10
    page = studio.open()
    panel = opened(page)
    panel.get_by_role("tab", name="Attention").click()
    expect(panel.get_by_text("Attention is shown of models with at most 10.")).to_be_visible()


def test_a_model_without_an_inside_says_so(browser: Browser) -> None:
    with run_server(Models(answer="Tokyo.")) as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        say(page, "Hi")
        reply = finished(page)
        reply.get_by_role("button", name="More").click()
        reply.get_by_role("button", name="Look inside").click()
        panel = page.get_by_role("dialog")
        expect(panel.get_by_role("alert")).to_contain_text(SMALL)
        expect(panel.get_by_role("alert")).to_contain_text("distributions")
        panel.get_by_role("button", name="Close").click()
        expect(panel).to_have_count(0)
        page.context.close()
        assert studio.watch.faults == []
