"""A whole server over scripted models, as a process that a test may kill: PORT FOLDER PACE."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from kataribe.base.lm import LM, Request
from kataribe.base.messages import Message, text_of
from kataribe.run.providers import ScriptedLM, ScriptedTokenizer
from kataribe.run.providers.scripted import Reply
from kataribe.serve.app import create_app
from kataribe.serve.models import ModelInfo, TextTokenizer
from kataribe.serve.rooms import Rooms
from kataribe.serve.server import serve
from kataribe.serve.settings import ServerSettings
from kataribe.store.database import Store
from kataribe.use.chats.chats import Chats


class OneModel:
    """A `ModelSource` of one model that says forty words, and the question again.

    A question with "long" in it is answered with a thousand.
    """

    def __init__(self, pace: float) -> None:
        def answer(request: Request) -> Reply:
            last = request.prompt[-1]
            assert isinstance(last, Message)
            many = 1000 if "long" in text_of(last) else 40
            words = " ".join(f"word{number}" for number in range(many))
            return Reply(f"{words} {text_of(last)}", pace=pace)

        self._lm = ScriptedLM(answer, name="scripted")

    def names(self) -> Sequence[ModelInfo]:
        return [ModelInfo("scripted", 1, "tests", loaded=True, context_length=4096)]

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        del name
        yield self._lm

    @asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[TextTokenizer]:
        del name
        yield ScriptedTokenizer()


def main() -> None:
    port, folder, pace = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    store, models = Store(folder / "kataribe.db"), OneModel(pace)
    rooms = Rooms(store, Chats(store, models, "scripted", titles=False))
    app = create_app(models, ServerSettings(port=port), rooms=rooms)
    serve(app, "127.0.0.1", port, ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
