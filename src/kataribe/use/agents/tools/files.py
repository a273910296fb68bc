"""Files in one chosen folder as tools: list, read, write, search, and no way out of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.sandbox.folder import check_name, entries_of, read_file, write_file
from kataribe.use.agents.tools.function import FunctionTool, function_tool

MOST_LISTED = 500
MOST_FOUND = 100
_MOST_SEARCHED = 5000


@dataclass(frozen=True, slots=True)
class FileRules:
    """What may be done in the folder.

    Attributes:
        write: Whether files may be made and changed, too.
        bytes: Of the largest file that is read, searched or written.
    """

    write: bool = False
    bytes: int = 5 * 1024 * 1024


def file_tools(
    folder: Path, rules: FileRules | None = None, name: str = ""
) -> tuple[FunctionTool, ...]:
    """The tools `list_files`, `read_file`, `search_files`, and `write_file` where it is allowed.

    With a `name` they are `NAME_list_files` and so on, so that a model can have those of several
    folders, and each says whose files it is about. Paths are relative to the folder. Links are not
    followed, wherever they lead: each part of a path is opened by itself, so that nothing can be
    swapped in between. Raises `NotFoundError` for a folder that is not there, `StorageError` for
    one that cannot be read, and `InputError` for a name that no tool may have.
    """
    settled = rules or FileRules()
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be read: {error.strerror}. Check its name and rights."
        ) from error
    if not is_there:
        raise NotFoundError(f"There is no folder {folder}. Make it, or choose another.")
    reading = (
        _list_tool(folder, name),
        _read_tool(folder, settled, name),
        _search_tool(folder, settled, name),
    )
    return (*reading, _write_tool(folder, settled, name)) if settled.write else reading


def _tool(function: Callable[..., str], does: str, name: str) -> FunctionTool:
    """The tool called `does`, or one of the folder that is called `name`."""
    if not name:
        return function_tool(function, name=does)
    plain = function_tool(function).spec.description
    return function_tool(
        function, name=f"{name}_{does}", description=f"{plain} The folder is {name}."
    )


def _list_tool(folder: Path, name: str) -> FunctionTool:
    def list_files(pattern: str = "*") -> str:
        """Lists the files of the folder and of the folders in it, with their sizes in bytes.

        Args:
            pattern: Only paths that match it, such as *.csv or reports/*.
        """
        found = sorted(_files(folder, pattern))
        shown = [f"{name} ({size} bytes)" for name, size in found[:MOST_LISTED]]
        if len(found) > MOST_LISTED:
            shown.append(f"[{len(found) - MOST_LISTED} more; ask with a narrower pattern.]")
        return "\n".join(shown) or f"No file matches {pattern!r}."

    return _tool(list_files, "list_files", name)


def _read_tool(folder: Path, rules: FileRules, name: str) -> FunctionTool:
    def read_lines(path: str, first_line: int = 1, lines: int = 200) -> str:
        """Reads a text file, or a part of it.

        Args:
            path: Inside the folder, such as notes/today.md.
            first_line: The first line to read, counted from 1.
            lines: How many lines to read.
        """
        if first_line < 1 or lines < 1:
            raise InputError(
                f"first_line is {first_line} and lines {lines}; both begin at 1.", param="lines"
            )
        every = _text(folder, path, rules).splitlines()
        part = every[first_line - 1 : first_line - 1 + lines]
        if not part and every:
            raise InputError(
                f"{path} has {len(every)} lines; line {first_line} is beyond.", param="first_line"
            )
        left = len(every) - (first_line - 1 + len(part))
        more = [f"[{left} more lines; read on from line {first_line + len(part)}.]"] if left else []
        return "\n".join([*part, *more]) or "(The file is empty.)"

    return _tool(read_lines, "read_file", name)


def _search_tool(folder: Path, rules: FileRules, name: str) -> FunctionTool:
    def search_files(text: str, pattern: str = "*") -> str:
        """Searches the text files of the folder for words, without regard to upper and lower case.

        Args:
            text: The words, just as they stand in a line.
            pattern: Only files whose path matches it, such as *.md.
        """
        if not text.strip():
            raise InputError("The text to look for is empty.", param="text")
        found: list[str] = []
        for name, line, words in _matches(folder, text.casefold(), pattern, rules):
            if len(found) == MOST_FOUND:
                found.append(f"[More than {MOST_FOUND} lines; search for longer words.]")
                break
            found.append(f"{name}:{line}: {words.strip()[:300]}")
        return "\n".join(found) or f"No file that matches {pattern!r} holds {text!r}."

    return _tool(search_files, "search_files", name)


def _write_tool(folder: Path, rules: FileRules, name: str) -> FunctionTool:
    def write_text(path: str, text: str) -> str:
        """Writes a text file; one of that name is replaced.

        Args:
            path: Inside the folder; folders in it are made.
            text: The whole content.
        """
        data = text.encode("utf-8", "replace")
        if len(data) > rules.bytes:
            raise InputError(
                f"The text has {len(data)} bytes; at most {rules.bytes} are written.", param="text"
            )
        write_file(folder, path, data)
        return f"{path} was written: {len(data)} bytes."

    return _tool(write_text, "write_file", name)


def _files(folder: Path, pattern: str) -> Iterator[tuple[str, int]]:
    for name, size in entries_of(folder):
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(Path(name).name, pattern):
            yield name, size


def _matches(
    folder: Path, folded: str, pattern: str, rules: FileRules
) -> Iterator[tuple[str, int, str]]:
    for count, (name, size) in enumerate(sorted(_files(folder, pattern))):
        if count >= _MOST_SEARCHED:
            return
        if size > rules.bytes:
            continue
        try:
            text = _text(folder, name, rules)
        except (InputError, NotFoundError):
            continue  # it is no text, or is gone again
        for number, line in enumerate(text.splitlines(), start=1):
            if folded in line.casefold():
                yield name, number, line


def _text(folder: Path, path: str, rules: FileRules) -> str:
    check_name(path)
    data = read_file(folder, path, rules.bytes)
    for encoding in ("utf-8-sig", "cp932", "euc_jp"):
        try:
            if b"\0" not in data[:4096]:
                return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path} is no text file ({len(data)} bytes).", param="path")
