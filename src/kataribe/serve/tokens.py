"""`/tokenize` and `/detokenize`, in vLLM's shape."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.aside import aside
from kataribe.base.errors import InputError
from kataribe.serve.asking import messages_in, tools_of
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of
from kataribe.serve.intake import parse_json, read_body
from kataribe.serve.models import TextTokenizer
from kataribe.serve.service import find_model
from kataribe.serve.shapes.text import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeChatRequest,
    TokenizeResponse,
    TokenizeTextRequest,
)

_WRONG = failures(400, 403, 404, 413, 415, 429, 503)


def tokens_router() -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["tokens"])

    @router.post(
        "/tokenize",
        operation_id="tokenize",
        summary="Turn a text or a conversation into token ids",
        response_model=TokenizeResponse,
        responses=_WRONG,
        openapi_extra=takes(TokenizeTextRequest, TokenizeChatRequest),
    )
    async def tokenize(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        value = parse_json(await http.body())
        chat = isinstance(value, dict) and "messages" in value
        if chat and "prompt" in value:
            raise InputError(
                "prompt and messages exclude each other. Send the text or the conversation.",
                param="prompt",
            )
        shape = TokenizeChatRequest if chat else TokenizeTextRequest
        body: TokenizeChatRequest | TokenizeTextRequest = await read_body(http, shape)
        name = model_of(desk, body.model)
        info = find_model(desk, name)
        size = len(await http.body())
        async with desk.models.tokenizer(name) as tokenizer:
            # Other replies go on meanwhile, also while a million ids are written down.
            json = await aside(size, _tokenize, body, tokenizer, info.context_length)
        return Response(json, media_type="application/json")

    @router.post(
        "/detokenize",
        operation_id="detokenize",
        summary="Turn token ids into text",
        response_model=DetokenizeResponse,
        responses=_WRONG,
        openapi_extra=takes(DetokenizeRequest),
    )
    async def detokenize(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, DetokenizeRequest)
        name = model_of(desk, body.model)
        find_model(desk, name)
        async with desk.models.tokenizer(name) as tokenizer:
            json = await aside(len(body.tokens), _detokenize, body.tokens, tokenizer, name)
        return Response(json, media_type="application/json")

    return router


def model_of(desk: Desk, name: str | None) -> str:
    """The model, or the server's own where none is named."""
    name = name or desk.settings.default_model
    if name is None:
        raise InputError(
            "Field 'model' is missing, and this server has no default model.",
            param="model",
            code="missing_field",
        )
    return name


def _tokenize(
    body: TokenizeTextRequest | TokenizeChatRequest,
    tokenizer: TextTokenizer,
    context_length: int | None,
) -> str:
    """The response as JSON."""
    if isinstance(body, TokenizeTextRequest):
        ids = tokenizer.encode(body.prompt, add_bos=None if body.add_special_tokens else False)
    else:
        ids = _chat_ids(body, tokenizer)
    words = tokenizer.pieces(ids) if body.return_token_strs else None
    response = TokenizeResponse(
        count=len(ids), max_model_len=context_length, tokens=ids, token_strs=words
    )
    return response.model_dump_json()


def _detokenize(tokens: Sequence[int], tokenizer: TextTokenizer, name: str) -> str:
    """The response as JSON."""
    worst = max(tokens, default=0)
    if worst >= tokenizer.vocab_size:
        raise InputError(
            f"Token id {worst} is outside the vocabulary of {name}, which has "
            f"{tokenizer.vocab_size} tokens.",
            param="tokens",
        )
    return DetokenizeResponse(prompt=tokenizer.decode(tokens)).model_dump_json()


def _chat_ids(body: TokenizeChatRequest, tokenizer: TextTokenizer) -> list[int]:
    if body.continue_final_message and body.add_generation_prompt:
        raise InputError(
            "continue_final_message and add_generation_prompt exclude each other. Set "
            "add_generation_prompt to false.",
            param="continue_final_message",
        )
    ids = tokenizer.chat_ids(
        messages_in(body.messages, continue_last=body.continue_final_message),
        tools=tools_of(body.tools),
        add_generation_prompt=body.add_generation_prompt,
        continue_last=body.continue_final_message,
        variables=body.chat_template_kwargs or {},
    )
    return [*tokenizer.encode(""), *ids] if body.add_special_tokens else ids
