"""The checked lines of an export: what is wrong in them is found before anything is kept."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from kataribe.base.errors import InputError, KataribeError
from kataribe.store import attachments, preferences
from kataribe.store.transfer.document import (
    FORMAT,
    LONGEST_LINE,
    READABLE,
    VERSION,
    Beginning,
    Conversation,
    File,
    Job,
    Prompt,
    Strict,
)

Shape = TypeVar("Shape", bound=Strict)

LARGEST_OTHER = 64 * 1024**2
"""Bytes of a document that is not laid out in lines; it is read whole."""

MOST_SIGNS = 10_000_000
"""Texts, commas and, four times each, brackets of one line: what they become in memory is many
times as long as they are. A conversation of `MOST_MESSAGES` has about seven millions."""

Part = Beginning | Conversation | File | Job | Prompt

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_CONVERSATIONS = b',"conversations":['
_FILES = b'],"files":['
_JOBS = b'],"jobs":['
_PROMPTS = b'],"prompts":['


def parts(file: BinaryIO) -> Iterator[Part]:
    """The parts of an export, each checked by itself. Raises `InputError`."""
    file.seek(0)
    laid_out = file.readline(LONGEST_LINE).rstrip().endswith(_CONVERSATIONS)
    file.seek(0)
    yield from _by_lines(file) if laid_out else _whole(file)


def file_data(file: File) -> bytes:
    """The bytes of an attachment; `InputError` for what could not have been attached here."""
    try:
        data = base64.b64decode(file.data, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(f"the attachment {file.id}", "its data is no base64") from None
    try:
        kind = attachments.kind_of(file.name, data, file.media_type)
    except KataribeError as error:
        raise _wrong(f"the attachment {file.id}", error.message) from None
    if kind != file.media_type:
        raise _wrong(f"the attachment {file.id}", f"it is {kind}, not {file.media_type}")
    return data


def _by_lines(file: BinaryIO) -> Iterator[Part]:
    place = "the first line"
    section: type[Conversation | File | Job | Prompt] = Conversation
    last: type[Strict] = Prompt
    closed = False
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
        line = line.strip()
        place = f"line {number}"
        if len(line) > LONGEST_LINE:
            raise _wrong(place, f"it has more than {LONGEST_LINE:,} bytes")
        if number == 1:
            begin = _beginning(_json(line.removesuffix(_CONVERSATIONS) + b"}", place))
            last = File if begin.version == 1 else Job if begin.version < 5 else Prompt
            yield begin
        elif closed:
            if line:
                raise _wrong(place, "nothing may follow the end")
        elif line == _FILES and section is Conversation:
            section = File
        elif line == _JOBS and section is File and last is not File:
            section = Job
        elif line == _PROMPTS and section is Job and last is Prompt:
            section = Prompt
        elif line == b"]}" and section is last:
            closed = True
        else:
            yield _shaped(section, _json(line.removesuffix(b","), place), place)
    if not closed:
        raise _wrong(place, "the file ends there, before its end; it was cut off")


def _whole(file: BinaryIO) -> Iterator[Part]:
    """A document that somebody laid out anew."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > LARGEST_OTHER:
        raise _wrong(
            "its lines",
            f"a document of {size:,} bytes can only be read as it was exported, one line for each "
            f"conversation; laid out otherwise, at most {LARGEST_OTHER:,} are read",
        )
    told = _json(file.read(), "the document")
    if not isinstance(told, dict):
        raise _wrong("the document", "it is no JSON object")
    talks, files = told.pop("conversations", None), told.pop("files", None)
    version = told.get("version")
    works = [] if version == 1 else told.pop("jobs", None)
    kept = [] if version in (1, 2, 3, 4) else told.pop("prompts", None)
    yield _beginning(told)
    yield from _each("conversations", Conversation, talks)
    yield from _each("files", File, files)
    yield from _each("jobs", Job, works)
    yield from _each("prompts", Prompt, kept)


def _each(name: str, shape: type[Shape], told: Any) -> Iterator[Shape]:
    if not isinstance(told, list):
        raise _wrong("the document", f"{name} is missing, or no list")
    for number, one in enumerate(told):
        yield _shaped(shape, one, f"{name}[{number}]")


