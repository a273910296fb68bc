"""Conversations: people, preferences, messages, what is queued, attached and found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    _people()
    _conversations()
    _passages()
    _preferences()
    _messages()
    _queued()
    _seen_sends()
    _attachments()
    op.execute(
        "CREATE VIRTUAL TABLE words USING fts5(owner, text, content='', tokenize='unicode61')"
    )
    op.execute(
        "INSERT INTO people (id, name, shown, disabled, created_at) "
        "VALUES ('local', 'local', '', 0, 0)"
    )


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("shown", sa.String(length=64), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("name", name=op.f("uq_people_name")),
    )


def _conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("titled_by", sa.String(length=8), nullable=True),
        sa.Column("folder", sa.String(length=100), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=True),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("sampling", sa.JSON(), nullable=False),
        sa.Column("head", sa.String(length=32), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("touched", sa.Integer(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.id"], name=op.f("fk_conversations_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_conversations")),
        sa.UniqueConstraint("id", name=op.f("uq_conversations_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_conversations_list", "conversations", ["owner", "deleted_at", "touched"], unique=False
    )


def _passages() -> None:
    op.create_table(
        "passages",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("within", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.id"], name=op.f("fk_passages_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_passages")),
        sa.UniqueConstraint("kind", "ref", name=op.f("uq_passages_kind_ref")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_passages_owner"), "passages", ["owner"], unique=False)
    op.create_index("ix_passages_within", "passages", ["within"], unique=False)


def _preferences() -> None:
    op.create_table(
        "preferences",
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.id"], name=op.f("fk_preferences_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "name", name=op.f("pk_preferences")),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("conversation", sa.String(length=32), nullable=False),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reasoning", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=True),
        sa.Column("group", sa.String(length=32), nullable=True),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("finish", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("first_after", sa.Float(), nullable=True),
        sa.Column("took", sa.Float(), nullable=True),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation"],
            ["conversations.id"],
            name=op.f("fk_messages_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_messages")),
        sa.UniqueConstraint("id", name=op.f("uq_messages_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_state", "messages", ["conversation", "state"], unique=False)
    op.create_index(
        "ix_messages_deleted_at",
        "messages",
        ["deleted_at"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_messages_parent"), "messages", ["parent"], unique=False)


def _queued() -> None:
    op.create_table(
        "queued",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("conversation", sa.String(length=32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation"],
            ["conversations.id"],
            name=op.f("fk_queued_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_queued")),
        sa.UniqueConstraint("id", name=op.f("uq_queued_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_queued_conversation"), "queued", ["conversation"], unique=False)


def _seen_sends() -> None:
    op.create_table(
        "seen_sends",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("conversation", sa.String(length=32), nullable=True),
        sa.Column("became", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation"],
            ["conversations.id"],
            name=op.f("fk_seen_sends_conversation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seen_sends")),
    )
    op.create_index(
        op.f("ix_seen_sends_conversation"), "seen_sends", ["conversation"], unique=False
    )


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("message", sa.String(length=32), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message"], ["messages.id"], name=op.f("fk_attachments_message"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.id"], name=op.f("fk_attachments_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index(op.f("ix_attachments_message"), "attachments", ["message"], unique=False)
    op.create_index(op.f("ix_attachments_owner"), "attachments", ["owner"], unique=False)
