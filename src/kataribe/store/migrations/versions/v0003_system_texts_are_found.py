"""System texts of conversations are found by a search, those that are there already too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from kataribe.store.cutting import cut

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Puts every system text into the index of words, as `search.index` does."""
    bind = op.get_bind()
    query = "SELECT id, owner, system FROM conversations WHERE system != ''"
    for id_, owner, system in bind.execute(sa.text(query)).all():
        made = bind.exec_driver_sql(
            "INSERT INTO passages(kind, ref, owner, within) VALUES ('system', ?, ?, ?)",
            (id_, owner, id_),
        )
        bind.exec_driver_sql(
            "INSERT INTO words(rowid, owner, text) VALUES (?, ?, ?)",
            (made.lastrowid, owner, cut(system)),
        )
