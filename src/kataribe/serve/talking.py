"""Conversations, messages and news as the API tells them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from kataribe.serve.shapes import conversations as shapes
from kataribe.serve.shapes.steps import ConsentRound, ReplyStep

if TYPE_CHECKING:
    from kataribe.store.attachments import Attachment
    from kataribe.store.conversations import Conversation
    from kataribe.store.messages import Message, Node
    from kataribe.store.news import Waits
    from kataribe.store.queue import Item


def summary(conversation: Conversation) -> shapes.Summary:
    """A conversation in the list."""
    return shapes.Summary(
        id=conversation.id,
        title=conversation.title,
        titled_by=cast("Any", conversation.titled_by),
        folder=conversation.folder,
        pinned=conversation.pinned,
        model=conversation.model,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        deleted=conversation.deleted_at is not None,
        running=conversation.running > 0,
        waiting=conversation.waiting,
    )


def message(
    told: Message, files: Sequence[Attachment] = (), waits: Waits | None = None
) -> shapes.Message:
    """A message in full."""
    asked = dict(told.asked)
    sources = asked.pop("sources", [])
    asked.pop("system", None)  # long, and for looking inside only
    usage = None
    if told.prompt_tokens is not None and told.completion_tokens is not None:
        usage = shapes.MessageUsage(
            prompt=told.prompt_tokens,
            cached=told.cached_tokens or 0,
            completion=told.completion_tokens,
        )
    return shapes.Message(
        id=told.id,
        parent=told.parent,
        role=cast("Any", told.role),
        state=cast("Any", told.state),
        text=told.text,
        reasoning=told.reasoning,
        model=told.model,
        group=told.group,
        asked=asked,
        sources=list(sources),
        attachments=attached(files),
        finish=told.finish,
        detail=told.detail,
        failure=None if told.failure is None else shapes.MessageFailure(**told.failure),
        progress=progress(waits),
        usage=usage,
        first_after=told.first_after,
        took=told.took,
        rating=told.rating,
        remark=told.remark,
        created_at=told.created_at,
        steps=[step(each) for each in told.steps],
        consents=[consent(each) for each in told.consents],
    )


def step(kept: Mapping[str, Any]) -> ReplyStep:
    """A step of a reply."""
    return ReplyStep(**{name: kept[name] for name in ReplyStep.model_fields})


def consent(kept: Mapping[str, Any]) -> ConsentRound:
    """What a reply asks its person for."""
    return ConsentRound(**{name: kept[name] for name in ConsentRound.model_fields})


def progress(waits: Waits | None) -> shapes.MessageProgress | None:
    """What a reply waits for."""
    return None if waits is None else shapes.MessageProgress(**dataclasses.asdict(waits))


def attached(files: Iterable[Attachment]) -> list[shapes.Attached]:
    """Files beside a message."""
    return [
        shapes.Attached(id=file.id, name=file.name, media_type=file.media_type, size=file.size)
        for file in files
    ]


def queued(items: Iterable[Item], files: Mapping[str, Sequence[Attachment]]) -> list[shapes.Queued]:
    """What waits, in order."""
    return [
        shapes.Queued(
            id=item.id,
            text=item.text,
            attachments=attached(files.get(item.id, ())),
            models=list(item.asked.get("models", [])),
            created_at=item.created_at,
        )
        for item in items
    ]


def nodes(tree: Iterable[Node]) -> list[dict[str, str | int | None]]:
    """The tree without words, in the form of `shapes.Node`."""
    return [{"id": n.id, "parent": n.parent, "role": n.role, "length": n.length} for n in tree]