def _beginning(told: Any) -> Beginning:
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise _wrong("the document", f'its format is not "{FORMAT}"')
    version = told.get("version")
    if version not in READABLE:
        raise InputError(
            f"The file has version {str(version)[:20]}; this Kataribe reads up to {VERSION}. "
            "Import it with the Kataribe that wrote it, or a newer one.",
            param="body",
            code="unknown_version",
        )
    begin = _shaped(Beginning, told, "the beginning")
    for name, value in begin.preferences.items():
        preferences.check(name, value)
    return begin


def _json(raw: bytes, place: str) -> Any:
    # pydantic reading JSON by itself takes ten times the memory of this, even where it fails fast.
    if _signs(raw, 0, len(raw)) + raw.count(b'"') > MOST_SIGNS:
        _check_signs(raw, place)
    try:
        return from_json(raw, allow_inf_nan=False, cache_strings=False)
    except ValueError as error:
        raise _wrong(place, f"no valid JSON ({error})") from None


def _check_signs(raw: bytes, place: str) -> None:
    """Refuses what would fill the memory when parsed; signs within texts do not count."""
    signs = at = 0
    for text in _TEXT.finditer(raw):
        signs += 1 + _signs(raw, at, text.start())
        at = text.end()
        if signs > MOST_SIGNS:
            break
    if signs + _signs(raw, at, len(raw)) > MOST_SIGNS:
        raise _wrong(place, "it has more values than any conversation")


def _signs(raw: bytes, start: int, end: int) -> int:
    brackets = raw.count(b"[", start, end) + raw.count(b"{", start, end)
    return raw.count(b",", start, end) + 4 * brackets


def _shaped(shape: type[Shape], told: Any, place: str) -> Shape:
    try:
        return shape.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])[:100]
        raise _wrong(place, f"{where}: {first['msg']}") from None
    except RecursionError:
        raise _wrong(place, "it is nested too deeply") from None


def _wrong(place: str, why: str) -> InputError:
    return InputError(
        f"This is no file that can be imported: {place}: {why[:500]}. Nothing was imported. "
        "Export it again.",
        param="body",
        code="invalid_import",
    )


def check(conversation: Conversation) -> None:
    """Raises `InputError` where the messages are no tree, or ids stand twice."""
    place = f"the conversation {conversation.id}"
    above: set[str] = set()
    for message in conversation.messages:
        if message.id in above:
            raise _wrong(place, f"the message {message.id} is there twice")
        if message.parent is not None and message.parent not in above:
            raise _wrong(
                place, f"the message {message.id} follows {message.parent}, which is not above it"
            )
        if (message.role == "user") != (message.state == "sent"):
            raise _wrong(place, f"a {message.role} message cannot be {message.state!r}")
        above.add(message.id)
    if conversation.head is not None and conversation.head not in above:
        raise _wrong(place, f"its head {conversation.head} is none of its messages")
    waiting = [item.id for item in conversation.queue]
    if len(set(waiting) | above) < len(waiting) + len(above):
        raise _wrong(place, "an id in its queue is there twice")


def check_prompt(prompt: Prompt) -> None:
    """Raises `InputError` where versions are not numbered from 1 on, or ids stand twice."""
    place = f"the prompt {prompt.id}"
    if [each.number for each in prompt.versions] != list(range(1, len(prompt.versions) + 1)):
        raise _wrong(place, "its versions are not numbered 1, 2, 3 and so on")
    ids = [each.id for each in prompt.versions]
    ids += [answer.id for each in prompt.versions for answer in each.answers]
    if len(set(ids)) < len(ids):
        raise _wrong(place, "an id in it is there twice")
    for each in prompt.versions:
        for answer in each.answers:
            if (answer.message is None) != (answer.conversation is None):
                raise _wrong(place, f"the answer {answer.id} names half of a reply")
            used = answer.technique
            if used is not None and not (
                used.keys() == {"name", "options"}
                and isinstance(used["name"], str)
                and isinstance(used["options"], dict)
            ):
                raise _wrong(place, f"the answer {answer.id} has a technique without name")
