"""`/studio/api/prompts` and `/studio/api/techniques`: prompts that a person keeps."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes import prompts as shapes
from kataribe.serve.shapes.conversations import Empty
from kataribe.serve.who import owner_of

if TYPE_CHECKING:
    from kataribe.serve.prompting_source import PromptingSource
    from kataribe.store.prompt_answers import Answer
    from kataribe.use.prompts.described import Described
    from kataribe.use.prompts.library import Library, Shown

_SEES = failures(400, 404)
_CHANGES = failures(400, 403, 404, 413, 415, 503)
_Id = Annotated[str, Path(max_length=32, description="Id of the prompt.")]
_Number = Annotated[int, Query(ge=1, le=2**31 - 1, description="Number of a version.")]


def prompts_router() -> APIRouter:
    """The routes; that which runs a prompt is in `prompt_runs`."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])
    _add_lists(router)
    _add_looks(router)
    _add_one(router)
    _add_changes(router)
    _add_answers(router)
    return router


def source_of(desk: Desk) -> PromptingSource:
    """Who keeps prompts; `UnsupportedError` where the server keeps none."""
    found = rooms_of(desk).prompting
    if found is None:
        raise UnsupportedError(
            "This server has no prompts and techniques. Start it with `kataribe up`."
        )
    return found


def _library(desk: Desk) -> Library:
    return source_of(desk).library


def _add_lists(router: APIRouter) -> None:
    @router.get(
        "/techniques",
        operation_id="listTechniques",
        summary="Ways of asking, with their papers and options",
        response_model=shapes.TechniqueList,
        responses=failures(400),
    )
    async def techniques(http: HTTPRequest) -> shapes.TechniqueList:
        desk = desk_of(http)
        owner_of(http.scope)
        source = source_of(desk)
        return shapes.TechniqueList(
            data=[_technique(each) for each in source.techniques()], tools=list(source.tools())
        )

    @router.get(
        "/prompts",
        operation_id="listPrompts",
        summary="Prompts that the person keeps",
        response_model=shapes.PromptList,
        responses=failures(400),
    )
    async def listed(
        http: HTTPRequest,
        deleted: Annotated[bool, Query(description="Those that can still come back.")] = False,
    ) -> shapes.PromptList:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        found = await asyncio.to_thread(partial(_library(desk).all, owner, deleted=deleted))
        return shapes.PromptList(data=[_summary(each) for each in found])

    @router.post(
        "/prompts",
        operation_id="createPrompt",
        summary="Make a prompt",
        response_model=shapes.PromptShown,
        responses=_CHANGES,
        openapi_extra=takes(shapes.NewPrompt),
    )
    async def create(http: HTTPRequest) -> shapes.PromptShown:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        body = await read_body(http, shapes.NewPrompt)
        library = _library(desk)
        made = await asyncio.to_thread(library.create, owner, body.name, body.text, body.note)
        return await _shown(library, owner, made.prompt.id)


def _add_looks(router: APIRouter) -> None:
    @router.post(
        "/prompts/render",
        operation_id="renderPrompt",
        summary="See what a template says with some values",
        response_model=shapes.Rendered,
        responses=_CHANGES,
        openapi_extra=takes(shapes.RenderPrompt),
    )
    async def render(http: HTTPRequest) -> shapes.Rendered:
        desk = desk_of(http)
        owner_of(http.scope)
        body = await read_body(http, shapes.RenderPrompt)
        source = source_of(desk)
        variables = list(source.variables(body.text))
        try:
            said = source.render(body.text, body.variables)
        except InputError as error:
            return shapes.Rendered(text=None, variables=variables, problem=error.message)
        return shapes.Rendered(text=said, variables=variables, problem="")


def _add_one(router: APIRouter) -> None:
    @router.get(
        "/prompts/{prompt}",
        operation_id="getPrompt",
        summary="A prompt with all its versions",
        response_model=shapes.PromptShown,
        responses=_SEES,
    )
    async def one(http: HTTPRequest, prompt: _Id) -> shapes.PromptShown:
        desk = desk_of(http)
        return await _shown(_library(desk), owner_of(http.scope), prompt)

    @router.get(
        "/prompts/{prompt}/diff",
        operation_id="comparePromptVersions",
        summary="What changed between two versions",
        response_model=shapes.PromptDifference,
        responses=_SEES,
    )
    async def diff(
        http: HTTPRequest, prompt: _Id, old: _Number = 1, new: _Number = 1
    ) -> shapes.PromptDifference:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        told = await asyncio.to_thread(library.difference, owner, prompt, old, new)
        return shapes.PromptDifference(old=old, new=new, diff=told)


