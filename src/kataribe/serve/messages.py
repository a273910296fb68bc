"""`/studio/api/conversations/{talk}/messages`: what is said, asked again, stopped, rated."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.serve import talking
from kataribe.serve.conversations import WRONG, Name, shown
from kataribe.serve.described import takes
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes import conversations as shapes
from kataribe.serve.shapes.steps import GiveConsent
from kataribe.serve.who import owner_of
from kataribe.store import votes
from kataribe.store.asking import Answered, Became, Retry, Said
from kataribe.store.attachments import of_messages as files_of

Message = Annotated[str, Path(max_length=32, description="Id of the message.")]


def messages_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/conversations/{talk}", tags=["studio"])
    _saying_routes(router)
    _ending_routes(router)
    _judging_routes(router)
    return router


def _saying_routes(router: APIRouter) -> None:
    @router.post(
        "/messages",
        operation_id="sendMessage",
        summary="Say something; while a reply is pending it waits in the queue",
        response_model=shapes.Accepted,
        responses=WRONG,
        openapi_extra=takes(shapes.Send),
    )
    async def send(http: HTTPRequest, talk: Name) -> shapes.Accepted:
        desk = desk_of(http)
        body = await read_body(http, shapes.Send)
        said = Said(
            body.id,
            body.text,
            tuple(body.attachments),
            tuple(body.models),
            None if body.sampling is None else body.sampling.model_dump(exclude_none=True),
            body.parent,
            body.root,
            body.when,
            body.blind,
        )
        return _accepted(await rooms_of(desk).chats.say(owner_of(http.scope), talk, said))

    @router.post(
        "/messages/{message}/again",
        operation_id="answerAgain",
        summary="Another reply to the same question",
        response_model=shapes.Accepted,
        responses=WRONG,
        openapi_extra=takes(shapes.Again),
    )
    async def again(http: HTTPRequest, talk: Name, message: Message) -> shapes.Accepted:
        desk = desk_of(http)
        body = await read_body(http, shapes.Again)
        sampling = None if body.sampling is None else body.sampling.model_dump(exclude_none=True)
        retry = Retry(body.id, message, body.model, sampling, body.beginning)
        return _accepted(await rooms_of(desk).chats.again(owner_of(http.scope), talk, retry))


def _ending_routes(router: APIRouter) -> None:
    @router.post(
        "/stop",
        operation_id="stopReplies",
        summary="Stop replies; what they said is kept",
        response_model=shapes.Stopped,
        responses=WRONG,
        openapi_extra=takes(shapes.Stop),
    )
    async def stop(http: HTTPRequest, talk: Name) -> shapes.Stopped:
        desk = desk_of(http)
        body = await read_body(http, shapes.Stop)
        stopped = await rooms_of(desk).chats.stop(owner_of(http.scope), talk, body.reply)
        return shapes.Stopped(stopped=list(stopped))

    @router.post(
        "/messages/{message}/consent",
        operation_id="giveConsent",
        summary="Answer what a reply asks consent for; it goes on when all of it is answered",
        response_model=shapes.Message,
        responses=WRONG,
        openapi_extra=takes(GiveConsent),
    )
    async def consent(http: HTTPRequest, talk: Name, message: Message) -> shapes.Message:
        desk = desk_of(http)
        body = await read_body(http, GiveConsent)
        answers = [Answered(each.call, each.approved, each.why) for each in body.answers]
        chats, owner = rooms_of(desk).chats, owner_of(http.scope)
        told = await chats.consenting.answer(owner, talk, message, answers, always=body.always)
        return talking.message(told)

    @router.delete(
        "/messages/{message}",
        operation_id="deleteMessage",
        summary="Delete a message with all below it; it can come back",
        response_model=shapes.Conversation,
        responses=WRONG,
    )
    async def delete(http: HTTPRequest, talk: Name, message: Message) -> Response:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        await rooms_of(desk).chats.delete_message(owner, talk, message)
        return await shown(desk, owner, talk)

    @router.post(
        "/messages/{message}/restore",
        operation_id="restoreMessage",
        summary="Bring back what was deleted with a message",
        response_model=shapes.Conversation,
        responses=WRONG,
        openapi_extra=takes(shapes.Empty),
    )
    async def restore(http: HTTPRequest, talk: Name, message: Message) -> Response:
        desk = desk_of(http)
        await read_body(http, shapes.Empty)
        owner = owner_of(http.scope)
        await rooms_of(desk).chats.restore_message(owner, talk, message)
        return await shown(desk, owner, talk)


def _judging_routes(router: APIRouter) -> None:
    @router.put(
        "/messages/{message}/rating",
        operation_id="rateMessage",
        summary="A thumb and a remark on a reply, kept for evaluation",
        response_model=shapes.Message,
        responses=WRONG,
        openapi_extra=takes(shapes.Rate),
    )
    async def rate(http: HTTPRequest, talk: Name, message: Message) -> shapes.Message:
        desk = desk_of(http)
        body = await read_body(http, shapes.Rate)
        rooms, owner = rooms_of(desk), owner_of(http.scope)
        rated = await rooms.chats.rate(owner, talk, message, body.rating, body.remark)
        files = await rooms.store.read(lambda tx: files_of(tx, [message]))
        return talking.message(rated, files.get(message, ()))

    @router.post(
        "/votes",
        operation_id="vote",
        summary="Say which of the replies side by side is better",
        response_model=shapes.VoteKept,
        responses=WRONG,
        openapi_extra=takes(shapes.Vote),
    )
    async def vote(http: HTTPRequest, talk: Name) -> shapes.VoteKept:
        desk = desk_of(http)
        body = await read_body(http, shapes.Vote)
        owner = owner_of(http.scope)
        given = votes.Vote(body.id, body.group, body.winner, tuple(body.shown), body.blind)
        kept = await rooms_of(desk).chats.vote(owner, talk, given)
        return shapes.VoteKept(
            id=kept.id,
            group=kept.group,
            winner=kept.winner,
            shown=list(kept.shown),
            blind=kept.blind,
        )


def _accepted(became: Became) -> shapes.Accepted:
    return shapes.Accepted(
        id=became.id, state=became.state, replies=list(became.replies), version=became.version
    )
