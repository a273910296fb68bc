"""The form of the database: whose each row is, and that published steps stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import sqlalchemy as sa

from kataribe.store.database import Store
from kataribe.store.migrations import versions
from kataribe.store.tables import METADATA

INDEX = "the index of the words of passages, by their keys; it is asked together with them"

NOBODYS = {
    "alembic_version": "the step that the database is at",
    "people": "its rows are the owners",
    "seen_sends": "ids alone; the column to their conversation may be empty, but is always written",
    **dict.fromkeys(("words", "words_config", "words_data", "words_docsize", "words_idx"), INDEX),
}
"""Tables without an owner, and why."""

OWNERS = ("owner", "person")

STEPS = {
    "v0001_conversations.py": "8ea833074528cb8cd431daf789846ca563f0718f9df21f2534d0e343bcfc1906",
    "v0002_jobs_and_accounts.py": (
        "845bd3d7a7ba568db16a44fb3d84b64b450b76c26c29702383ad95d9ebdee252"
    ),
    "v0003_system_texts_are_found.py": (
        "4a7a5fae5ce9f8c532e96e1e5931b404f49b35d15d26ab913637dd3eecd014e6"
    ),
    "v0004_folders_and_thoughts_are_found.py": (
        "abf7692d1f75adb8854697b11b835660accddd29378e37355d4252edb2d47f0c"
    ),
    "v0005_facts.py": "4ff5a89490ae65d8802ec7a7b3cdeb6cf3bfbc921538ec379154e56aea886ad6",
    "v0006_steps_and_consents.py": (
        "438aeb6cde3cfc48b85f35e9676e89855a2706819c15b09994312170a2d26782"
    ),
    "v0007_prompts.py": "581cdd6a16e9667051c1d580183e8020265aa70454511520f36f474e24fbe984",
    "v0008_responses.py": "99cd5f25a9d82e48bae99fc060ff363ba3988de9398b2696889b6a7063e2a29b",
}
"""sha256 of each step that was published."""


def _is_owned(table: sa.Table, seen: frozenset[str] = frozenset()) -> bool:
    """Whether every row has an owner, or hangs below one that has, and goes with it."""
    for column in table.columns:
        for key in column.foreign_keys:
            if column.nullable or key.ondelete != "CASCADE":
                continue
            above = key.column.table
            if column.name in OWNERS and above.name == "people":
                return True
            if above.name not in seen and _is_owned(above, seen | {table.name}):
                return True
    return False


def test_every_row_is_somebodys(tmp_path: Path) -> None:
    store = Store(tmp_path / "kataribe.db")
    found = sa.MetaData()
    with store.reading() as tx:
        found.reflect(tx)
    store.close()
    ownerless = {name for name, table in found.tables.items() if not _is_owned(table)}
    assert METADATA.tables.keys() <= found.tables.keys()
    assert ownerless == NOBODYS.keys(), "give it an owner, or say in NOBODYS why it needs none"


def test_steps_that_were_published_never_change() -> None:
    (folder,) = versions.__path__
    found = {
        step.name: hashlib.sha256(step.read_bytes()).hexdigest()
        for step in Path(folder).glob("v*.py")
    }
    assert found == STEPS, "databases out there took these steps: add a step, never edit one"
