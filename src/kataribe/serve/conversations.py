"""`/studio/api/conversations`: the list, one conversation, and what is changed of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from kataribe.base.errors import InputError
from kataribe.serve import talking
from kataribe.serve.described import failures, takes
from kataribe.serve.desk import Desk, desk_of, rooms_of
from kataribe.serve.intake import read_body
from kataribe.serve.shapes import conversations as shapes
from kataribe.serve.shapes.steps import AllowedTool
from kataribe.serve.telling import to_bytes
from kataribe.serve.who import owner_of
from kataribe.store import conversations, messages, preferences, purge, queue, votes
from kataribe.store.attachments import of_messages as files_of
from kataribe.store.news import Listed
from kataribe.store.tables import LIVE

if TYPE_CHECKING:
    from kataribe.store.attachments import Attachment
    from kataribe.store.conversations import Conversation
    from kataribe.store.messages import Message, Node
    from kataribe.store.queue import Item

WRONG = failures(400, 403, 404, 413, 415, 503, 507)
Name = Annotated[str, Path(max_length=32, description="Id of the conversation.")]
TAIL = 40
"""Messages in full that come with a conversation: more than one screen shows."""


@dataclass(frozen=True, slots=True)
class _Seen:
    conversation: Conversation
    nodes: tuple[Node, ...]
    messages: tuple[Message, ...]
    items: tuple[Item, ...]
    files: Mapping[str, Sequence[Attachment]]
    votes: Mapping[str, str | None]


def conversations_router() -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/studio/api/conversations", tags=["studio"])
    _list_routes(router)
    _folder_routes(router)
    _reading_routes(router)
    _changing_routes(router)
    return router


def _list_routes(router: APIRouter) -> None:
    @router.get(
        "",
        operation_id="listConversations",
        summary="List conversations",
        response_model=shapes.ConversationList,
        responses=failures(400, 404),
    )
    async def listed(
        http: HTTPRequest,
        folder: Annotated[str | None, Query(max_length=100)] = None,
        after: Annotated[str | None, Query(max_length=32)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        deleted: Annotated[bool, Query()] = False,
    ) -> shapes.ConversationList:
        desk = desk_of(http)
        owner = owner_of(http.scope)

        def look(tx: Connection) -> tuple[conversations.Page, tuple[str, ...]]:
            page = conversations.listed(
                tx, owner, folder=folder, after=after, limit=limit, deleted=deleted
            )
            return page, conversations.folders(tx, owner)

        page, folders = await rooms_of(desk).store.read(look)
        data = [talking.summary(each) for each in page.conversations]
        return shapes.ConversationList(data=data, folders=list(folders), next=page.after)

    @router.post(
        "",
        operation_id="createConversation",
        summary="Begin a conversation",
        response_model=shapes.Conversation,
        responses=WRONG,
        openapi_extra=takes(shapes.NewConversation),
    )
    async def create(http: HTTPRequest) -> Response:
        desk = desk_of(http)
        body = await read_body(http, shapes.NewConversation)
        owner = owner_of(http.scope)

        def work(tx: Connection) -> None:
            preferred = preferences.read(tx, owner)
            system = (
                _text(preferred.get("system"), conversations.LONGEST_SYSTEM)
                if body.system is None
                else body.system
            )
            model = body.model or _text(preferred.get("model"), 256) or None
            conversations.create(tx, owner, body.id, model=model, system=system, folder=body.folder)

        await rooms_of(desk).store.write(work)
        return await shown(desk, owner, body.id)


def _folder_routes(router: APIRouter) -> None:
    @router.patch(
        "",
        operation_id="renameFolder",
        summary="Rename a folder: all conversations in it, or none",
        response_model=shapes.FolderRenamed,
        responses=WRONG,
        openapi_extra=takes(shapes.FolderRename),
    )
    async def rename(http: HTTPRequest) -> shapes.FolderRenamed:
        desk = desk_of(http)
        body = await read_body(http, shapes.FolderRename)
        owner, rooms = owner_of(http.scope), rooms_of(desk)
        moved = await rooms.store.write(
            lambda tx: conversations.rename_folder(tx, owner, body.folder, body.name)
        )
        rooms.chats.hub.tell(owner, None, *map(Listed, moved))
        return shapes.FolderRenamed(conversations=len(moved))


def _reading_routes(router: APIRouter) -> None:
    @router.get(
        "/{talk}",
        operation_id="getConversation",
        summary="A conversation: its tree, and in full the newest messages of its branch",
        response_model=shapes.Conversation,
        responses=failures(400, 404),
    )
    async def get(
        http: HTTPRequest, talk: Name, tail: Annotated[int, Query(ge=0, le=400)] = TAIL
    ) -> Response:
        desk = desk_of(http)
        return await shown(desk, owner_of(http.scope), talk, tail)

    @router.post(
        "/{talk}/read",
        operation_id="readMessages",
        summary="Messages in full",
        response_model=shapes.MessageList,
        responses=WRONG,
        openapi_extra=takes(shapes.Read),
    )
    async def read(http: HTTPRequest, talk: Name) -> shapes.MessageList:
        desk = desk_of(http)
        body = await read_body(http, shapes.Read)
        owner, rooms = owner_of(http.scope), rooms_of(desk)

        def look(tx: Connection) -> tuple[tuple[Message, ...], Mapping[str, Sequence[Attachment]]]:
            conversations.get(tx, owner, talk)
            return messages.read(tx, talk, body.ids), files_of(tx, body.ids)

        found, files = await rooms.store.read(look)
        return shapes.MessageList(data=_with_words(desk, found, files))


def _changing_routes(router: APIRouter) -> None:
    @router.patch(
        "/{talk}",
        operation_id="changeConversation",
        summary="Change title, folder, pin, model, system text, sampling or branch",
        response_model=shapes.Conversation,
        responses=WRONG,
        openapi_extra=takes(shapes.ConversationChange),
    )
    async def change(http: HTTPRequest, talk: Name) -> Response:
        desk = desk_of(http)
        body = await read_body(http, shapes.ConversationChange)
        changes = body.model_dump(exclude_unset=True)
        if "sampling" in changes and body.sampling is not None:
            changes["sampling"] = body.sampling.model_dump(exclude_none=True)
        for name in {name for name, value in changes.items() if value is None} - {"model"}:
            raise InputError(f"{name} is null; leave it out to keep it.", param=name)
        if "title" in changes:
            changes["titled_by"] = "person" if changes["title"] else None
        owner = owner_of(http.scope)
        await rooms_of(desk).chats.change(owner, talk, **changes)
        return await shown(desk, owner, talk)

    @router.delete(
        "/{talk}",
        operation_id="deleteConversation",
        summary="Delete a conversation; for ten minutes it can come back",
        response_model=shapes.Summary,
        responses=WRONG,
    )
    async def delete(
        http: HTTPRequest, talk: Name, forever: Annotated[bool, Query()] = False
    ) -> shapes.Summary:
        desk = desk_of(http)
        rooms, owner = rooms_of(desk), owner_of(http.scope)
        found = await rooms.store.read(lambda tx: conversations.get(tx, owner, talk, deleted=True))
        if found.deleted_at is None:
            found = await rooms.chats.delete(owner, talk)
        if forever:
            await asyncio.to_thread(purge.delete_for_good, rooms.store, owner, talk)
        return talking.summary(found)

    @router.post(
        "/{talk}/restore",
        operation_id="restoreConversation",
        summary="Bring a deleted conversation back",
        response_model=shapes.Summary,
        responses=WRONG,
        openapi_extra=takes(shapes.Empty),
    )
    async def restore(http: HTTPRequest, talk: Name) -> shapes.Summary:
        desk = desk_of(http)
        await read_body(http, shapes.Empty)
        return talking.summary(await rooms_of(desk).chats.restore(owner_of(http.scope), talk))


async def shown(desk: Desk, owner: str, id_: str, tail: int = TAIL) -> Response:
    """A conversation as a page opens it, in `shapes.Conversation`'s form.

    Its thousands of nodes are written as they are: checking each once more took most of the time.
    """

    def look(tx: Connection) -> _Seen:
        conversation = conversations.get(tx, owner, id_)
        tree = messages.nodes(tx, id_)
        branch = messages.path(tree, conversation.head)
        wanted = branch[max(0, len(branch) - tail) :]
        items = queue.waiting(tx, id_)
        files = {**files_of(tx, wanted), **queue.files(tx, items)}
        found = messages.read(tx, id_, wanted)
        return _Seen(conversation, tree, found, items, files, votes.winners(tx, owner, id_))

    rooms = rooms_of(desk)
    seen = await rooms.store.read(look)
    pending = [each.id for each in seen.messages if each.state in LIVE]
    if len(rooms.chats.words_of(pending)) < len(pending):  # one ended just while we looked
        await rooms.chats.settled(id_)
        seen = await rooms.store.read(look)
    told = shapes.Conversation(
        summary=talking.summary(seen.conversation),
        system=seen.conversation.system,
        sampling=dict(seen.conversation.sampling),
        allowed=[AllowedTool(**each) for each in seen.conversation.allowed],
        head=seen.conversation.head,
        version=seen.conversation.version,
        nodes=[],
        messages=_with_words(desk, seen.messages, seen.files),
        queue=talking.queued(seen.items, seen.files),
        votes=dict(seen.votes),
    )
    body = {**told.model_dump(mode="json"), "nodes": talking.nodes(seen.nodes)}
    return Response(to_bytes(body), media_type="application/json")


def _with_words(
    desk: Desk, found: tuple[Message, ...], files: Mapping[str, Sequence[Attachment]]
) -> list[shapes.Message]:
    """Messages as they are at this moment: of running replies more is said than is kept."""
    chats = rooms_of(desk).chats
    live = chats.words_of(message.id for message in found)
    return [
        talking.message(
            live.get(message.id, message), files.get(message.id, ()), chats.waits_of(message.id)
        )
        for message in found
    ]


def _text(preferred: object, most: int) -> str:
    """A preference that should be words; pages may keep anything under any name."""
    return preferred if isinstance(preferred, str) and len(preferred) <= most else ""
