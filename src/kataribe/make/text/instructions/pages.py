"""Manual pages as a reader of questions needs them: what a page is about, and its entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kataribe.base.errors import FormatError, NotFoundError, StorageError
from kataribe.make.text.encoding import decode
from kataribe.make.text.manual import manual_text
from kataribe.make.text.sources import SourceFile, open_source
from kataribe.make.text.unpacking import DAMAGE, archive_budget, is_archive, members, unpacked

_PAGE = re.compile(r"([^/]+)\.([1-8])[a-z]*(?:\.(?:gz|bz2|xz|zst))?", re.IGNORECASE)
_LARGEST = 4 << 20
_HEADING = re.compile(r"[.']\s*S[Hh]\b[ \t]*(.*)")
_ENTRY = re.compile(r"[.']\s*TP\b")
_LABEL = re.compile(r"[.']\s*IP[ \t]+(?:\"([^\"]*)\"|(\S+))")
_END = re.compile(
    r"[.']\s*(?:S[HShs]|TP|IP|HP|PP|LP|P|Pp|TQ|R[SE]|sp|nf|EX|TS|de|ig|if|ie)\b|[.']?$"
)
_COMMENT = re.compile(r"[.']?\\\"|[.']\s*(?:PD|nh|hy|ad|br|na)\b")
_NAME = re.compile(r"(?:名前|名称|NAME)", re.IGNORECASE)
_ABOUT = re.compile(r"\s(?:-|–|—|--)\s")
_WORD = re.compile(r"[\w.+\[:@-]{1,40}", re.ASCII)
_KANA = re.compile(r"[ぁ-ゖァ-ヺ]")
_WIDE = "ぁ-ゖァ-ヺー一-鿿々、。「」・"
_BROKEN = re.compile(rf"(?<=[{_WIDE}])\n(?=[{_WIDE}])")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a page lists and explains: an option, an error, a key."""

    tag: str
    """As it stands there: `-a, --all`, `EACCES`."""
    text: str
    """What the page says about it, as one paragraph."""
    heading: str
    """The section of the page that it stands in."""


@dataclass(frozen=True, slots=True)
class Page:
    """A manual page."""

    names: tuple[str, ...]
    """What it is about: `printf`, `fprintf`."""
    section: str
    """The section of the manual, 1 to 8."""
    about: str
    """What the page says in one line that they do."""
    japanese: bool
    """Whether that line is in Japanese; it is in English otherwise."""
    entries: tuple[Entry, ...]
    """What it lists, in its order."""


def manual_pages(source: str, cache: Path, report: Callable[[str], None]) -> Iterator[Page]:
    """The Japanese and English manual pages of a source of `corpus make`, in its order.

    Raises `NotFoundError` where there is none, `FormatError` for archives that are damaged or
    hostile, and what fetching raises.
    """
    found = False
    for file in open_source(source, cache, report).files:
        for name, data in _files(file):
            match = _PAGE.fullmatch(name.rpartition("/")[2])
            text = decode(data) if match and data else None
            page = None if match is None or text is None else read_page(text.text, match[2])
            if page is not None:
                found = True
                yield page
    if not found:
        raise NotFoundError(
            f"{source} has no manual page in Japanese or English: files such as ls.1 or "
            "open.2.gz whose first section is NAME or 名前.",
            param="source",
        )


def _files(file: SourceFile) -> Iterator[tuple[str, bytes]]:
    """Name and content of what may be a page: of an archive its members, unpacked."""
    try:
        if is_archive(file.path.name):
            budget = archive_budget(file.path)
            with members(file.path, budget) as found:
                for name, stream, size in found:
                    if _PAGE.fullmatch(name.rpartition("/")[2]):
                        yield name, _content(unpacked(stream, name, size, budget)[0])
        elif _PAGE.fullmatch(file.path.name):
            with file.path.open("rb") as stream:
                size = file.path.stat().st_size
                yield file.label, _content(unpacked(stream, file.path.name, size)[0])
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise StorageError(
                f"{file.path} cannot be read: {error.strerror}. Check the path and who owns it."
            ) from error
        raise FormatError(f"{file.path} is damaged: {error}. Fetch or pack it again.") from error


def _content(stream: IO[bytes]) -> bytes:
    """A whole page; nothing of what is too large to be one."""
    data = stream.read(_LARGEST + 1)
    return data if len(data) <= _LARGEST else b""


def read_page(source: str, section: str) -> Page | None:
    """A page from its roff source, or None where it does not say what it is about."""
    lines = [line for line in source.split("\n") if not _COMMENT.match(line)]
    named = _named(lines)
    if named is None:
        return None
    names, about = named
    japanese = _KANA.search(about) is not None
    if not names or not 3 <= len(about) <= 120 or not (japanese or about.isascii()):
        return None
    return Page(names, section, about, japanese, tuple(_entries(lines)))


def _named(lines: list[str]) -> tuple[tuple[str, ...], str] | None:
    """The names and the description of the section NAME."""
    for at, line in enumerate(lines):
        heading = _HEADING.match(line)
        if heading is None:
            continue
        if not _NAME.search(heading[1]):
            return None  # it is the first of every page that has it
        rest = lines[at + 1 : at + 20]
        end = next((k for k, each in enumerate(rest) if _HEADING.match(each)), len(rest))
        parts = _ABOUT.split(plain(rest[:end]), maxsplit=1)
        if len(parts) != 2:
            return None
        names = [name.strip() for name in parts[0].split(",")]
        return tuple(name for name in names if _WORD.fullmatch(name)), parts[1].strip()
    return None


def _entries(lines: list[str]) -> Iterator[Entry]:
    heading = ""
    for at, line in enumerate(lines):
        if found := _HEADING.match(line):
            heading = plain([found[1].replace('"', "")])
            continue
        if _ENTRY.match(line):
            tag, first = lines[at + 1 : at + 2], at + 2
        elif label := _LABEL.match(line):
            tag, first = [label[1] or label[2] or ""], at + 1
        else:
            continue
        last = next((k for k in range(first, len(lines)) if _END.match(lines[k])), len(lines))
        entry = Entry(plain(tag), plain(lines[first:last]), heading)
        if entry.tag and entry.text:
            yield entry


def plain(lines: list[str]) -> str:
    """Lines of roff as one paragraph; Japanese lines join without a blank."""
    said = (" ".join(manual_text(line).split()) for line in lines)
    return _BROKEN.sub("", "\n".join(each for each in said if each)).replace("\n", " ")
