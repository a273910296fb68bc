"""What tools need at a command: models of the running server, or of this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kataribe.base.encoders import Classification, Label
from kataribe.base.workspace import Workspace
from kataribe.cli.encoding import CommandEmbedder, classify_texts
from kataribe.cli.metering import Meters, price_of
from kataribe.cli.running import find_running
from kataribe.use.assistants.book import about
from kataribe.use.assistants.means import Means

if TYPE_CHECKING:
    from kataribe.base.encoders import Classifier
    from kataribe.base.lm import LM
    from kataribe.base.settings import Settings
    from kataribe.cli.all_models import AllModels


@contextlib.contextmanager
def command_means(settings: Settings, *, local: bool) -> Iterator[Means]:
    """What tools need, opened when one needs it first and closed at the block's end."""
    from kataribe.cli.assistants.named import open_book

    with contextlib.ExitStack() as stack:
        opened: list[AllModels] = []

        @contextlib.asynccontextmanager
        async def lend(name: str) -> AsyncIterator[LM]:
            running = None if local else find_running(Workspace.locate())
            if running is not None:
                from kataribe.cli.served import served_lm

                price = price_of(settings.model_copy(update={"model": name}))
                yield Meters().lm(served_lm(name, running.url, settings.key), price)
                return
            if not opened:
                from kataribe.cli import wiring

                everything = wiring.open_everything(settings, Workspace.locate())
                opened.append(stack.enter_context(everything))
            async with opened[0].lease(name) as lm:  # which counts already
                yield lm

        @contextlib.asynccontextmanager
        async def classifiers(name: str) -> AsyncIterator[Classifier]:
            yield CommandClassifier(settings, name, local=local)

        yield Means(
            lend,
            classifiers,
            lambda name: about(open_book(), name),
            embedder=CommandEmbedder(settings, local=local),
        )


class CommandClassifier:
    """The classifier of a command; what labels it has shows when it is asked."""

    labels: tuple[str, ...] = ()
    tags = False

    def __init__(self, settings: Settings, name: str, *, local: bool) -> None:
        self.name = name
        self._settings = settings
        self._local = local

    async def classify(self, texts: Sequence[str]) -> Classification:
        """Labels of texts; raises as `classify_texts`."""
        found = await asyncio.to_thread(
            classify_texts, self._settings, self.name, list(texts), local=self._local
        )
        return Classification(tuple(map(_labels, found)), 0)


def _labels(told: dict[str, Any]) -> tuple[Label, ...]:
    if "spans" in told:
        return tuple(
            Label(span["label"], span["score"], span["start"], span["end"])
            for span in told["spans"]
        )
    return tuple(Label(name, score) for name, score in told["labels"].items())
