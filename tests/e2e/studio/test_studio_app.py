"""The studio as an app: installed, opened without the server, strict about what it loads."""

from __future__ import annotations

import gzip
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from studio_stage import Models, Stage, Studio, Watch, field_of, finished, ready, run_server, say

PAGES = ("/chat", "/search?q=x", "/models", "/jobs", "/memory", "/settings", "/sign-in", "/nowhere")

BREACHES = (
    "window.breaches = []; document.addEventListener('securitypolicyviolation',"
    " (event) => window.breaches.push(event.violatedDirective + ' ' + event.blockedURI));"
)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser in which the studio may keep a service worker."""
    context = browser.new_context(service_workers="allow", locale="en-US")
    yield context
    context.close()


def _controlled(context: BrowserContext, stage: Stage) -> Page:
    page = context.new_page()
    page.goto(f"{stage.address}/chat")
    ready(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    return page


def test_no_page_breaks_its_policy_or_reaches_elsewhere(studio: Studio, models: Models) -> None:
    page = studio.open("/chat", init=BREACHES)
    models.answer = "```python\nprint(1)\n```\n\n\\(x\\)\n\n![a](https://example.org/a.png)"
    say(page, "Show.")
    expect(finished(page).locator("math")).to_have_count(1)
    expect(page.locator(".hljs-title, .hljs-built_in").first).to_be_visible()
    assert page.evaluate("window.breaches") == []
    for path in PAGES:
        page.goto(studio.stage.address + path)
        expect(page.locator("h1").first).to_be_attached()
        page.wait_for_timeout(300)
        assert page.evaluate("window.breaches") == [], path
    # `studio` fails the test if anything was asked from another address.


def test_the_policy_allows_nothing_inline_and_nothing_evaluated(
    studio: Studio, built: Path
) -> None:
    header = httpx.get(f"{studio.stage.address}/chat", timeout=60).headers[
        "content-security-policy"
    ]
    page = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', _page(built))
    assert page is not None
    for policy in (header, page[1].replace("&#39;", "'")):
        assert "unsafe" not in policy
        for rule in ("default-src 'self'", "script-src 'self'", "style-src 'self'"):
            assert rule in policy.split("; "), rule
    open_page = studio.open("/chat", init=BREACHES)
    ready(open_page)
    refused = open_page.evaluate(
        "() => { const at = document.createElement('script'); at.textContent = 'window.ran = 1';"
        " document.head.append(at); const style = document.createElement('style');"
        " style.textContent = 'body { display: none }'; document.head.append(style);"
        " return new Promise((done) => setTimeout(() => done([window.ran,"
        " getComputedStyle(document.body).display, window.breaches.length]), 100)); }"
    )
    assert refused[0] is None
    assert refused[1] != "none"
    assert refused[2] >= 2  # the header and the page itself each refuse
    studio.watch.faults.clear()  # the browser writes down what it refused


def test_the_first_page_has_less_than_300_kb_of_script(built: Path) -> None:
    first = set(re.findall(r'(?:src|href)="/((?:assets/)?[^"]+\.js)"', _page(built)))
    assert any(name.startswith("assets/") for name in first)
    waiting = list(first)
    while waiting:  # what the first scripts import without being asked
        text = (built / waiting.pop()).read_text("utf-8")
        for name in re.findall(r'(?:from|import)\s*"\./([^"]+\.js)"', text):
            if f"assets/{name}" not in first:
                first.add(f"assets/{name}")
                waiting.append(f"assets/{name}")
    size = sum(len(gzip.compress((built / name).read_bytes(), 9)) for name in first)
    assert size < 300_000, f"{size} bytes of compressed script in {sorted(first)}"


def test_it_can_be_installed(studio: Studio, built: Path) -> None:
    response = httpx.get(f"{studio.stage.address}/manifest.webmanifest", timeout=60)
    assert response.headers["content-type"] == "application/manifest+json"
    manifest = response.json()
    assert manifest["name"] == "Kataribe"
    assert manifest["display"] == "standalone"
    purposes = set()
    for icon in manifest["icons"]:
        content = (built / icon["src"].lstrip("/")).read_bytes()
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", content[16:24])
            assert icon["sizes"] == f"{width}x{height}"
            purposes.add((icon["purpose"], width))
    assert {("any", 192), ("any", 512), ("maskable", 512)} <= purposes
    page = studio.open("/chat")
    expect(page.locator("link[rel=manifest]")).to_be_attached()
    session = page.context.new_cdp_session(page)
    assert session.send("Page.getAppManifest")["errors"] == []


def test_without_the_server_the_page_opens_and_says_so(
    context: BrowserContext, models: Models
) -> None:
    with run_server(models) as stage:
        page = _controlled(context, stage)
        say(page, "Hello")
        finished(page)
        field_of(page).fill("a draft")
        stage.stop()
        page.reload()
        expect(page.locator(".shell")).to_be_visible()
        expect(page.get_by_text("No answer from the server").first).to_be_visible()
        page.goto(f"{stage.address}/search?q=Hello")
        expect(page.get_by_role("alert").first).to_contain_text("No answer from the server")


def test_no_answer_of_the_api_is_ever_kept(context: BrowserContext, models: Models) -> None:
    with run_server(models) as stage:
        page = _controlled(context, stage)
        say(page, "Hello")
        finished(page)
        page.goto(f"{stage.address}/settings")
        expect(page.locator(".path")).to_be_visible()
        kept = page.evaluate(
            "async () => { const found = []; for (const name of await caches.keys())"
            " for (const one of await (await caches.open(name)).keys())"
            " found.push(new URL(one.url).pathname); return found; }"
        )
        assert "/index.html" in kept
        assert [path for path in kept if path.startswith(("/studio", "/v1", "/docs"))] == []


def test_another_build_throws_the_old_cache_away(context: BrowserContext, models: Models) -> None:
    with run_server(models) as stage:
        page = _controlled(context, stage)
        page.evaluate(
            "async () => { await (await caches.open('kataribe-old')).put('/x', new Response('x'));"
            " await (await navigator.serviceWorker.getRegistration()).unregister(); }"
        )
        page.goto(f"{stage.address}/chat")
        page.wait_for_function(
            "async () => { const names = await caches.keys();"
            " return names.length === 1 && names[0] !== 'kataribe-old'; }"
        )


def test_its_files_are_named_after_their_contents(built: Path) -> None:
    worker = (built / "sw.js").read_text("utf-8")
    assert "__VERSION__" not in worker
    assert re.search(r'"kataribe-[0-9a-f]{16}"', worker)
    files = json.loads(re.search(r"const FILES = (\[.*?\]);", worker)[1])  # type: ignore[index]
    for name in files:
        assert (built / name.lstrip("/")).is_file(), name


def test_the_worker_leaves_the_documentation_to_the_server(
    context: BrowserContext, models: Models
) -> None:
    with run_server(models) as stage:
        watch = Watch(stage.address)
        page = _controlled(context, stage)
        watch.on(page)
        page.goto(f"{stage.address}/docs")
        expect(page.locator("body")).to_contain_text("Kataribe")
        assert page.evaluate("document.querySelector('.shell')") is None
        assert watch.faults == []


def _page(built: Path) -> str:
    return (built / "index.html").read_text("utf-8")
