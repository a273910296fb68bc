"""Tokenizers in the studio: their pieces in colour, and a comparison that really trains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_checks import foreign_words, walk
from playwright.sync_api import Browser, expect
from studio_stage import PHONE, Models, Studio, Watch, run_server, serious

from kataribe.base.workspace import Workspace
from kataribe.cli.tokenizers_here import Comparisons, TokenizersHere
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.serve.tokenizers import KIND

TALE = "The tale goes on and on. 物語は続く。夜は長い。 def tell(story): return story\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A corpus and two tokenizers."""
    workspace = Workspace(tmp_path)
    corpus = workspace.corpora / "tales"
    corpus.mkdir(parents=True)
    for split, count in (("train", 60), ("valid", 6)):
        lines = [
            {
                "id": f"{split}{at}",
                "text": f"{TALE * 3}{split}{at}",
                "source": "test",
                "language": "ja",
            }
            for at in range(count)
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (corpus / f"{split}.jsonl").write_text(text, encoding="utf-8")
    (corpus / "card.json").write_text("{}")
    for kind, name in (("bpe", "small"), ("wordpiece", "words")):
        made, training = train_tokenizer([TALE * 20], TokenizerPlan(kind, 320))
        save_tokenizer(workspace.tokenizers / name, made, training)
    return workspace


@pytest.fixture
def studio(browser: Browser, models: Models, workspace: Workspace) -> Iterator[Studio]:
    kinds = {KIND: Comparisons(workspace)}
    with run_server(models, tokenizers=TokenizersHere(workspace), kinds=kinds) as stage:
        watch = Watch(stage.address)
        yield Studio(browser, stage, watch)
        for context in browser.contexts:
            context.close()
    assert watch.faults == []


def test_a_text_is_cut_while_it_is_typed(studio: Studio) -> None:
    page = studio.open("/tokenizers")
    expect(page.locator("table.models tbody tr")).to_have_count(2)
    small = page.locator(".cut").filter(has_text="small")
    expect(small.locator(".pieces li").first).to_be_visible()
    page.locator("textarea").fill("tale  は tale")
    expect(small.locator(".pieces")).to_contain_text("␣tale")
    words = page.locator(".cut").filter(has_text="words")
    expect(words).to_contain_text("does not give the text back")
    assert not serious(page)


def test_kinds_and_sizes_are_compared_on_a_corpus(studio: Studio) -> None:
    page = studio.open("/tokenizers")
    page.get_by_label("Sizes").fill("12")
    expect(page.get_by_text("One to six whole numbers")).to_be_visible()
    page.get_by_label("Sizes").fill("320、340")
    page.get_by_role("button", name="Compare").click()
    table = page.get_by_role("region", name="Compare kinds and sizes")
    expect(table.locator("tbody tr")).to_have_count(6, timeout=120_000)
    expect(table.locator("tbody tr").first).to_contain_text("bpe-320")
    expect(table.locator("tbody tr").first).to_contain_text("100%")
    scripts = page.get_by_role("region", name="Tokens for a character, by script")
    expect(scripts.locator("thead")).to_contain_text("hiragana", ignore_case=True)
    assert not serious(page)
    page.reload()
    expect(table.locator("tbody tr")).to_have_count(6)


@pytest.mark.parametrize(("locale", "dark"), [("en-US", False), ("ja-JP", True)])
def test_it_fits_a_phone(studio: Studio, locale: str, dark: bool) -> None:
    page = studio.open("/tokenizers", locale=locale, viewport=PHONE, dark=dark, touch=True)
    expect(page.locator(".pieces li").first).to_be_visible()
    over = page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        "(document.querySelector('.page'))"
    )
    assert over <= 0
    assert not serious(page)
    assert foreign_words(page.locator("body"), locale) == []


def test_keys_go_through_the_page_in_order(studio: Studio) -> None:
    page = studio.open("/tokenizers")
    expect(page.locator(".pieces li").first).to_be_visible()
    expect(page.get_by_role("button", name="Compare")).to_be_visible()
    assert "Compare" in walk(page)
