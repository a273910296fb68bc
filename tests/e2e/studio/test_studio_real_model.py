"""What a newcomer sees after `make up`: the default model's own words, streaming in a browser."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Browser, expect
from studio_stage import PATIENCE, SMALL, Watch, finished, say

from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog
from tests.e2e.test_up import Server

LENGTHS = """
window.lengths = [];
new MutationObserver(() => {
  const reply = document.querySelectorAll("article.reply .prose")[1];
  const length = reply?.textContent.length ?? 0;
  if (length && length !== window.lengths.at(-1)) window.lengths.push(length);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""
"""Notes each length that the second reply's text had on the page."""


def test_the_default_models_words_stream_in_and_stop(
    browser: Browser, tmp_path: Path, smollm2_path: Path
) -> None:
    Catalog(Workspace(tmp_path)).import_(smollm2_path, as_name=SMALL, link=True)
    server = Server(tmp_path, "--model", SMALL, "--threads", "2")
    watch = Watch(server.url)
    context = browser.new_context(locale="en-US", service_workers="block")
    try:
        context.set_default_timeout(PATIENCE)
        context.add_init_script(LENGTHS)
        page = context.new_page()
        watch.on(page)
        page.goto(server.url)
        expect(page.locator("aside.notice")).to_contain_text("hardly speaks Japanese")
        say(page, "What is the capital of Japan?")
        expect(finished(page)).to_contain_text("Tokyo")
        say(page, "Write a long story about a fox.")
        expect(page.locator("article.reply .prose")).to_have_count(2)
        until = time.monotonic() + PATIENCE / 1000
        while len(page.evaluate("window.lengths")) < 20:
            assert time.monotonic() < until, "its words do not come one after the other"
            page.wait_for_timeout(20)
        page.get_by_role("button", name="Stop").click()
        reply = finished(page, 2)
        words = reply.locator(".prose").inner_text()
        lengths = page.evaluate("window.lengths")
        assert lengths == sorted(lengths)
        page.reload()
        expect(finished(page, 2).locator(".prose")).to_have_text(words, use_inner_text=True)
    finally:
        context.close()
        server.stop()
    assert watch.faults == []
