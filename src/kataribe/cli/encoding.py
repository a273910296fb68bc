"""Whom `embed` and `classify` ask: the running server, or the model in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.workspace import Workspace
from kataribe.cli.given import check_text, piped_text
from kataribe.cli.output import Waiting
from kataribe.cli.running import find_running

if TYPE_CHECKING:
    from kataribe.base.encoders import Embedding, EmbedInput, EmbedKind
    from kataribe.base.settings import Settings
    from kataribe.cli.shelf import Use
    from kataribe.run.inference.embedding.load import LoadedEncoder

EMBEDDER = "e5-small"
"""The model of `kataribe embed` when none is named: the one that the catalogue has."""


def given_texts(words: Sequence[str]) -> list[str]:
    """The arguments, or each line of what is piped in; `InputError` for nothing."""
    if words:
        return [check_text(word, "A text") for word in words]
    texts = [line for line in piped_text().splitlines() if line.strip()]
    if not texts:
        raise InputError("There is no text. Write some as arguments, or pipe in one for each line.")
    return texts


def embed_texts(
    settings: Settings, name: str, texts: list[str], kind: EmbedKind | None, *, local: bool
) -> tuple[list[list[float]], int]:
    """A vector for each text, and the tokens that were read."""
    running = None if local else find_running(Workspace.locate())
    if running is None:
        with _open_here(settings, name, "embed") as model:
            assert model.embedder is not None
            made = asyncio.run(model.embedder.embed(texts, kind))
            return made.vectors.tolist(), made.tokens
    from kataribe.cli.served import call

    body: dict[str, Any] = {"model": name, "input": texts}
    if kind is not None:
        body["input_type"] = kind
    answer = call(running.url, settings.key, "POST", "/v1/embeddings", body)
    vectors = [entry["embedding"] for entry in answer["data"]]
    return vectors, answer["usage"]["prompt_tokens"]


class CommandEmbedder:
    """The embedder of a command, as techniques take one.

    Which kinds of text it tells apart shows when it is asked; where none, it is asked without.
    """

    name = EMBEDDER
    dimensions = 0
    max_tokens = 0
    kinds: tuple[EmbedKind, ...] = ("query", "passage")

    def __init__(self, settings: Settings, *, local: bool) -> None:
        self._settings = settings
        self._local = local

    async def embed(self, texts: Sequence[EmbedInput], kind: EmbedKind | None = None) -> Embedding:
        """Vectors of texts; raises as `embed_texts`, and `UnsupportedError` for token ids."""
        import numpy as np

        from kataribe.base.encoders import Embedding

        words = [text for text in texts if isinstance(text, str)]
        if len(words) != len(texts):
            raise UnsupportedError("Only texts are embedded here, and no ids of tokens.")
        try:
            made, tokens = await self._made(words, kind)
        except InputError as error:
            if kind is None or error.param != "input_type":
                raise
            made, tokens = await self._made(words, None)
        return Embedding(np.asarray(made, dtype=np.float32), tokens)

    async def _made(
        self, texts: list[str], kind: EmbedKind | None
    ) -> tuple[list[list[float]], int]:
        return await asyncio.to_thread(
            embed_texts, self._settings, self.name, texts, kind, local=self._local
        )


def classify_texts(
    settings: Settings, name: str, texts: list[str], *, local: bool
) -> list[dict[str, Any]]:
    """For each text what `/v1/classify` says of it, without its index."""
    running = None if local else find_running(Workspace.locate())
    if running is not None:
        from kataribe.cli.served import call

        body = {"model": name, "input": texts}
        answer = call(running.url, settings.key, "POST", "/v1/classify", body)
        return [_told(entry) for entry in answer["data"]]
    with _open_here(settings, name, "classify") as model:
        assert model.classifier is not None
        classifier = model.classifier
        found = asyncio.run(classifier.classify(texts)).labels
    if not classifier.tags:
        return [{"labels": {label.name: label.score for label in labels}} for labels in found]
    return [
        {
            "spans": [
                {
                    "label": label.name,
                    "score": label.score,
                    "start": label.start,
                    "end": label.end,
                    "text": text[label.start : label.end],
                }
                for label in labels
            ]
        }
        for text, labels in zip(texts, found, strict=True)
    ]


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["spans"] is not None:
        return {"spans": entry["spans"]}
    return {"labels": dict(zip(entry["labels"], entry["probs"], strict=True))}


@contextlib.contextmanager
def _open_here(settings: Settings, name: str, use: Use) -> Iterator[LoadedEncoder]:
    """The model in this process, until the block ends."""
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.inference.embedding.load import LoadedEncoder

    shelf = CatalogShelf(Catalog(Workspace.locate()), settings)
    resolved = shelf.resolve(name)
    if shelf.plan(resolved).use != use:
        what = "makes no vectors" if use == "embed" else "gives no labels"
        raise UnsupportedError(f"{resolved} {what}; choose another with --model.", param="model")
    with Waiting() as waiting:
        waiting.show(f"Loading {resolved}")
        model = shelf.load(resolved)
    assert isinstance(model, LoadedEncoder)
    try:
        yield model
    finally:
        model.close(0.0)
