"""The tools that hosts see: asking, the list of who can be asked, and searching documents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from mcp import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent, Tool, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kataribe.base.errors import InputError, KataribeError, UnavailableError
from kataribe.base.nearness import meant
from kataribe.serve.mcp.asking import Answer, Asked, ask
from kataribe.serve.mcp.offer import Caller, Describing, Offer

MOST_PASSAGES = 20
_ShapeT = TypeVar("_ShapeT", bound=BaseModel)


class Listed(BaseModel):
    """Arguments of `list_models`: none."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Searched(BaseModel):
    """Arguments of `search_documents`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(min_length=1, description="What to look for, in words of the text.")
    passages: int = Field(5, ge=1, le=MOST_PASSAGES, description="How many at most.")


class Models(BaseModel):
    """What `list_models` answers."""

    models: list[dict[str, Any]]


def tools_of(offer: Offer) -> list[Tool]:
    """The tools as hosts see them."""
    found = [
        Tool(
            name="ask",
            title="Ask a model or an assistant",
            description="Asks a language model, or an assistant made of one, that runs in "
            "Kataribe, and gives its reply. Nothing is remembered between two questions.",
            input_schema=_schema(Asked),
            output_schema=_schema(Answer),
            annotations=ToolAnnotations(open_world_hint=True),
        ),
        Tool(
            name="list_models",
            title="List models and assistants",
            description="Lists who can be asked: models, and assistants with what they are for.",
            input_schema=_schema(Listed),
            output_schema=_schema(Models),
            annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
        ),
    ]
    if offer.search is not None:
        found.append(
            Tool(
                name="search_documents",
                title="Search documents",
                description="Searches the documents that Kataribe knows, and gives the passages "
                "that fit best with their sources.",
                input_schema=_schema(Searched),
                annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
            )
        )
    return found


async def call(
    offer: Offer, name: str, arguments: Mapping[str, Any] | None, caller: Caller
) -> CallToolResult:
    """Makes one call; what goes wrong with it becomes words, so that the host's model can react.

    Raises `MCPError` for a tool that there is not.
    """
    known = [tool.name for tool in tools_of(offer)]
    if name not in known:
        raise MCPError(INVALID_PARAMS, f"There is no tool {name!r:.80}. {meant(name, known)}")
    try:
        if name == "ask":
            return await _ask(offer, _read(Asked, name, arguments), caller)
        if name == "list_models":
            _read(Listed, name, arguments)
            return await _list(offer)
        return await _search(offer, _read(Searched, name, arguments))
    except KataribeError as error:
        return _said(error.message, is_error=True)


async def _ask(offer: Offer, asked: Asked, caller: Caller) -> CallToolResult:
    model = asked.model or offer.default
    if model is None:
        raise InputError("No model is named, and there is no default. Name one of list_models.")
    asking = asyncio.ensure_future(ask(offer.models, model, asked, caller))
    waited: list[asyncio.Future[Any]] = [asking]
    if caller.halted is not None:
        waited.append(asyncio.ensure_future(caller.halted()))
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise UnavailableError("The server stopped before the reply ended. Ask again.")
        answer = asking.result()
    finally:
        for each in waited:
            each.cancel()
        await asyncio.wait(waited)  # so that the model is free
    texts = [answer.text] if answer.text else []
    if answer.finish_reason != "stop":
        detail = f": {answer.detail}" if answer.detail else ""
        texts.append(f"[The reply ended early: {answer.finish_reason}{detail}.]")
    return _said(*texts, value=answer.model_dump(mode="json"))


async def _list(offer: Offer) -> CallToolResult:
    infos = await asyncio.to_thread(offer.models.names)  # may read headers of files
    listed = []
    for info in infos:
        if info.use != "write":
            continue
        kind = "assistant" if info.owned_by == "assistant" else "model"
        one: dict[str, Any] = {
            "name": info.name,
            "kind": kind,
            "default": info.name == offer.default,
        }
        if info.context_length is not None:
            one["context_length"] = info.context_length
        if kind == "assistant" and isinstance(offer.models, Describing):
            one["about"] = await asyncio.to_thread(offer.models.about, info.name)
        listed.append(one)
    value = Models(models=listed).model_dump(mode="json")
    return _said(json.dumps(value, ensure_ascii=False), value=value)


async def _search(offer: Offer, searched: Searched) -> CallToolResult:
    assert offer.search is not None
    found = await offer.search(searched.query, searched.passages)
    told = [
        f"[{place}] {each.source}\n{each.text}"
        for place, each in enumerate(found[: searched.passages], 1)
    ]
    return _said("\n\n".join(told) or f"Nothing was found for {searched.query!r}.")


def _said(*texts: str, value: Any = None, is_error: bool = False) -> CallToolResult:
    blocks = [TextContent(text=text.encode("utf-8", "replace").decode()) for text in texts]
    return CallToolResult(content=[*blocks], structured_content=value, is_error=is_error)


def _read(shape: type[_ShapeT], name: str, arguments: Mapping[str, Any] | None) -> _ShapeT:
    try:
        return shape.model_validate(dict(arguments or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        there = ", ".join(shape.model_fields) or "none"
        given = (
            "" if first["type"] in ("missing", "extra_forbidden") else f" {first['input']!r:.80}"
        )
        raise InputError(
            f"The arguments of {name} do not fit: {field}{given}: {first['msg']}. Its parameters "
            f"are {there}.",
            param=field,
        ) from None


def _schema(shape: type[BaseModel]) -> dict[str, Any]:
    """The shape's JSON schema, without titles: hosts' models pay for every word."""
    schema = shape.model_json_schema()
    for part in (schema, *schema.get("properties", {}).values()):
        part.pop("title", None)
    schema.pop("description", None)
    return schema
