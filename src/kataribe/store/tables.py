"""The tables, as they are now; `migrations` says how a database gets there.

`key` orders rows as they came, whatever the clock says; `id` is what everybody else names a row by.
Times are seconds since 1970 and only for showing. Every row that a person owns has an `owner`, or
hangs below one that has.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LOCAL = "local"
"""The owner of everything while nobody has an account."""

LIVE = ("waiting", "writing")
"""States of a reply that is pending."""

GOING = 0.0
"""`deleted_at` of what is being deleted for good: it cannot come back any more."""

people = Table(
    "people",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),  # as signed in with, casefolded
    Column("shown", String(64), nullable=False),
    Column("password", Text),  # scrypt; none for LOCAL, who never signs in
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", Float, nullable=False),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("hash", String(64), primary_key=True),  # sha256 of the cookie's token
    Column("person", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("agent", String(200), nullable=False, default=""),
)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("person", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),  # sha256 of the key
    Column("begins", String(16), nullable=False),  # its first letters, to tell keys apart
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),
)

preferences = Table(
    "preferences",
    METADATA,
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

conversations = Table(
    "conversations",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("title", String(200), nullable=False, default=""),
    Column("titled_by", String(8)),  # model, person; none: not yet
    Column("folder", String(100), nullable=False, default=""),
    Column("pinned", Boolean, nullable=False, default=False),
    Column("model", String(256)),  # answers when a message names none
    Column("system", Text, nullable=False, default=""),
    Column("sampling", JSON, nullable=False, default=dict),
    # {model, tool}: tools that its person lets a model use here without asking again
    Column("allowed", JSON, nullable=False, default=list, server_default="[]"),
    Column("head", String(32)),  # newest message of the branch that is shown
    Column("version", Integer, nullable=False, default=0),  # counts every change
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("touched", Integer, nullable=False, default=0),  # orders the list, whatever the clock
    Column("deleted_at", Float),  # until it is purged, it can come back
    Index("ix_conversations_list", "owner", "deleted_at", "touched"),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "conversation",
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # No foreign key: deleting along one would go deeper than SQLite does, in a long conversation.
    Column("parent", String(32), index=True),
    Column("role", String(16), nullable=False),  # user, assistant
    Column("state", String(16), nullable=False),
    Column("length", Integer, nullable=False, default=0),  # characters of the text
    Column("text", Text, nullable=False, default=""),
    Column("reasoning", Text, nullable=False, default=""),
    Column("model", String(256)),
    Column("group", String(32)),  # replies asked for side by side share one
    # sampling, system, beginning, blind of a reply; sources of what a person said
    Column("asked", JSON, nullable=False, default=dict),
    Column("finish", String(32)),
    Column("detail", Text, nullable=False, default=""),
    Column("failure", JSON),
    Column("prompt_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("first_after", Float),  # seconds from asking to the first word
    Column("took", Float),  # seconds from asking to the last
    Column("rating", Integer, nullable=False, default=0),  # -1, 0, 1
    Column("remark", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("deleted_at", Float),
    # What techniques and agents did for a reply, see `use.chats.steps`; what they asked its person
    # for, see `use.chats.consent`.
    Column("steps", JSON, nullable=False, default=list, server_default="[]"),
    Column("consents", JSON, nullable=False, default=list, server_default="[]"),
    Index("ix_messages_state", "conversation", "state"),
    Index("ix_messages_deleted_at", "deleted_at", sqlite_where=text("deleted_at IS NOT NULL")),
    sqlite_autoincrement=True,
)

queued = Table(
    "queued",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "conversation",
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("place", Integer, nullable=False),  # order within the conversation
    Column("text", Text, nullable=False),
    Column("asked", JSON, nullable=False, default=dict),  # models, sampling, attachments, blind
    Column("sources", JSON, nullable=False, default=list),  # ids of messages that were merged in
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

seen_sends = Table(
    "seen_sends",
    METADATA,
    # Every id that a client has sent, and what became of it: sending twice does nothing twice.
    Column("id", String(32), primary_key=True),
    Column("conversation", ForeignKey("conversations.id", ondelete="CASCADE"), index=True),
    Column("became", String(32), nullable=False),  # id of the message or queued item
)

attachments = Table(
    "attachments",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("message", ForeignKey("messages.id", ondelete="CASCADE"), index=True),
    Column("name", String(255), nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("size", Integer, nullable=False),  # bytes
    Column("sha256", String(64), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
)

votes = Table(
    "votes",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column(
        "conversation",
        ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("group", String(32), nullable=False),
    Column("winner", String(32)),  # id of a reply; none: a tie
    Column("shown", JSON, nullable=False),  # ids of the replies, in the order shown
    Column("blind", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "group"),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("title", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16), nullable=False, default="run"),  # run, pause, cancel
    Column("params", JSON, nullable=False, default=dict),
    Column("stage", String(32), nullable=False, default=""),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer),
    Column("unit", String(16), nullable=False, default=""),
    Column("result", JSON),
    Column("failure", JSON),
    Column("attempts", Integer, nullable=False, default=0),  # since it last got further
    Column("reached", JSON, nullable=False, default=dict),  # stage: the furthest `done` of all
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Index("ix_jobs_list", "owner", "key"),
    Index("ix_jobs_state", "state"),
    sqlite_autoincrement=True,
)

job_log = Table(
    "job_log",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("level", String(8), nullable=False),
    Column("line", Text, nullable=False),
    sqlite_autoincrement=True,
)

passages = Table(
    "passages",
    METADATA,
    # What can be found: the index of words has the same key. `within` is the thing it is part of.
    Column("key", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("ref", String(64), nullable=False),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("within", String(64), nullable=False, default=""),
    UniqueConstraint("kind", "ref"),
    Index("ix_passages_within", "within"),
    sqlite_autoincrement=True,
)

facts = Table(
    "facts",
    METADATA,
    # What models were told to remember of a person.
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("source", String(64)),  # the conversation in which it was said
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("assistant", String(256)),  # who was told it
    Column("deleted_at", Float),  # until it is purged, it can come back
    sqlite_autoincrement=True,
)

prompts = Table(
    "prompts",
    METADATA,
    # Templates that a person asks with. What they say is in their versions.
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("latest", Integer, nullable=False),  # number of the newest version
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("deleted_at", Float),  # until it is purged, it can come back
    Index(
        "uq_prompts_name",
        "owner",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

prompt_versions = Table(
    "prompt_versions",
    METADATA,
    # Never changed: what has answered once must be there to look at.
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("prompt", ForeignKey("prompts.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # from 1
    Column("text", Text, nullable=False),
    Column("variables", JSON, nullable=False),  # names, in the order in which they first stand
    Column("note", String(200), nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("prompt", "number", name="uq_prompt_versions_number"),
    sqlite_autoincrement=True,
)

prompt_answers = Table(
    "prompt_answers",
    METADATA,
    # Which version has answered what.
    Column("key", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column(
        "version",
        ForeignKey("prompt_versions.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    # A reply of a conversation has its words there, and goes with it; `text` is empty then.
    Column("message", ForeignKey("messages.id", ondelete="CASCADE"), index=True),
    Column("model", String(256), nullable=False),
    Column("technique", JSON),  # name, options; none: asked as it is
    Column("given", JSON, nullable=False),  # values of the variables
    Column("text", Text, nullable=False, default=""),
    Column("finish", String(32), nullable=False),
    Column("detail", Text, nullable=False, default=""),
    Column("prompt_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("took", Float),  # seconds
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

responses = Table(
    "responses",
    METADATA,
    # Of `/v1/responses`. What one goes on from may be gone before it, so `previous` is only a name.
    Column("key", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("model", String(256), nullable=False),
    Column("previous", String(64)),
    Column("input", JSON, nullable=False),  # the request's items, with ids
    Column("response", JSON, nullable=False),  # as it was told
    Column("size", Integer, nullable=False),  # bytes of both
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)
