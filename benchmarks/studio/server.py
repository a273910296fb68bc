"""A whole server over a scripted model, as a process: FOLDER. Tells what happens on its output.

The first line is its address. Then one JSON per line: `called` when the model is asked, `wrote`
when a reply ends, each with the time of the monotonic clock, which processes of a machine share.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.studio.content import pieces
from kataribe.base.events import Event, Finished, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message, text_message, text_of
from kataribe.run.providers import ScriptedTokenizer
from kataribe.serve.app import create_app
from kataribe.serve.models import ModelInfo, TextTokenizer
from kataribe.serve.rooms import Rooms
from kataribe.serve.server import serve
from kataribe.serve.settings import ServerSettings
from kataribe.store.database import Store
from kataribe.use.chats.chats import Chats

NAME = "scripted"
ORDER = re.compile(r"(\d+) tokens, (\d+) a second")
"""How a question says what is to be written; without it the reply is one word, at once."""


def tell(what: str, **values: object) -> None:
    """A line for whoever started this process."""
    print(json.dumps({"what": what, "at": time.monotonic(), **values}), flush=True)


class PacedLM:
    """Writes as many tokens as the question says, each when its time has come."""

    name = NAME
    capabilities = Capabilities(context_length=10**9)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        last = request.prompt[-1]
        assert isinstance(last, Message)
        question = text_of(last)
        tell("called", question=question[:200], turns=len(request.prompt))
        order = ORDER.search(question)
        tokens, rate = (int(order[1]), int(order[2])) if order else (1, 1)
        words = itertools.islice(pieces(tokens), tokens) if order else iter(["Yes."])
        said: list[str] = []
        began = time.monotonic()
        try:
            for place, piece in enumerate(words):
                # By the clock and not from token to token: lateness must not add up.
                await asyncio.sleep(max(0.0, began + place / rate - time.monotonic()))
                said.append(piece)
                yield TextDelta(piece, tokens=place + 1)
        finally:
            tell("wrote", tokens=len(said), seconds=time.monotonic() - began)
        yield Finished(text_message("assistant", "".join(said)), Usage(0, len(said)), "stop")


class OneModel:
    """A `ModelSource` of one model."""

    def names(self) -> Sequence[ModelInfo]:
        return [ModelInfo(NAME, 1, "benchmarks", loaded=True, context_length=10**9)]

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        del name
        yield PacedLM()

    @asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[TextTokenizer]:
        del name
        yield ScriptedTokenizer()


def main() -> None:
    folder = Path(sys.argv[1])
    store, models = Store(folder / "kataribe.db"), OneModel()
    rooms = Rooms(store, Chats(store, models, NAME, titles=False))
    app = create_app(models, ServerSettings(port=0), rooms=rooms)
    serve(app, "127.0.0.1", 0, ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
