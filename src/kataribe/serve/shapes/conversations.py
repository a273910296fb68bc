"""Conversations as `/studio/api/conversations` takes and gives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.steps import AllowedTool, ConsentRound, KeptTool, ReplyStep
from kataribe.serve.shapes.strict import Count, Incoming, Outgoing, Positive, Seed, Thumb

Id = Annotated[str, Field(pattern=r"^[0-9a-z]{16,32}$", description="Chosen by the client.")]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]
Title = Annotated[str, Field(max_length=200)]
Folder = Annotated[str, Field(max_length=100)]
State = Literal["sent", "waiting", "writing", "done", "stopped", "failed", "interrupted"]


class SamplingChoice(Incoming):
    """How replies are drawn; what is left out is the model's own default."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: Count | None = None
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    max_tokens: Positive | None = None
    seed: Seed | None = None


class NewConversation(Incoming):
    """Begin a conversation; sending the same id again changes nothing."""

    id: Id
    model: ModelName | None = None
    system: str | None = Field(None, description="Left out: the owner's preference.")
    folder: Folder = ""


class ConversationChange(Incoming):
    """What changes; what is left out stays."""

    title: Title | None = None
    folder: Folder | None = None
    pinned: bool | None = None
    model: ModelName | None = None
    system: str | None = None
    sampling: SamplingChoice | None = None
    allowed: list[KeptTool] | None = Field(
        None, max_length=1000, description="Tools can only be taken away here."
    )
    head: Id | None = Field(None, description="The branch through this message, to its newest.")


class FolderRename(Incoming):
    """Rename a folder: all conversations in it, at once."""

    folder: Annotated[str, Field(min_length=1, max_length=100)]
    name: Folder = Field(description="Empty: they are in no folder any more.")


class Send(Incoming):
    """Say something. While a reply is pending it waits in the queue; the same id acts once."""

    id: Id
    text: str = Field(description="Not only spaces; no NUL.")
    attachments: list[Id] = Field(default_factory=list, max_length=16)
    models: list[ModelName] = Field(
        default_factory=list, max_length=4, description="Several answer side by side."
    )
    sampling: SamplingChoice | None = None
    parent: Id | None = Field(
        None, description="The message that it follows; an earlier one makes a branch."
    )
    root: bool = Field(default=False, description="It begins a branch of its own at the top.")
    when: Literal["queue", "now", "steer"] = Field(
        default="queue",
        description="queue: after what runs and waits; now: stop what runs, answer this next; "
        "steer: stop what runs, keep what it said, and answer all that waits with this as one.",
    )
    blind: bool = Field(
        default=False,
        description="Of several models' replies: the studio names none before the vote; `asked` "
        "says so.",
    )


class Again(Incoming):
    """Another reply to the same question, beside the earlier ones."""

    id: Id
    model: ModelName | None = None
    sampling: SamplingChoice | None = None
    beginning: str = Field("", max_length=200_000, description="Words that the reply goes on from.")


class QueueChange(Incoming):
    """What a waiting message says instead."""

    text: str


class Merge(Incoming):
    """Makes one turn of two waiting neighbours."""

    other: Literal["previous", "next"]


class Stop(Incoming):
    """Stop replies; what they said is kept."""

    reply: Id | None = Field(None, description="Only this one; left out: all of the conversation.")


class Rate(Incoming):
    """A thumb and a remark on a reply."""

    rating: Thumb
    remark: str = Field("", max_length=10_000)


class Vote(Incoming):
    """Which of the replies side by side is better; no winner is a tie."""

    id: Id
    group: Id
    winner: Id | None
    shown: list[Id] = Field(min_length=2, max_length=4, description="In the order shown.")
    blind: bool


class Read(Incoming):
    """Which messages to give in full."""

    ids: list[Id] = Field(min_length=1, max_length=200)


class Attached(Outgoing):
    """A file beside a message; its size in bytes."""

    id: str
    name: str
    media_type: str
    size: int


class MessageUsage(Outgoing):
    """Tokens of a reply, and seconds as the server measured them."""

    prompt: int
    cached: int
    completion: int


class MessageFailure(Outgoing):
    """Why a reply failed: the API's code and sentence."""

    code: str
    message: str


class MessageProgress(Outgoing):
    """What a reply waits for now; as `Progress` in the chat API. `eta`: seconds, about."""

    stage: Literal["queued", "loading", "reading"]
    done: int
    total: int | None
    eta: float | None = None