def _add_changes(router: APIRouter) -> None:
    @router.post(
        "/prompts/{prompt}/versions",
        operation_id="addPromptVersion",
        summary="Give a prompt another version",
        response_model=shapes.PromptShown,
        responses=_CHANGES,
        openapi_extra=takes(shapes.NewVersion),
    )
    async def write(http: HTTPRequest, prompt: _Id) -> shapes.PromptShown:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        body = await read_body(http, shapes.NewVersion)
        await asyncio.to_thread(library.write, owner, prompt, body.text, body.note)
        return await _shown(library, owner, prompt)

    @router.patch(
        "/prompts/{prompt}",
        operation_id="renamePrompt",
        summary="Give a prompt another name",
        response_model=shapes.PromptShown,
        responses=_CHANGES,
        openapi_extra=takes(shapes.PromptChange),
    )
    async def rename(http: HTTPRequest, prompt: _Id) -> shapes.PromptShown:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        body = await read_body(http, shapes.PromptChange)
        await asyncio.to_thread(library.rename, owner, prompt, body.name)
        return await _shown(library, owner, prompt)

    @router.delete(
        "/prompts/{prompt}",
        operation_id="deletePrompt",
        summary="Delete a prompt; for ten minutes it can come back. Gives the others",
        response_model=shapes.PromptList,
        responses=_CHANGES,
    )
    async def remove(http: HTTPRequest, prompt: _Id) -> shapes.PromptList:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        await asyncio.to_thread(library.delete, owner, prompt)
        found = await asyncio.to_thread(library.all, owner)
        return shapes.PromptList(data=[_summary(each) for each in found])

    @router.post(
        "/prompts/{prompt}/restore",
        operation_id="restorePrompt",
        summary="Bring back a prompt that was deleted",
        response_model=shapes.PromptShown,
        responses=_CHANGES,
        openapi_extra=takes(Empty),
    )
    async def restore(http: HTTPRequest, prompt: _Id) -> shapes.PromptShown:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        await read_body(http, Empty)
        await asyncio.to_thread(library.restore, owner, prompt)
        return await _shown(library, owner, prompt)


def _add_answers(router: APIRouter) -> None:
    @router.get(
        "/prompts/{prompt}/answers",
        operation_id="listPromptAnswers",
        summary="Which version has answered what, newest first",
        response_model=shapes.PromptAnswerList,
        responses=_SEES,
    )
    async def answers(
        http: HTTPRequest,
        prompt: _Id,
        version: _Number | None = None,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> shapes.PromptAnswerList:
        desk = desk_of(http)
        owner, read = owner_of(http.scope), _library(desk).answers
        work = partial(read, owner, prompt, number=version, before=before, limit=limit)
        found = await asyncio.to_thread(work)
        return shapes.PromptAnswerList(data=[answer_shown(each) for each in found])

    @router.post(
        "/prompts/{prompt}/replies",
        operation_id="linkPromptReply",
        summary="Note that a reply of a conversation answers a version",
        response_model=shapes.PromptAnswer,
        responses=_CHANGES,
        openapi_extra=takes(shapes.LinkReply),
    )
    async def link(http: HTTPRequest, prompt: _Id) -> shapes.PromptAnswer:
        desk = desk_of(http)
        owner, library = owner_of(http.scope), _library(desk)
        body = await read_body(http, shapes.LinkReply)
        kept = await asyncio.to_thread(library.link, owner, prompt, body.version, body.message)
        return answer_shown(kept)


def _technique(found: Described) -> shapes.TechniqueShown:
    options = [
        shapes.TechniqueOption(
            name=each.name,
            schema=dict(each.schema),
            needed=each.needed,
            default=each.default,
            about=each.about,
        )
        for each in found.options
    ]
    return shapes.TechniqueShown(
        name=found.name, about=found.line, paper=found.paper, needs=found.needs, options=options
    )


async def _shown(library: Library, owner: str, id_: str) -> shapes.PromptShown:
    found = await asyncio.to_thread(library.get, owner, id_)
    versions = await asyncio.to_thread(library.versions, owner, id_)
    return shapes.PromptShown(
        summary=_summary(found),
        versions=[
            shapes.PromptVersion(
                number=each.number,
                text=each.text,
                variables=list(each.variables),
                note=each.note,
                answers=each.answers,
                created_at=each.created_at,
            )
            for each in versions
        ],
    )


def _summary(shown: Shown) -> shapes.PromptSummary:
    return shapes.PromptSummary(
        id=shown.prompt.id,
        name=shown.prompt.name,
        latest=shown.prompt.latest,
        text=shown.version.text,
        variables=list(shown.version.variables),
        note=shown.version.note,
        created_at=shown.prompt.created_at,
        changed_at=shown.prompt.changed_at,
        deleted=shown.prompt.deleted_at is not None,
    )


def answer_shown(answer: Answer) -> shapes.PromptAnswer:
    """An answer as the API gives it."""
    used = answer.technique
    return shapes.PromptAnswer(
        key=answer.key,
        id=answer.id,
        version=answer.number,
        model=answer.model,
        technique=None
        if used is None
        else shapes.TechniqueUsed(name=used["name"], options=used["options"]),
        variables=dict(answer.given),
        text=answer.text,
        finish=answer.finish,
        detail=answer.detail,
        usage=shapes.PromptUsage(
            prompt=answer.prompt_tokens,
            cached=answer.cached_tokens,
            completion=answer.completion_tokens,
        ),
        took=answer.took,
        message=answer.message,
        conversation=answer.conversation,
        created_at=answer.created_at,
    )
