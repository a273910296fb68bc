"""Runs as folders: what a run is, what it planned, measured and said. Nothing here needs PyTorch.

A folder holds `run.json` (what and in which state), `plan.json` (all settings and the prediction),
`metrics.jsonl` and `samples.jsonl` (one object a line, in order of steps), `result.json` (what came
of it), `checkpoints/step-N/`, `tensorboard/`, `log.txt`, `heartbeat` while a process is at it, and
`stop` where somebody wants it to end.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import psutil

from kataribe.base.errors import FormatError, InputError, NotFoundError, StorageError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.make.training.births import Birth, birth, find_process

FORMAT = 1
"""Written into every run.json; grows when what lies in the folder changes."""
State: TypeAlias = Literal["waiting", "running", "stopped", "failed", "done"]

BEAT_SECONDS = 20.0
"""Between two touches of `heartbeat`."""
SILENT_SECONDS = 600.0
"""After so long without one, a run of another machine counts as stopped: clocks and file systems
that are shared may be some minutes off."""

LATELY = 1 << 16
"""Bytes at the end of a file of lines that say how things stand."""

_STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class RunInfo:
    """What run.json says.

    Attributes:
        name: What the user calls it; also the model's name.
        objective: What is learned: `next-token`, `instruct`, ...
        state: `waiting` to begin, `running`, `stopped` (it can go on), `failed` or `done`.
        created_at: Seconds since 1970, as all times here.
        started_at: When it last began to train.
        ended_at: When it last ended.
        command: The words that started it.
        host: The machine.
        pid: The process.
        process_began: Its `Birth`, which tells it from later ones of its number.
        versions: Of Kataribe, Python and PyTorch.
        parent: The run or model that it went on from.
        problem: Why it failed, in a sentence.
        model: Name under which the finished model lies in the workspace.
        owner: Whose it is: an id of the studio's people; empty for who uses the command line.
        owner: Whose it is, where one server has several people.
        format: See `FORMAT`.
    """

    name: str
    objective: str
    state: State = "waiting"
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    command: tuple[str, ...] = ()
    host: str = ""
    pid: int | None = None
    process_began: Birth | None = None
    versions: Mapping[str, str] | None = None
    parent: str | None = None
    problem: str = ""
    model: str | None = None
    owner: str = "local"
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.state not in get_args(State):
            raise FormatError(f"state is {self.state!r}; known are {', '.join(get_args(State))}.")


class RunFolder:
    """One run on disk. Reading needs no lock: files are replaced whole or only grow."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def info(self) -> RunInfo:
        """run.json as it is now; one whose process or machine is gone counts as stopped."""
        info = self.written_info()
        if info.state == "running" and not _lives(info, self.path):
            return _changed(info, state="stopped")
        return info

    def written_info(self) -> RunInfo:
        """run.json, whatever became of the process."""
        path = self.path / "run.json"
        values = read_object(path)
        found = values.get("format")
        if found != FORMAT:
            older = isinstance(found, int) and found < FORMAT
            raise FormatError(
                f"{path} has format {found!r}, but this version of Kataribe reads {FORMAT}. "
                + (
                    "The run is older than this; start a new one from its model."
                    if older or found is None
                    else "It was made by a newer version; update Kataribe."
                )
            )
        try:
            return RunInfo(**{**values, "command": tuple(values.get("command") or ())})
        except TypeError as error:
            raise FormatError(f"{path} is not what a run's is: {error}.") from None

    def change(self, **values: Any) -> RunInfo:
        """Changes fields of run.json; gives what it says then."""
        info = _changed(self.written_info(), **values)
        write_json(self.path / "run.json", vars(info))
        return info

    @property
    def plan(self) -> dict[str, Any]:
        """plan.json: `loop`, `model`, `data`, and `prediction`."""
        return read_object(self.path / "plan.json")

    @property
    def result(self) -> dict[str, Any] | None:
        """result.json; None while there is none."""
        path = self.path / "result.json"
        return read_object(path) if path.is_file() else None

    def metrics(self) -> Iterator[dict[str, Any]]:
        """What it measured, in order of steps."""
        return read_lines(self.path / "metrics.jsonl")

    def recent(self) -> Iterator[dict[str, Any]]:
        """The last of what it measured: quick, however long the run is."""
        return last_lines(self.path / "metrics.jsonl")

    def samples(self) -> Iterator[dict[str, Any]]:
        """What the model said on its way: `step`, `prompt`, `text`."""
        return read_lines(self.path / "samples.jsonl")

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Steps and folders of whole checkpoints, the latest last."""
        folder = self.path / "checkpoints"
        found = folder.iterdir() if folder.is_dir() else iter(())
        named = ((_STEP.fullmatch(path.name), path) for path in found)
        return sorted((int(match[1]), path) for match, path in named if match)

    @property
    def stop_file(self) -> Path:
        """Its existence asks the run to end at its next step."""
        return self.path / "stop"

    def ask_to_stop(self) -> None:
        """Asks a running run to end at its next step, keeping what it has."""
        info = self.info
        if info.state not in ("running", "waiting"):
            raise InputError(f"{self.id} is {info.state}; only a run that runs can be stopped.")
        write_atomic(self.stop_file, "")


def create_run(root: Path, info: RunInfo, plan: Mapping[str, Any]) -> RunFolder:
    """A new folder in `root` (`Workspace.runs`), named by day, name and four random digits."""
    day = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    name = re.sub(r"[^a-z0-9.]+", "-", info.name.lower()).strip("-.")[:40] or "run"
    path = root / f"{day}-{name}-{secrets.token_hex(2)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        (path / "checkpoints").mkdir()
    except OSError as error:
        raise storage_error(f"The run's folder {path} cannot be made", error) from error
    write_json(path / "plan.json", plan)
    made = _changed(info, created_at=time.time(), host=socket.gethostname())
    write_json(path / "run.json", vars(made))  # last: a folder with one is whole
    return RunFolder(path)


def open_run(path: Path) -> RunFolder:
    """An existing run; `NotFoundError` where there is none, `FormatError` for another version's."""
    if not (path / "run.json").is_file():
        raise NotFoundError(
            f"There is no training run at {path}. `kataribe runs list` shows those that there are."
        )
    run = RunFolder(path)
    run.written_info()
    return run