class Message(Outgoing):
    """A message in full. `state` of what a person said is `sent`."""

    id: str
    parent: str | None
    role: Literal["user", "assistant"]
    state: State
    text: str
    reasoning: str
    model: str | None
    group: str | None = Field(description="Replies side by side share one.")
    asked: dict[str, Any] = Field(description="sampling, beginning, blind: as it was asked for.")
    sources: list[str] = Field(description="Ids of the messages that were merged into this one.")
    attachments: list[Attached]
    finish: str | None
    detail: str
    failure: MessageFailure | None
    progress: MessageProgress | None
    usage: MessageUsage | None
    first_after: float | None = Field(description="Seconds from asking to the first word.")
    took: float | None = Field(description="Seconds from asking to the last word.")
    rating: int
    remark: str
    created_at: float
    steps: list[ReplyStep] = Field(description="What was done for the reply, in order.")
    consents: list[ConsentRound] = Field(
        description="What it asked its person for, in order. Calls of the last one without an "
        "answer wait, while the reply is pending or `interrupted`."
    )


class Node(Outgoing):
    """A message's place in the tree; `length` in characters."""

    id: str
    parent: str | None
    role: Literal["user", "assistant"]
    length: int


class Queued(Outgoing):
    """A message that waits for its turn."""

    id: str
    text: str
    attachments: list[Attached]
    models: list[str]
    created_at: float


class Summary(Outgoing):
    """A conversation in the list."""

    id: str
    title: str
    titled_by: Literal["model", "person"] | None
    folder: str
    pinned: bool
    model: str | None
    created_at: float
    updated_at: float
    deleted: bool
    running: bool = Field(description="A reply is pending.")
    waiting: int = Field(description="Messages in the queue.")


class Conversation(Outgoing):
    """A conversation: its tree without words, and in full the newest messages of its branch."""

    summary: Summary
    system: str
    sampling: dict[str, Any]
    allowed: list[AllowedTool] = Field(description="Tools that are not asked for here again.")
    head: str | None
    version: int
    nodes: list[Node] = Field(description="Oldest first.")
    messages: list[Message] = Field(description="The end of the shown branch, oldest first.")
    queue: list[Queued] = Field(description="In order.")
    votes: dict[str, str | None] = Field(
        description="The person's votes on replies side by side, by group: the winner, null for a "
        "tie."
    )


class ConversationList(Outgoing):
    """Pinned ones first, then by their last change."""

    object: Literal["list"] = "list"
    data: list[Summary]
    folders: list[str]
    next: str | None = Field(description="Pass as `after` for more; null at the end.")


class FolderRenamed(Outgoing):
    """How many conversations the folder had."""

    conversations: int


class MessageList(Outgoing):
    """Messages in full, in the order asked for; those that are gone are left out."""

    object: Literal["list"] = "list"
    data: list[Message]


class Accepted(Outgoing):
    """What became of something sent: a message with its replies, or a place in the queue."""

    id: str
    state: Literal["sent", "queued", "withdrawn"]
    replies: list[str]
    version: int


class Hit(Outgoing):
    """What a search found. `marks` are [start, end) in `snippet`, in characters."""

    key: int = Field(description="Pass that of the last hit as `before` for more.")
    kind: Literal["message", "thought", "remark", "file", "title", "system", "folder"]
    conversation: str
    title: str
    message: str | None = Field(
        description="The message, or that which the thought, the file or the remark is beside; "
        "null: a title, a system text or a folder."
    )
    role: Literal["user", "assistant"] | None
    snippet: str
    marks: list[tuple[int, int]]
    created_at: float


class Hits(Outgoing):
    """What was found, newest first."""

    object: Literal["list"] = "list"
    data: list[Hit]
    more: bool


class Imported(Outgoing):
    """What an import brought."""

    conversations: int
    messages: int
    skipped: int = Field(description="Conversations that were here already.")
    jobs: int = Field(description="Jobs, as a record: none of them goes on here.")
    prompts: int


class QueueList(Outgoing):
    """What waits, in order."""

    object: Literal["list"] = "list"
    data: list[Queued]


class Stopped(Outgoing):
    """Replies that were stopped."""

    stopped: list[str]


class VoteKept(Outgoing):
    """A vote as it is kept."""

    id: str
    group: str
    winner: str | None
    shown: list[str]
    blind: bool


class Empty(Incoming):
    """Nothing has to be said."""
