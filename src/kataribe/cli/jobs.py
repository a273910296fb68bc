"""`kataribe jobs`: long work of the server, seen and steered from a terminal."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace
    from kataribe.store.jobs import Wish
    from kataribe.store.workers import Workers

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, pause, resume and cancel jobs, such as downloads.",
)

Id = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or how it begins.")]
User = Annotated[
    str | None,
    typer.Option("--user", help="Whose jobs; reads the workspace's database, needs no key."),
]


@app.command("list")
def list_jobs(
    ended: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    user: User = None,
    as_json: options.Json = False,
) -> None:
    """List jobs that run, wait or are paused, newest first."""
    from kataribe.cli.output import emit_json, note, table

    with _opened(user) as access:
        found = [job for job in access.all() if ended or job["ended_at"] is None]
    if as_json:
        emit_json(found)
    elif found:
        rows = [(job["id"], job["state"], job["kind"], job["title"], _far(job)) for job in found]
        table(("JOB", "STATE", "KIND", "WHAT", "PROGRESS"), rows)
    else:
        note("No job is open. `kataribe jobs list --all` shows those that ended.")


@app.command("show")
def show(job: Id, user: User = None, as_json: options.Json = False) -> None:
    """Show a job and its log."""
    from kataribe.cli.output import emit_json, say

    with _opened(user) as access:
        found = _find(access, job)
        lines = list(_all_lines(access, found["id"]))
    if as_json:
        emit_json({**found, "log": lines})
        return
    failure = found["failure"]
    shown = {
        "job": found["id"],
        "what": f"{found['kind']} {found['title']}",
        "state": found["state"],
        "progress": _far(found),
        "failure": failure and f"{failure['message']} ({failure['code']})",
        "begun": found["started_at"] and _when(found["started_at"]),
        "ended": found["ended_at"] and _when(found["ended_at"]),
    }
    for name, value in shown.items():
        if value:
            say(f"{name:<9} {value}")
    for line in lines:
        level = "" if line["level"] == "info" else f"{line['level']}: "
        say(f"{_when(line['at'])}  {level}{line['line']}")


@app.command("pause")
def pause(job: Id, user: User = None) -> None:
    """Stop a job at a safe place and keep what it has."""
    _ask(job, "pause", user)


@app.command("resume")
def resume(job: Id, user: User = None) -> None:
    """Go on with a job that is paused, or try one again that failed."""
    _ask(job, "run", user)


@app.command("cancel")
def cancel(job: Id, user: User = None) -> None:
    """End a job and take away what it left."""
    _ask(job, "cancel", user)


class _Access(Protocol):
    """The jobs of a person, in the API's shape."""

    works: bool

    def all(self) -> list[dict[str, Any]]: ...
    def lines(self, job: str, after: int) -> list[dict[str, Any]]: ...
    def ask(self, job: str, wish: Wish) -> dict[str, Any]: ...


class _ByServer:
    """Through the running server; the key says who asks."""

    works = True

    def __init__(self, url: str, key: str | None) -> None:
        self._url, self._key = url, key

    def all(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "")["data"])

    def lines(self, job: str, after: int) -> list[dict[str, Any]]:
        return list(self._call("GET", f"/{job}/log?after={after}")["data"])

    def ask(self, job: str, wish: Wish) -> dict[str, Any]:
        verb = "resume" if wish == "run" else wish
        return dict(self._call("POST", f"/{job}/{verb}", {}))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        from kataribe.cli.served import call

        return call(self._url, self._key, method, f"/studio/api/jobs{path}", body)


class _ByDatabase:
    """In the database itself; a server that runs beside sees it within seconds."""

    def __init__(self, jobs: Workers, owner: str, *, works: bool) -> None:
        self._jobs, self._owner, self.works = jobs, owner, works

    def all(self) -> list[dict[str, Any]]:
        from kataribe.serve.jobs import shown

        return [shown(job).model_dump() for job in self._jobs.list(self._owner)]

    def lines(self, job: str, after: int) -> list[dict[str, Any]]:
        from dataclasses import asdict

        return [asdict(line) for line in self._jobs.lines(self._owner, job, after=after)]

    def ask(self, job: str, wish: Wish) -> dict[str, Any]:
        from kataribe.serve.jobs import shown

        return shown(self._jobs.ask(self._owner, job, wish)).model_dump()


@contextlib.contextmanager
def _opened(user: str | None) -> Iterator[_Access]:
    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.running import find_noted, find_running

    workspace = Workspace.locate()
    running = find_running(workspace)
    if running is not None and user is None:
        yield _ByServer(running.url, load_settings().key)
        return
    with _database(workspace, user, works=find_noted(workspace) is not None) as access:
        yield access


@contextlib.contextmanager
def _database(workspace: Workspace, user: str | None, *, works: bool) -> Iterator[_Access]:
    from kataribe.base.errors import NotFoundError
    from kataribe.cli.wiring import open_store
    from kataribe.store import people
    from kataribe.store.tables import LOCAL
    from kataribe.store.workers import Workers

    if not workspace.database.exists():
        raise NotFoundError(f"{workspace.root} has no database yet. Start it with: kataribe up")
    with open_store(workspace) as store:
        with store.reading() as tx:
            owner = LOCAL if user is None else people.find(tx, user).id
        yield _ByDatabase(Workers(store, {}), owner, works=works)


def _find(access: _Access, begins: str) -> dict[str, Any]:
    """The one job whose id begins so."""
    from kataribe.base.errors import InputError, NotFoundError

    found = [job for job in access.all() if begins and job["id"].startswith(begins)]
    if not found:
        raise NotFoundError(
            f"There is no job {begins[:60]!r}. `kataribe jobs list --all` shows them.", param="job"
        )
    if len(found) > 1:
        raise InputError(
            f"{len(found)} jobs begin with {begins!r}: {', '.join(job['id'] for job in found)}. "
            "Write more of the id.",
            param="job",
        )
    return found[0]


def _all_lines(access: _Access, job: str) -> Iterator[dict[str, Any]]:
    after = 0
    while lines := access.lines(job, after):
        yield from lines
        after = lines[-1]["key"]


def _ask(job: str, wish: Wish, user: str | None) -> None:
    from kataribe.cli.output import note, say

    with _opened(user) as access:
        found = access.ask(_find(access, job)["id"], wish)
        works = access.works
    say(f"{found['title']} is {found['state']}.")
    if not works and found["state"] in ("waiting", "pausing", "cancelling"):
        note("No server of this workspace runs. It goes on when one does: kataribe up")


def _far(job: dict[str, Any]) -> str:
    from kataribe.cli.output import size

    def amount(count: int) -> str:
        return size(count) if job["unit"] == "bytes" else f"{count:,} {job['unit']}".rstrip()

    if job["failure"]:
        return str(job["failure"]["message"])
    if not job["stage"]:
        return ""
    of = "" if job["total"] is None else f" of {amount(job['total'])}"
    rate = "" if job["rate"] is None else f", {amount(round(job['rate']))}/s"
    return f"{job['stage']}: {amount(job['done'])}{of}{rate}"


def _when(at: float) -> str:
    return dt.datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
