"""`/v1/embeddings`, and `/v1/classify` in vLLM's shape."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.aside import aside
from kataribe.base.encoders import Embedding, EmbedInput, Label
from kataribe.base.errors import InputError, UnsupportedError
from kataribe.serve.chat import new_head
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.encoder_source import EncoderSource
from kataribe.serve.intake import read_body
from kataribe.serve.record import record_of
from kataribe.serve.service import find_model
from kataribe.serve.shapes.encoders import (
    CLASSIFY_UNSUPPORTED,
    EMBEDDING_UNSUPPORTED,
    MOST_INPUTS,
    Classified,
    ClassifyRequest,
    ClassifyResponse,
    ClassifyUsage,
    EmbeddingItem,
    EmbeddingList,
    EmbeddingRequest,
    EncoderUsage,
    Span,
)
from kataribe.serve.unless_gone import unless_gone

_WRONG = failures(400, 403, 404, 413, 415, 429, 503)


def embeddings_router() -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["embeddings"])

    @router.post(
        "/v1/embeddings",
        operation_id="createEmbedding",
        summary="Turn texts into vectors",
        response_model=EmbeddingList,
        responses=_WRONG,
        openapi_extra=takes(EmbeddingRequest),
    )
    async def create_embedding(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, EmbeddingRequest, unsupported=EMBEDDING_UNSUPPORTED)
        find_model(desk, body.model)
        record = record_of(http.scope)
        record.model = body.model
        made = await unless_gone(http, desk.lifecycle, _embed(desk, body))
        record.prompt_tokens = made.tokens
        json = await aside(made.vectors.size, _vectors_json, body, made)
        return Response(json, media_type="application/json")

    @router.post(
        "/v1/classify",
        operation_id="createClassification",
        summary="Label texts, or spans in them",
        response_model=ClassifyResponse,
        responses=_WRONG,
        openapi_extra=takes(ClassifyRequest),
    )
    async def create_classification(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, ClassifyRequest, unsupported=CLASSIFY_UNSUPPORTED)
        find_model(desk, body.model)
        record = record_of(http.scope)
        record.model = body.model
        answer = await unless_gone(http, desk.lifecycle, _classify(desk, body))
        record.prompt_tokens = answer.usage.prompt_tokens
        return Response(answer.model_dump_json(), media_type="application/json")

    return router


async def _embed(desk: Desk, body: EmbeddingRequest) -> Embedding:
    texts = _inputs(body)
    _check_count(len(texts))
    async with _source(desk).embedder(body.model) as embedder:
        if body.dimensions not in (None, embedder.dimensions):
            raise UnsupportedError(
                f"dimensions is {body.dimensions}, but {body.model} makes vectors of "
                f"{embedder.dimensions} numbers and was not trained to have them cut. Leave "
                "dimensions out.",
                param="dimensions",
            )
        return await embedder.embed(texts, body.input_type)


def _inputs(body: EmbeddingRequest) -> list[EmbedInput]:
    """One text or list of ids for each vector."""
    if isinstance(body.input, str):
        return [body.input]
    ids: list[int] = []
    several: list[EmbedInput] = []
    for entry in body.input:
        if isinstance(entry, int):
            ids.append(entry)
        else:
            several.append(entry if isinstance(entry, str) else tuple(entry))
    return several or [tuple(ids)]


def _vectors_json(body: EmbeddingRequest, made: Embedding) -> str:
    """The response as JSON."""
    plain = body.encoding_format != "base64"
    items = [
        EmbeddingItem(index=place, embedding=vector.tolist() if plain else _base64(vector))
        for place, vector in enumerate(made.vectors)
    ]
    usage = EncoderUsage(prompt_tokens=made.tokens, total_tokens=made.tokens)
    return EmbeddingList(model=body.model, data=items, usage=usage).model_dump_json()


def _base64(vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


async def _classify(desk: Desk, body: ClassifyRequest) -> ClassifyResponse:
    texts = [body.input] if isinstance(body.input, str) else body.input
    _check_count(len(texts))
    async with _source(desk).classifier(body.model) as classifier:
        found = await classifier.classify(texts)
        names = list(classifier.labels)
        data = [
            _tagged(place, names, texts[place], labels)
            if classifier.tags
            else _labelled(place, names, labels)
            for place, labels in enumerate(found.labels)
        ]
    usage = ClassifyUsage(prompt_tokens=found.tokens, total_tokens=found.tokens)
    return ClassifyResponse(**new_head("classify", body.model), data=data, usage=usage)


def _labelled(place: int, names: Sequence[str], labels: Sequence[Label]) -> Classified:
    best = max(labels, key=lambda label: label.score)
    return Classified(
        index=place,
        label=best.name,
        probs=[label.score for label in labels],
        num_classes=len(names),
        labels=list(names),
    )


def _tagged(place: int, names: Sequence[str], text: str, labels: Sequence[Label]) -> Classified:
    spans = [
        Span(
            label=label.name,
            score=label.score,
            start=label.start,
            end=label.end,
            text=text[label.start : label.end],
        )
        for label in labels
        if label.start is not None and label.end is not None
    ]
    return Classified(
        index=place, label=None, probs=[], num_classes=len(names), labels=list(names), spans=spans
    )


def _check_count(texts: int) -> None:
    if texts > MOST_INPUTS:
        raise InputError(
            f"input has {texts} texts; one call takes at most {MOST_INPUTS}. Send them in several.",
            param="input",
        )


def _source(desk: Desk) -> EncoderSource:
    models = desk.models
    if not isinstance(models, EncoderSource):
        raise UnsupportedError(
            "This server holds no models of vectors or labels. Start it with `kataribe up`."
        )
    return models
