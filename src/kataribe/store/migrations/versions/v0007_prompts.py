"""Prompts of people: templates, their versions, and which version has answered what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    _prompts()
    _versions()
    _answers()


def _prompts() -> None:
    op.create_table(
        "prompts",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.id"], name=op.f("fk_prompts_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_prompts")),
        sa.UniqueConstraint("id", name=op.f("uq_prompts_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_prompts_name",
        "prompts",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(op.f("ix_prompts_owner"), "prompts", ["owner"], unique=False)


def _versions() -> None:
    op.create_table(
        "prompt_versions",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("prompt", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt"], ["prompts.id"], name=op.f("fk_prompt_versions_prompt"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_prompt_versions")),
        sa.UniqueConstraint("id", name=op.f("uq_prompt_versions_id")),
        sa.UniqueConstraint("prompt", "number", name="uq_prompt_versions_number"),
        sqlite_autoincrement=True,
    )


def _answers() -> None:
    op.create_table(
        "prompt_answers",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("message", sa.String(length=32), nullable=True),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("technique", sa.JSON(), nullable=True),
        sa.Column("given", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("finish", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("took", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"],
            ["prompt_versions.id"],
            name=op.f("fk_prompt_answers_version"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message"], ["messages.id"], name=op.f("fk_prompt_answers_message"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_prompt_answers")),
        sa.UniqueConstraint("id", name=op.f("uq_prompt_answers_id")),
        sqlite_autoincrement=True,
    )
    for column in ("version", "message"):
        op.create_index(
            op.f(f"ix_prompt_answers_{column}"), "prompt_answers", [column], unique=False
        )
