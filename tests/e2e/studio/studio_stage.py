"""A real server with scripted models on a loopback port, and a real browser in front of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, CDPSession, ConsoleMessage, Locator, Page, Request, expect

from kataribe.base.errors import NotFoundError
from kataribe.base.events import Event, Usage
from kataribe.base.inside import AttentionSource
from kataribe.base.lm import LM, Capabilities
from kataribe.base.lm import Request as Asked
from kataribe.cli.prompting_here import PromptingHere
from kataribe.run.providers import ScriptedLM, ScriptedTokenizer
from kataribe.run.providers.scripted import EVERYTHING, Line
from kataribe.serve.app import create_app
from kataribe.serve.assistants_source import AssistantsSource
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.mcp_source import McpSource
from kataribe.serve.models import ModelInfo, TextTokenizer
from kataribe.serve.ports import listen
from kataribe.serve.rooms import Rooms
from kataribe.serve.server import serve_async
from kataribe.serve.settings import ServerSettings
from kataribe.serve.tokenizers_source import TokenizersSource
from kataribe.serve.training_source import TrainingSource
from kataribe.store.database import Store
from kataribe.store.job_work import Work
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats

SMALL = "smollm2-135m"
OTHER = "storyteller"
BIGGER = "qwen2.5-coder-1.5b"

ROOMY = replace(EVERYTHING, context_length=10_000_000)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

PATIENCE = 30_000  # milliseconds: the machine may be busy with other things
expect.set_options(timeout=PATIENCE)


@dataclass
class Models:
    """A `ModelSource`: all of its models say what `answer` says at the moment.

    With `hold` a reply stops after so many events until `go` is set, so that a test can look at
    a page in the middle of a stream however slow the machine is.
    """

    answer: Line | Callable[[Asked], Line] = "Tokyo."
    names_shown: list[str] = field(default_factory=lambda: [SMALL, OTHER])
    loaded: str = SMALL
    asked: list[Asked] = field(default_factory=list)
    closed: int = 0  # streams that ended, for whatever reason
    hold: int | None = None
    go: threading.Event = field(default_factory=threading.Event)

    def names(self) -> Sequence[ModelInfo]:
        return [
            ModelInfo(
                name, 1_700_000_000, "tests", name == self.loaded, 8192 if name == SMALL else None
            )
            for name in self.names_shown
        ]

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        if name not in self.names_shown:
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        try:
            yield HeldLM(ScriptedLM(self._script, name=name, capabilities=ROOMY), self)
        finally:
            self.closed += 1

    def _script(self, request: Asked) -> Line:
        self.asked.append(request)
        return self.answer(request) if callable(self.answer) else self.answer

    @asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[TextTokenizer]:
        yield ScriptedTokenizer()


class HeldLM:
    """A scripted model that can be held in the middle of a reply."""

    def __init__(self, inner: ScriptedLM, models: Models) -> None:
        self._inner = inner
        self._models = models

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def stream(self, request: Asked) -> AsyncIterator[Event]:
        told = 0
        async with aclosing(self._inner.stream(request)) as events:
            async for event in events:
                # Another thread, the test's, sets both: an asyncio.Event would not hear of it.
                while told == self._models.hold and not self._models.go.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                yield event
                told += 1


def priced(model: str, usage: Usage) -> float | None:
    """US dollars: the small model is free, the others' price is a thousandth a token drawn."""
    return 0.0 if model == SMALL else usage.completion_tokens / 1000


@dataclass
class Stage:
    """A running server."""

    address: str
    models: Models
    stop: Callable[[], None]
    store: Store


@contextmanager
def run_server(
    models: Models,
    *,
    port: int = 0,
    key: str | None = None,
    folder: Path | None = None,
    attention: AttentionSource | None = None,
    training: TrainingSource | None = None,
    tokenizers: TokenizersSource | None = None,
    assistants: AssistantsSource | None = None,
    mcp: McpSource | None = None,
    kinds: Mapping[str, Work] | None = None,
) -> Iterator[Stage]:
    """Serves `models` in a thread until the block ends, or `stop` is called.

    What is said is kept in `folder`; without one, only as long as the server runs.
    """
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        store = Store(folder / "kataribe.db")
        stack.callback(store.close)
        chats = Chats(store, models, models.loaded, titles=False)
        jobs = None if kinds is None else Workers(store, kinds)
        rooms = Rooms(
            store,
            chats,
            jobs,
            attention=attention,
            training=training,
            tokenizers=tokenizers,
            assistants=assistants,
            mcp=mcp,
            prompting=PromptingHere(store, price=priced),
        )
        stage = stack.enter_context(_serving(models, rooms, port, key))
        yield stage


