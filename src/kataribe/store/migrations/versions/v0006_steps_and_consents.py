"""Steps and consents of replies are kept; a fact says which assistant was told it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns; each is filled with nothing, as nothing is known."""
    for table, column in (
        ("conversations", "allowed"),
        ("messages", "steps"),
        ("messages", "consents"),
    ):
        op.add_column(table, sa.Column(column, sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("facts", sa.Column("assistant", sa.String(length=256), nullable=True))
    op.add_column("facts", sa.Column("deleted_at", sa.Float(), nullable=True))
