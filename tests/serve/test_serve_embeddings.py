"""`/v1/embeddings` and `/v1/classify`: shapes, refusals, and clients that leave."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from kataribe.base.encoders import Classification, Classifier, Embedder, Embedding, Label
from kataribe.base.errors import TextLengthError, UnsupportedError
from kataribe.make.tokens.encoder_texts import open_encoder_texts
from kataribe.run.providers import ScriptedLM
from kataribe.serve.models import ModelInfo
from tests.make.tokens import trained
from tests.serve.conftest import Source, inside, live_server


@dataclass
class Encoders(Source):
    """A source with one embedder, one classifier and one tagger beside its chat models."""

    kinds: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    wait: asyncio.Event | None = None
    cancelled: int = 0
    reads: Any = None

    def names(self) -> Sequence[ModelInfo]:
        mine = [ModelInfo(name, 0, "t", loaded=True, context_length=8) for name in ("e", "c", "t")]
        return [*super().names(), *mine]

    @asynccontextmanager
    async def embedder(self, name: str) -> AsyncIterator[Embedder]:
        if name != "e":
            raise UnsupportedError(f"{name} makes no vectors.", param="model")
        yield _reading(Scripted(self), "embed", self.reads)

    @asynccontextmanager
    async def classifier(self, name: str) -> AsyncIterator[Classifier]:
        if name == "e":
            raise UnsupportedError("e gives no labels.", param="model")
        yield _reading(Labels(name == "t"), "classify", self.reads)


def _reading(encoder: Any, method: str, reads: Any) -> Any:
    """The encoder, with `reads` in place of its method where there is one."""
    if reads is not None:
        setattr(encoder, method, reads)
    return encoder


@dataclass
class Scripted:
    source: Encoders
    name: str = "e"
    dimensions: int = 3
    max_tokens: int = 8
    kinds: tuple[str, ...] = ("query", "passage")

    async def embed(self, texts: Sequence[Any], kind: Any = None) -> Embedding:
        self.source.asked.append((list(texts), kind))
        if self.source.wait is not None:
            self.source.wait.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                self.source.cancelled += 1
                raise
        for place, text in enumerate(texts):
            if len(text) > 20:
                raise TextLengthError(21, 8, place=place, texts=len(texts))
        rows = [[len(text), 0.1, -1e-9] for text in texts]
        return Embedding(np.asarray(rows, np.float32), 5 * len(texts))


@dataclass
class Labels:
    tags: bool
    name: str = "c"
    labels: tuple[str, ...] = ("bad", "good")

    async def classify(self, texts: Sequence[str]) -> Classification:
        one = (Label("bad", 0.25), Label("good", 0.75))
        spans = (Label("good", 0.75, 1, 3),)
        return Classification((spans if self.tags else one,) * len(texts), 4 * len(texts))


async def post(source: Source, path: str, **body: Any) -> httpx.Response:
    async with inside(source) as http:
        return await http.post(path, json=body)


async def test_a_text_becomes_a_vector() -> None:
    answer = await post(Encoders(), "/v1/embeddings", model="e", input="abc")
    assert answer.status_code == 200
    assert answer.json() == {
        "object": "list",
        "model": "e",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [
                3.0, float(np.float32(0.1)), float(np.float32(-1e-9))
            ]}
        ],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (["a", "bb"], ["a", "bb"]),
        ([1, 2, 3], [(1, 2, 3)]),
        ([[1], [2, 3]], [(1,), (2, 3)]),
        ("", [""]),
        ([0], [(0,)]),
    ],
)
async def test_every_form_of_input(given: Any, asked: Any) -> None:
    source = Encoders()
    answer = await post(source, "/v1/embeddings", model="e", input=given, input_type="query")
    assert answer.status_code == 200, answer.text
    assert source.asked == [(asked, "query")]
    assert [entry["index"] for entry in answer.json()["data"]] == list(range(len(asked)))


async def test_base64_holds_the_very_numbers() -> None:
    fields = {"model": "e", "input": ["abc", "d"]}
    plain = (await post(Encoders(), "/v1/embeddings", **fields)).json()["data"]
    packed = (await post(Encoders(), "/v1/embeddings", encoding_format="base64", **fields)).json()
    for one, other in zip(plain, packed["data"], strict=True):
        numbers = np.frombuffer(base64.b64decode(other["embedding"]), "<f4")
        assert numbers.tolist() == one["embedding"]


@pytest.mark.parametrize(
    ("change", "status", "param", "words"),
    [
        ({"dimensions": 2}, 400, "dimensions", "vectors of 3 numbers"),
        ({"dimensions": 3}, 200, None, ""),
        ({"dimensions": 0}, 400, "dimensions", "greater than or equal to 1"),
        ({"user": "me"}, 200, None, ""),
        ({"encoding_format": "float"}, 200, None, ""),
        ({"encoding_format": "hex"}, 400, "encoding_format", "hex"),
        ({"input_type": "title"}, 400, "input_type", "query"),
        ({"prompt_name": "query"}, 400, "prompt_name", "input_type"),
        ({"truncate_prompt_tokens": 5}, 400, "truncate_prompt_tokens", "never cut"),
        ({"surprise": 1}, 400, "surprise", "Unknown field"),
        ({"input": []}, 400, "input", "at least 1"),
        ({"input": [[]]}, 400, "input[0]", "at least 1"),
        ({"input": [-1]}, 400, "input[0]", "greater than or equal to 0"),
        ({"input": ["a"] * 2049}, 400, "input", "2048"),
        ({"input": 3}, 400, "input", ""),
        ({"input": ["ok", "x" * 21]}, 400, "input", "Text 2 of 2 has 21 tokens"),
        ({"model": "nobody"}, 404, "model", "There are scripted, e, c, t"),
        ({"model": "scripted"}, 400, "model", "makes no vectors"),
        ({"model": None}, 400, "model", ""),
    ],
)
async def test_what_is_refused_is_named(
    change: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    source = Encoders({"scripted": ScriptedLM("scripted")})
    answer = await post(source, "/v1/embeddings", **{"model": "e", "input": "abc", **change})
    assert answer.status_code == status, answer.text
    if status != 200:
        error = answer.json()["error"]
        assert error["param"] == param
        assert words in error["message"]


async def test_a_source_without_encoders_says_so() -> None:
    source = Source({"scripted": ScriptedLM("scripted")})
    answer = await post(source, "/v1/embeddings", model="scripted", input="x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported")


async def test_labels_of_texts() -> None:
    answer = await post(Encoders(), "/v1/classify", model="c", input=["one", "two"])
    assert answer.status_code == 200
    found = answer.json()
    assert found["id"].startswith("classify-")
    assert (found["object"], found["model"]) == ("list", "c")
    assert found["usage"] == {
        "prompt_tokens": 8, "total_tokens": 8, "completion_tokens": 0,
        "prompt_tokens_details": None,
    }  # fmt: skip
    assert found["data"][1] == {
        "index": 1, "label": "good", "probs": [0.25, 0.75], "num_classes": 2,
        "labels": ["bad", "good"], "spans": None,
    }  # fmt: skip


async def test_labels_are_metered() -> None:
    async with inside(Encoders()) as http:
        await http.post("/v1/classify", json={"model": "c", "input": ["one", "two"]})
        told = (await http.get("/metrics")).text
    assert 'kataribe_tokens_total{kind="prompt",model="c"} 8.0' in told


async def test_spans_of_a_tagger() -> None:
    answer = await post(Encoders(), "/v1/classify", model="t", input="東京都")
    (one,) = answer.json()["data"]
    assert one["label"] is None
    assert one["spans"] == [{"label": "good", "score": 0.75, "start": 1, "end": 3, "text": "京都"}]


@pytest.mark.parametrize(
    ("change", "param"), [({"model": "e"}, "model"), ({"truncate": True}, "truncate"),
                          ({"input": []}, "input"), ({"input": [1]}, "input[0]")]
)  # fmt: skip
async def test_what_classify_refuses_is_named(change: dict[str, Any], param: str) -> None:
    answer = await post(Encoders(), "/v1/classify", **{"model": "c", "input": "abc", **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_a_client_that_leaves_stops_the_work() -> None:
    source = Encoders()
    source.wait = asyncio.Event()
    with live_server(source) as server:
        host, port = "127.0.0.1", server.port
        reader, writer = await asyncio.open_connection(host, port)
        body = b'{"model": "e", "input": "abc"}'
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        for _ in range(500):
            if source.asked:
                break
            await asyncio.sleep(0.01)
        writer.close()
        for _ in range(500):
            if source.cancelled:
                break
            await asyncio.sleep(0.01)
    assert source.cancelled == 1
    del reader


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/classify"])
async def test_a_text_of_no_tokens_is_a_bad_request(path: str) -> None:
    """Read by a real tokenizer which puts nothing around a text."""
    texts = open_encoder_texts(trained.folder("bpe"), limit=9, vocab_size=trained.SIZE)

    async def read(words: Sequence[Any], kind: Any = None) -> Any:
        return texts.ids(words) if path == "/v1/embeddings" else texts.spans(words)

    source = Encoders(reads=read)
    answer = await post(source, path, model="e" if "emb" in path else "c", input=["a", ""])
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "input"
    assert "Input 2 has no tokens" in answer.json()["error"]["message"]
