"""A teacher's answers, asked for a few at a time and kept as they come, so that none is lost.

The answers of a teacher are the data of sequence-level distillation (Kim and Rush 2016).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kataribe.base.errors import (
    BusyError,
    InputError,
    ProviderError,
    UnavailableError,
    UnsupportedError,
)
from kataribe.base.lm import LM, Request, Sampling, reply
from kataribe.base.messages import text_of
from kataribe.files.atomic import storage_error
from kataribe.make.training.config import differences
from kataribe.make.training.record import append
from kataribe.make.training.runs import read_lines, read_object, write_json
from kataribe.make.training.teacher_prompts import TeacherPrompt

PATIENCE = (1.0, 4.0, 15.0, 60.0)
"""Seconds before a teacher that is busy or gone is asked again; a server may say longer ones."""
ALL_REFUSED = 20
"""When so many prompts were refused and none answered, the rest would be too."""

Pause = Callable[[float], Awaitable[object]]


@dataclass(frozen=True)
class Asking:
    """How a teacher is asked.

    Attributes:
        sampling: How it draws.
        answers: How often each prompt is answered.
        at_once: Prompts in the air.
        seed: Decides its dice, together with the prompt: the order of asking does not matter.
    """

    sampling: Sampling
    answers: int
    at_once: int
    seed: int


@dataclass(frozen=True)
class Answer:
    """What came of one prompt.

    Attributes:
        key: The prompt's.
        number: Which of its answers, from 0.
        text: The words.
        ended: Why they ended (see `FinishReason`), or `refused`.
        tokens: Tokens of the answer, where the teacher says.
        detail: Why it was refused.
    """

    key: str
    number: int
    text: str
    ended: str
    tokens: int = 0
    detail: str = ""


class Journal:
    """Answers in a folder while they are asked for; who comes back finds those that there are."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "answers.jsonl"
        self.answers: dict[tuple[str, int], Answer] = {}

    @contextlib.contextmanager
    def held(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Nobody else writes here meanwhile.

        Raises:
            InputError: The answers that lie here were asked for with other settings.
            UnavailableError: Another process is asking.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(f"{self._folder} cannot be made", error) from error
        try:
            with FileLock(self._folder / "lock", timeout=0):
                self._take_up(settings)
                yield
        except Timeout:
            raise UnavailableError(
                f"Another process is asking for these answers ({self._folder}). Wait for it, or "
                "give the answers another name (--data)."
            ) from None

    def add(self, answer: Answer) -> None:
        """Writes an answer down."""
        append(self._file, asdict(answer))
        self.answers[answer.key, answer.number] = answer

    def remove(self) -> None:
        """The answers are elsewhere now."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def remove_of(self, settings: Mapping[str, Any]) -> None:
        """Removes the answers where they were asked for with these settings."""
        path = self._folder / "settings.json"
        if path.is_file() and not differences(read_object(path), settings):
            self.remove()

    def _take_up(self, settings: Mapping[str, Any]) -> None:
        path = self._folder / "settings.json"
        if path.is_file():
            check_same(read_object(path), settings, self._folder)
        else:
            write_json(path, settings)
        kept = [Answer(**row) for row in read_lines(self._file)]
        self.answers = {(each.key, each.number): each for each in kept}
        with contextlib.suppress(FileNotFoundError):  # half a line that a killed process left
            whole = self._file.read_bytes()
            with self._file.open("r+b") as file:
                file.truncate(whole.rfind(b"\n") + 1)


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], where: Path) -> None:
    """Raises `InputError` that lists what differs from what answers were asked for with."""
    found = differences(before, now)
    if found:
        raise InputError(
            f"The answers at {where} were asked for with other settings: {'; '.join(found)}. Ask "
            "as before to go on with them, give the new ones another name (--data), or remove them."
        )


async def ask_teacher(
    lm: LM,
    prompts: Sequence[TeacherPrompt],
    how: Asking,
    journal: Journal,
    *,
    told: Callable[[int], None] = lambda done: None,  # noqa: ARG005
    pause: Pause = asyncio.sleep,
) -> None:
    """Asks for every answer that the journal lacks.

    A prompt that the teacher refuses (too long for it) is kept as refused. A teacher that is busy
    or gone is asked again, with longer and longer pauses.

    Raises:
        UnsupportedError: The teacher cannot chat.
        InputError: It refuses everything.
        UnavailableError, BusyError, ProviderError: It stays away. What came is in the journal.
    """
    left = iter(
        [
            (prompt, number)
            for prompt in prompts
            for number in range(how.answers)
            if (prompt.key, number) not in journal.answers
        ]
    )
    told(len(journal.answers))

    async def work() -> None:
        for prompt, number in left:
            journal.add(await _one(lm, prompt, number, how, pause))
            _check_refused(lm.name, journal)
            told(len(journal.answers))

    async with contextlib.AsyncExitStack() as stack:
        workers = [asyncio.create_task(work()) for _ in range(how.at_once)]
        for each in workers:
            stack.callback(each.cancel)
        await asyncio.gather(*workers)


async def _one(lm: LM, prompt: TeacherPrompt, number: int, how: Asking, pause: Pause) -> Answer:
    seed = (int(prompt.key, 16) + 7919 * number + how.seed) % 2**31
    request = Request(prompt.messages, how.sampling, seed=seed)
    for seconds in (*PATIENCE, None):
        try:
            found = await reply(lm, request)
        except UnsupportedError:
            raise
        except InputError as error:
            return Answer(prompt.key, number, "", "refused", detail=error.message)
        except (BusyError, UnavailableError, ProviderError) as error:
            if seconds is None:
                raise
            await pause(max(seconds, getattr(error, "retry_after", None) or 0.0))
        else:
            words = text_of(found.message).strip()
            tokens = found.usage.completion_tokens
            return Answer(prompt.key, number, words, found.reason, tokens)
    raise AssertionError  # the last round returns or raises


def _check_refused(name: str, journal: Journal) -> None:
    found = journal.answers.values()
    if len(found) >= ALL_REFUSED and all(each.ended == "refused" for each in found):
        raise InputError(
            f"{name} refused all of the first {len(found)} prompts, last with: "
            f"{next(reversed(found)).detail}"
        )
