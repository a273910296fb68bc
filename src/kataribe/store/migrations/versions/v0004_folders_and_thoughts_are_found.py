"""Folders, and what models thought before they answered, are found by a search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kataribe.store.cutting import cut

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Kind, ids of what is to be found, and how its owner, conversation and text are read. What is being
# written goes into the index at its end.
_NEW = (
    (
        "folder",
        "SELECT id FROM conversations WHERE folder != ''",
        "SELECT owner, id, folder FROM conversations WHERE id = :id",
    ),
    (
        "thought",
        "SELECT id FROM messages WHERE reasoning != '' AND state NOT IN ('waiting', 'writing')",
        (
            "SELECT c.owner, c.id, m.reasoning FROM messages m "
            "JOIN conversations c ON c.id = m.conversation WHERE m.id = :id"
        ),
    ),
)


def upgrade() -> None:
    """Puts them into the index of words, as `search.index` does, one text at a time."""
    bind = op.get_bind()
    for kind, ids, query in _NEW:
        for id_ in bind.execute(sa.text(ids)).scalars().all():
            owner, within, text = bind.execute(sa.text(query), {"id": id_}).one()
            made = bind.exec_driver_sql(
                "INSERT INTO passages(kind, ref, owner, within) VALUES (?, ?, ?, ?)",
                (kind, id_, owner, within),
            )
            bind.exec_driver_sql(
                "INSERT INTO words(rowid, owner, text) VALUES (?, ?, ?)",
                (made.lastrowid, owner, cut(text)),
            )