@contextmanager
def _serving(models: Models, rooms: Rooms, port: int, key: str | None) -> Iterator[Stage]:
    listening = listen("127.0.0.1", port)
    port = listening.getsockname()[1]
    lifecycle = Lifecycle()
    loop = asyncio.new_event_loop()
    app = create_app(models, ServerSettings(port=port, key=key), lifecycle, rooms)
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(serve_async(app, listening, grace=0)), daemon=True
    )
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(lifecycle.halt)
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"

    try:
        yield Stage(f"http://127.0.0.1:{port}", models, stop, rooms.store)
    finally:
        if thread.is_alive():
            stop()
        loop.close()


class Watch:
    """What a page must never do: reach elsewhere, break its policy, throw."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.faults: list[str] = []

    def on(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))

    def _request(self, request: Request) -> None:
        if not request.url.startswith(self.address):
            self.faults.append(f"reached elsewhere: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # A refused request is written there too, and tests refuse on purpose.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")


@dataclass
class Studio:
    """Opens pages of one stage, in contexts of their own."""

    browser: Browser
    stage: Stage
    watch: Watch

    def open(
        self,
        path: str = "/",
        *,
        locale: str = "en-US",
        viewport: dict[str, int] | None = None,
        dark: bool = False,
        touch: bool = False,
        init: str | None = None,
    ) -> Page:
        context = self.browser.new_context(
            locale=locale,
            viewport=viewport or DESKTOP,
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            reduced_motion="reduce",
            # It would answer for a server that a test has stopped; test_studio_app lets it.
            service_workers="block",
        )
        context.set_default_timeout(PATIENCE)
        if init is not None:
            context.add_init_script(init)
        page = context.new_page()
        self.watch.on(page)
        page.goto(self.stage.address + path)
        return page


def field_of(page: Page) -> Locator:
    """The composer's text field."""
    return page.locator(".composer textarea")


def ready(page: Page) -> None:
    """Waits until a message could be sent."""
    expect(page.locator(".picker select")).to_be_enabled()


@contextmanager
def restarted_with_key(browser: Browser, models: Models, key: str) -> Iterator[Page]:
    """A page that was open when its server went away and came back asking for a key."""
    with run_server(models) as stage:
        studio = Studio(browser, stage, Watch(stage.address))
        page = studio.open()
        ready(page)
        port = int(stage.address.rpartition(":")[2])
        stage.stop()
    with run_server(models, port=port, key=key):
        yield page
        page.context.close()
    assert studio.watch.faults == []


def say(page: Page, text: str) -> None:
    """Types a message and sends it with Enter."""
    ready(page)
    field_of(page).fill(text)
    field_of(page).press("Enter")


def replies(page: Page) -> Locator:
    """The replies that are shown."""
    return page.locator("article.reply")


def finished(page: Page, count: int = 1) -> Locator:
    """The newest reply, once `count` replies are shown and none is being written."""
    expect(replies(page)).to_have_count(count)
    expect(page.locator("article.reply[aria-busy=true]")).to_have_count(0)
    return replies(page).last


class InputMethod:
    """A Japanese input method, as Chromium's own events tell of one."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)

    def compose(self, text: str) -> None:
        """Shows `text` as being composed."""
        self._session.send(
            "Input.imeSetComposition",
            {"text": text, "selectionStart": len(text), "selectionEnd": len(text)},
        )

    def enter(self, key_code: int = 229) -> None:
        """Presses Enter, which the input method takes: first the key, then what it does."""
        self._session.send(
            "Input.dispatchKeyEvent",
            {
                "type": "rawKeyDown",
                "key": "Enter",
                "code": "Enter",
                "windowsVirtualKeyCode": key_code,
            },
        )

    def commit(self, text: str) -> None:
        """Ends the composition with `text`."""
        self._session.send("Input.insertText", {"text": text})
        self._session.send(
            "Input.dispatchKeyEvent",
            {"type": "keyUp", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13},
        )


SAFARI_ENTER = """
([field, keyCode]) => {
  const fire = (event) => field.dispatchEvent(event);
  fire(new CompositionEvent("compositionstart", { bubbles: true }));
  fire(new CompositionEvent("compositionend", { bubbles: true, data: "日本" }));
  fire(new KeyboardEvent("keydown", {
    key: "Enter", code: "Enter", keyCode, which: keyCode, isComposing: false,
    bubbles: true, cancelable: true,
  }));
}
"""
"""Safari's order: the composition ends, then comes the Enter that ended it."""


AXE = Path(__file__).parents[3] / "studio/node_modules/axe-core/axe.min.js"


RUN_AXE = """
async () => {
  const { violations, passes } = await axe.run(document, { resultTypes: ["violations", "passes"] });
  const measured = ({ any }) => any.some(({ data }) => data?.contrastRatio);
  const seen = passes.some(({ nodes }) => nodes.some(measured));
  // What lies above the page it takes for cut off where it stands in a box that scrolls.
  return { violations, seen: seen || document.querySelector("dialog[open]") !== null };
}
"""


def serious(page: Page) -> list[str]:
    """What axe finds, of impact serious or critical. It is evaluated, as the policy demands."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(RUN_AXE)
    assert found["seen"], "axe took all text for hidden and has measured no contrast"
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
