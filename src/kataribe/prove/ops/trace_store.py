"""`traces.db`: spans of calls, and what was used by day, person and model.

It is a file of its own, so that writing spans never holds up a chat. Spans hold no word of what was
asked or answered. The newest are kept; sums of what was used stay when their spans go.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.pool import NullPool

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.prove.ops.ledger import HOUR, NOTHING, Bill, Span
from kataribe.prove.ops.spent import Spent

By: TypeAlias = Literal["model", "day", "user"]

VERSION = 1
"""Of the tables, as `user_version` says it."""

MOST = 200_000
"""Spans that are kept; about 60 MB."""

SHORTEST = 4
"""Digits of an id that a trace may be named by."""

_AMOUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "steps", "dollars", "unpriced")


def _amounts(prefix: str = "") -> list[sa.Column[Any]]:
    kinds = {"dollars": sa.Float}
    return [
        sa.Column(prefix + name, kinds.get(name, sa.Integer), nullable=False) for name in _AMOUNTS
    ]


_meta = sa.MetaData()
spans_table = sa.Table(
    "spans",
    _meta,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("trace", sa.String, nullable=False, index=True),
    sa.Column("parent", sa.String),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("user", sa.String, index=True),
    sa.Column("conversation", sa.String),
    *(sa.Column(name, sa.Float, nullable=False) for name in ("began", "queue", "whole")),
    sa.Column("first", sa.Float),
    *_amounts("own_"),
    *_amounts(),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("error", sa.String),
    sa.Column("exact", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,
)
used_table = sa.Table(
    "used",
    _meta,
    sa.Column("hour", sa.Integer, primary_key=True),
    sa.Column("user", sa.String, primary_key=True),
    sa.Column("model", sa.String, primary_key=True),
    *_amounts(),
    sqlite_with_rowid=False,
)
lost_table = sa.Table("lost", _meta, sa.Column("spans", sa.Integer, nullable=False))


@dataclass(frozen=True, slots=True)
class Cost:
    """What was used, by whatever was asked for; fields that were not are None.

    Attributes:
        day: Of the calendar here, `2026-11-23`.
        model: Who answered.
        user: For whom; empty for nobody who is known.
        used: How much.
    """

    day: str | None
    model: str | None
    user: str | None
    used: Spent


@dataclass(frozen=True, slots=True)
class Trace:
    """What one request from outside has caused, in a line: its first span, and how many more."""

    root: Span
    spans: int


class TraceStore:
    """The file. Every call opens it anew, so that it may be used from any thread and process.

    Raises `StorageError` where the file cannot be read or written.
    """

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path = path
        self.most = most
        self._engine = sa.create_engine(
            f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 10.0}
        )
        sa.event.listen(self._engine, "connect", _set_up)
        sa.event.listen(self._engine, "begin", _begin)

    def write(
        self, spans: Sequence[Span], lost: Mapping[Bill, Spent] | None = None, dropped: int = 0
    ) -> None:
        """Keeps spans, adds up what they used, and what `dropped` spans that were lost had used."""
        used = _used(spans, lost or {})
        with self._open("BEGIN IMMEDIATE") as db:
            self._prepare(db)
            if spans:
                insert, values = _insert()
                db.exec_driver_sql(insert, [values(span) for span in spans])
                db.execute(_prune(), {"most": self.most})
            self._add(db, used)
            if dropped:
                db.execute(sa.update(lost_table).values(spans=lost_table.c.spans + dropped))

    def costs(
        self, by: Sequence[By] = ("day", "model"), since: float = 0.0, user: str | None = None
    ) -> tuple[Cost, ...]:
        """What was used since then (seconds since 1970; whole hours), the newest day first.

        `user`: only what was for them; None for everybody.
        """
        of = used_table.c
        query = sa.select(of.hour, of.model, of.user, *(of[name] for name in _AMOUNTS)).where(
            of.hour >= int(since // HOUR) * HOUR
        )
        if user is not None:
            query = query.where(of.user == user)
        sums: dict[tuple[str | None, str | None, str | None], Spent] = {}
        for row in self._read(query):
            key = (
                _day(row.hour) if "day" in by else None,
                row.model if "model" in by else None,
                row.user if "user" in by else None,
            )
            sums[key] = sums.get(key, NOTHING) + Spent(*row[3:])
        costs = [Cost(day, model, whose, used) for (day, model, whose), used in sums.items()]
        costs.sort(key=lambda cost: (cost.model or "", cost.user or ""))
        return tuple(sorted(costs, key=lambda cost: cost.day or "", reverse=True))

    def traces(self, most: int = 20, user: str | None = None) -> tuple[Trace, ...]:
        """The newest traces, newest first; `user`: only theirs."""
        of = spans_table.c
        query = sa.select(of.trace).group_by(of.trace)
        if user is not None:
            query = query.where(of.trace.in_(sa.select(of.trace).where(of.user == user)))
        found = []
        newest = query.order_by(sa.func.max(of.row).desc()).limit(most)
        for (name,) in self._read(newest):
            spans = self._spans(name)
            known = {span.id for span in spans}
            outer = [span for span in spans if span.parent not in known]
            found.append(Trace(min(outer, key=lambda span: span.began), len(spans)))
        return tuple(found)

    def trace(self, name: str, user: str | None = None) -> tuple[Span, ...]:
        """The spans of a trace, named by its id or by the id's first digits, as they began.

        Raises `NotFoundError` for none, and where `user` is given for one that is somebody else's,
        and `InputError` for digits that several traces begin with, or that are too few.
        """
        if len(name) < SHORTEST:
            raise InputError(
                f"{name!r} is too short for the id of a trace; give {SHORTEST} digits or more.",
                param="id",
            )
        of = spans_table.c
        begins = sa.select(of.trace).where(of.trace.startswith(name.lower(), autoescape=True))
        ids = [row[0] for row in self._read(begins.distinct().limit(2))]
        if len(ids) > 1:
            raise InputError(
                f"Several traces begin with {name!r}; give more of the id.", param="id"
            )
        spans = self._spans(ids[0]) if ids else ()
        if not spans or (user is not None and all(span.user != user for span in spans)):
            raise NotFoundError(
                f"There is no trace {name!r:.80}. `kataribe traces list` shows those that are "
                "kept.",
                param="id",
            )
        return spans

    def forget(self, user: str) -> None:
        """Deletes a person's traces; what they used stays in the sums, as nobody's."""
        if not self.path.exists():
            return
        of, used = spans_table.c, used_table.c
        with self._open("BEGIN IMMEDIATE") as db:
            self._prepare(db)
            theirs = sa.select(of.trace).where(of.user == user)
            db.execute(sa.delete(spans_table).where(of.trace.in_(theirs)))
            rows = db.execute(sa.select(used_table).where(used.user == user)).all()
            db.execute(sa.delete(used_table).where(used.user == user))
            self._add(db, [{**row._asdict(), "user": ""} for row in rows])

    def lost(self) -> int:
        """Spans that came faster than they could be written; what they used was added up."""
        return sum(row[0] for row in self._read(sa.select(lost_table.c.spans)))

    def _add(self, db: sa.Connection, used: Sequence[Mapping[str, Any]]) -> None:
        if used:
            db.execute(_add_used(), used)

    def _spans(self, trace: str) -> tuple[Span, ...]:
        of = spans_table.c
        query = sa.select(spans_table).where(of.trace == trace).order_by(of.began, of.row)
        return tuple(_span(row._asdict()) for row in self._read(query))

    def _read(self, query: sa.Select[Any]) -> Sequence[Any]:
        if not self.path.exists():
            return []
        with self._open("BEGIN") as db:
            return db.execute(query).all() if self._version(db) else []

    @contextlib.contextmanager
    def _open(self, begin: str) -> Iterator[sa.Connection]:
        """A transaction that ends with the block."""
        try:
            with self._engine.connect() as plain:
                db = plain.execution_options(**{_BEGIN: begin})
                with db.begin():
                    yield db
        except sa.exc.SQLAlchemyError as error:
            cause = error.__cause__ or error
            raise StorageError(
                f"{self.path} cannot be read or written: {cause}. It holds traces and costs only; "
                "give the disk room, or move the file away and a new one is begun."
            ) from error

    def _version(self, db: sa.Connection) -> int:
        version = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version > VERSION:
            raise StorageError(
                f"{self.path} was written by a newer Kataribe (its tables are version {version}, "
                f"and {VERSION} is known here). Use that one, or move the file away."
            )
        return version

    def _prepare(self, db: sa.Connection) -> None:
        if self._version(db) == 0:
            _meta.create_all(db)
            db.execute(sa.insert(lost_table).values(spans=0))
            db.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


_BEGIN = "kataribe_traces_begin"


def _begin(db: sa.Connection) -> None:
    db.exec_driver_sql(db.get_execution_options().get(_BEGIN, "BEGIN"))


def _set_up(db: Any, _: Any) -> None:
    db.isolation_level = None  # transactions begin where `_begin` says it, tables' too
    db.execute("PRAGMA journal_mode = WAL")  # whoever reads does not hold up whoever writes
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")  # who is forgotten stands in no free page either


@functools.cache
def _insert() -> tuple[str, Callable[[Span], tuple[Any, ...]]]:
    """The statement for one span, and a span's values in its order.

    Written out once: its thread shares the interpreter with whoever answers.
    """
    names = [column.name for column in spans_table.columns if column.name != "row"]
    compiled = sa.insert(spans_table).compile(dialect=sqlite.dialect(), column_keys=names)
    return str(compiled), attrgetter(*map(_path, compiled.positiontup or ()))


@functools.cache
def _prune() -> sa.Delete:
    row = spans_table.c.row
    newest = sa.select(sa.func.max(row)).scalar_subquery()
    return sa.delete(spans_table).where(row <= newest - sa.bindparam("most"))


@functools.cache
def _add_used() -> sqlite.Insert:
    add = upsert(used_table)
    added = {name: used_table.c[name] + add.excluded[name] for name in _AMOUNTS}
    return add.on_conflict_do_update(set_=added)


def _path(column: str) -> str:
    if column in _PLAIN:
        return column
    own = column.startswith("own_")
    return f"own.{column.removeprefix('own_')}" if own else f"total.{column}"


_PLAIN = (
    "id", "trace", "parent", "name", "kind", "user", "conversation", "began", "queue", "first",
    "whole", "reason", "error", "exact",
)  # fmt: skip


def _span(row: Mapping[str, Any]) -> Span:
    return Span(
        **{name: row[name] for name in _PLAIN},
        own=Spent(*(row[f"own_{name}"] for name in _AMOUNTS)),
        total=Spent(*(row[name] for name in _AMOUNTS)),
    )


def _used(spans: Iterable[Span], lost: Mapping[Bill, Spent]) -> list[dict[str, Any]]:
    sums = dict(lost)
    for span in spans:
        if span.own != NOTHING:
            key = Bill.of(span)
            sums[key] = sums.get(key, NOTHING) + span.own
    return [
        {"hour": key.hour, "user": key.user or "", "model": key.name, **asdict(used)}
        for key, used in sums.items()
    ]


def _day(hour: int) -> str:
    return dt.datetime.fromtimestamp(hour).astimezone().date().isoformat()