def steps_to_come(plan: Mapping[str, Any], last: Mapping[str, Any]) -> int | None:
    """How many steps a run has in all; None while it is not planned.

    Where time decides and has not yet told, as many as it has room for at the pace so far.

    Args:
        plan: plan.json.
        last: The latest figures of metrics.jsonl.
    """
    loop = plan.get("loop") or {}
    steps, seconds = loop.get("steps"), loop.get("seconds")
    if not isinstance(steps, int):
        return None
    step, gone = last.get("step"), last.get("time")
    if not seconds or not step or not gone:
        return steps
    return max(int(step), round(float(step * seconds / gone)))


def find_run(root: Path, name: str) -> RunFolder:
    """The run with this id, or the latest with this name or beginning of an id.

    Runs that were planned, or are at work, come before those that came to nothing.
    """
    if Path(name).name == name and (root / name / "run.json").is_file():
        return open_run(root / name)
    alike = [run for run in list_runs(root) if _called(run, name)]
    if not alike:
        raise NotFoundError(
            f"There is no training run {name!r} in {root}. `kataribe runs list` shows them."
        )
    return open_run(next((run for run in alike if _came_to_be(run)), alike[0]).path)


def list_runs(root: Path) -> list[RunFolder]:
    """All runs in a folder, the newest first; broken ones too: opening those says what it is."""
    if not root.is_dir():
        return []
    found = [path for path in root.iterdir() if (path / "run.json").is_file()]
    return [RunFolder(path) for path in sorted(found, key=_created, reverse=True)]


def this_process() -> dict[str, Any]:
    """Fields of `RunInfo` that say who runs it."""
    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "process_began": birth(process),
    }


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file, with errors that name it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist; a training run needs it.") from None
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {str(error)[:200]}.") from None
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds a {type(value).__name__}; an object is needed.")
    return value


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects, one a line; a last line that is still being written is left out."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    return
                try:
                    value = json.loads(line)
                except ValueError:
                    raise FormatError(
                        f"{path} has a line that is no JSON: {line[:60]!r}."
                    ) from None
                yield value
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error


def last_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the last 64 KiB of a file; a line that is cut or not finished is left out."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - LATELY)
            file.seek(start)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    for line in lines[1 if start else 0 : -1]:
        try:
            yield json.loads(line)
        except ValueError:
            raise FormatError(f"{path} has a line that is no JSON: {line[:60]!r}.") from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """An object into a file, wholly or not at all."""
    write_atomic(path, json.dumps(dict(value), indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def beating(run: RunFolder) -> Iterator[None]:
    """A thread touches `heartbeat` within, so that other machines know that somebody is at it."""
    file, ended = run.path / "heartbeat", threading.Event()

    def beat() -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk ends the training, not the sign of it
                file.touch()
            if ended.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, name=f"heartbeat of {run.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _last_sign(path: Path) -> float:
    """When a run was last heard of, in seconds since 1970; 0 for never."""
    found = 0.0
    for name in ("heartbeat", "metrics.jsonl", "run.json"):
        with contextlib.suppress(OSError):
            found = max(found, (path / name).stat().st_mtime)
    return found


def remove_stop(run: RunFolder) -> None:
    """Forgets that somebody wanted the run to end."""
    try:
        run.stop_file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{run.stop_file} cannot be removed: {error.strerror}.") from error


def _changed(info: RunInfo, **values: Any) -> RunInfo:
    return RunInfo(**{**vars(info), **values})


def _called(run: RunFolder, name: str) -> bool:
    if run.id.startswith(name):
        return True
    try:
        return run.written_info().name == name
    except (FormatError, NotFoundError, StorageError):
        return False


def _came_to_be(run: RunFolder) -> bool:
    """Whether its plan is settled, or just being made."""
    try:
        return "loop" in run.plan or run.info.state == "running"
    except (FormatError, NotFoundError, StorageError):
        return False


def _created(path: Path) -> float:
    try:
        return float(read_object(path / "run.json").get("created_at") or 0.0)
    except (FormatError, NotFoundError, StorageError, TypeError, ValueError):
        return 0.0


def _lives(info: RunInfo, path: Path) -> bool:
    """Whether its process is there; of other machines only the heartbeat tells."""
    if info.host != socket.gethostname():
        return time.time() - _last_sign(path) <= SILENT_SECONDS
    if info.pid is None:
        return True
    if info.pid == os.getpid():
        return True
    return find_process(info.pid, info.process_began) is not None
