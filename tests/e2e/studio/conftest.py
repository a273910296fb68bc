"""The browser and the server of the studio's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from studio_stage import Models, Stage, Studio, Watch, run_server

import kataribe.serve

BUILT = Path(kataribe.serve.__file__).parent / "studio"

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
"""One engine; the first opens a page in two thirds of the time of the others."""

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built studio."""
    if not (BUILT / "index.html").is_file():
        pytest.fail("The studio is not built; run `make test`, or `npm run build` in studio/.")
    return BUILT


# Of a module and not of the session: while it is open, this thread has a running event loop, and
# other rooms' asynchronous tests could not start theirs.
@pytest.fixture(scope="module")
def browser(built: Path) -> Iterator[Browser]:
    """Debian's Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("Chromium is missing; `make test` installs it (apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def models() -> Models:
    """What the server's models say; a test changes it."""
    return Models()


@pytest.fixture
def stage(models: Models) -> Iterator[Stage]:
    """A running server without a key."""
    with run_server(models) as stage:
        yield stage


@pytest.fixture
def studio(browser: Browser, stage: Stage) -> Iterator[Studio]:
    """Opens pages; afterwards none may have reached elsewhere, broken its policy or thrown."""
    studio = Studio(browser, stage, Watch(stage.address))
    yield studio
    for context in browser.contexts:
        context.close()
    assert studio.watch.faults == []
