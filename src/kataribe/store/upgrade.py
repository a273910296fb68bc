"""An older database is backed up, then brought to today's form step by step."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from kataribe.base.errors import StorageError
from kataribe.store.tables import METADATA

log = logging.getLogger("kataribe.store")

BACKUP_SECONDS = 14 * 24 * 3600.0
"""How long a backup is kept: it holds also what was deleted for good since it was made."""

STEPS = Path(__file__).parent / "migrations"


def newest() -> str:
    """The form that this Kataribe writes."""
    head = _script().get_current_head()
    assert head is not None
    return head


def form_of(connection: sa.Connection) -> str | None:
    """The form that a database has; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def is_older(connection: sa.Connection) -> bool:
    """Whether a database has a form from which it would be brought to today's."""
    form = form_of(connection)
    return form is not None and form != newest() and form in _forms()


def backups(path: Path) -> list[Path]:
    """The backups that upgrades of the database at `path` made, also unfinished ones."""
    ours = re.compile(re.escape(f"{path.name}.backup-") + r"\d{4}(-\d+)?(\.part)?")
    return sorted(file for file in path.parent.iterdir() if ours.fullmatch(file.name))


def remove_backups(path: Path, before: float) -> list[Path]:
    """Removes backups that were made before then, by the time of the file; gives which.

    Raises:
        OSError: One cannot be removed.
    """
    gone = [file for file in backups(path) if file.stat().st_mtime < before]
    for file in gone:
        file.unlink(missing_ok=True)
    return gone


def upgrade(engine: sa.Engine, path: Path, *, to: str = "head") -> Path | None:
    """Brings the database at `path` up to date; gives the backup that was made, if it was older.

    Raises `StorageError` when a newer Kataribe wrote it.
    """
    script = _script()
    wanted = newest() if to == "head" else to
    with engine.connect() as connection:
        form = form_of(connection)
        if form == wanted:
            return None
        if form is not None and form not in _forms():
            raise StorageError(
                f"The database {path} has the form {form}; this Kataribe knows those up to "
                f"{wanted}. It was written by a newer one: install that, or choose another "
                "workspace with KATARIBE_HOME."
            )
    backup = None if form is None else _back_up(path, form)
    with engine.connect() as connection:
        writer = connection.execution_options(kataribe_begin="BEGIN IMMEDIATE")
        with writer.begin():
            if form_of(writer) != form:  # another process did it while we waited
                return backup
            _run(script, writer, wanted)
    return backup


def _forms() -> set[str]:
    """Every form that this Kataribe knows."""
    return {step.revision for step in _script().walk_revisions()}


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(STEPS))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _run(script: ScriptDirectory, connection: sa.Connection, to: str) -> None:
    def steps(revision: Any, _: MigrationContext) -> list[Any]:
        return script._upgrade_revs(to, revision)

    config = Config()
    config.set_main_option("script_location", str(STEPS))
    with EnvironmentContext(config, script, fn=steps, destination_rev=to) as environment:
        environment.configure(
            connection=connection,
            target_metadata=METADATA,
            render_as_batch=True,
            transactional_ddl=False,  # the transaction around is ours
        )
        environment.run_migrations()


def _back_up(path: Path, form: str) -> Path:
    """A copy of the database beside it, made through SQLite so that it is whole."""
    target = path.with_name(f"{path.name}.backup-{form}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.backup-{form}-{number}")
    part = target.with_name(f"{target.name}.part")
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(part)) as copy,
    ):
        source.backup(copy)
    part.replace(target)
    log.warning(
        "The database %s is brought to a newer form. As it was, it is kept for %d days in %s.",
        path,
        BACKUP_SECONDS / 86400,
        target,
    )
    return target
