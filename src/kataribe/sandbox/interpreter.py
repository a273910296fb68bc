"""The Python inside the sandbox; started by `process`, never imported, stdlib only.

It gives up what rights it has left, sets its own limits, and then answers commands. Protocol, both
ways: four bytes of length (big-endian), then JSON. In: `{"token", "code"}`. Out: `{"ready"}` once,
then for each command `{"token", "kind", "value", "error"}`. The code runs in this same process and
can change whatever stands here, so the other side believes nothing of it: the walls are the
kernel's, and were checked from outside before the first command.
"""

from __future__ import annotations

import ast
import errno
import json
import linecache
import os
import resource
import sys
import traceback
from types import TracebackType
from typing import Any, Self

_OWN = "/opt/interpreter.py"
_RESERVE = 4 << 20
"""Bytes that are given free when a program has used up all, so that this can be told."""
_NO_MEMORY = "MemoryError: the program needed more memory than it may have"


class _Caught:
    """Keeps whatever the program raises, its own end included; the other side is told."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        self.error = error
        return True


def _give_up_rights(settings: dict[str, Any]) -> None:
    if settings["uid"] is not None:  # root's: bubblewrap has left just the right to do this
        os.setgroups([])
        os.setresgid(settings["uid"], settings["uid"], settings["uid"])
        os.setresuid(settings["uid"], settings["uid"], settings["uid"])
    for name, value in settings["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    kept = {0, 1, 2, settings["commands"], settings["replies"]}
    low = 0
    for descriptor in sorted(kept):
        if low < descriptor:  # an empty range would close them all
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 16)


def _read(descriptor: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = os.read(descriptor, size)
        if not piece:
            raise SystemExit(0)  # whoever asks is gone
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _write(descriptor: int, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode("ascii")
    data = len(text).to_bytes(4, "big") + text
    while data:
        data = data[os.write(descriptor, data) :]


def _run(code: str, names: dict[str, Any], filename: str) -> object:
    """Runs the statements; gives the value of the last one, if that is an expression."""
    tree = ast.parse(code, filename)
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, filename, "exec"), names)  # noqa: S102  # this is what the walls are for
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), filename, "eval"), names)  # noqa: S307


def _told(error: BaseException) -> str:
    """The traceback without the frames of this file."""
    shown = traceback.TracebackException.from_exception(error)
    while shown.stack and shown.stack[0].filename in (_OWN, ast.__file__):
        del shown.stack[0]
    return "".join(shown.format())


def _answer(
    code: str, names: dict[str, Any], filename: str, settings: dict[str, Any]
) -> dict[str, Any]:
    longest = settings["longest"]
    value: str | None = None
    with _Caught() as caught:
        found = _run(code, names, filename)
        value = None if found is None else repr(found)
    error = caught.error
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return {"kind": "done", "value": _cut(value, longest), "error": None}
    kind = "error"
    if isinstance(error, MemoryError):
        settings.pop("reserve", None)
        kind = "memory"
    elif isinstance(error, OSError) and error.errno == errno.EFBIG:
        kind = "file"
    text = _NO_MEMORY
    with _Caught():
        text = _told(error)
    return {"kind": kind, "value": None, "error": _cut(text, longest)}


def _cut(text: str | None, longest: int) -> str | None:
    """Keeps both ends: a traceback says the most in its last line."""
    if text is None or len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _serve(settings: dict[str, Any]) -> None:
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    count = 0
    while True:
        size = int.from_bytes(_read(settings["commands"], 4), "big")
        command = json.loads(_read(settings["commands"], size))
        count += 1
        with _Caught():
            settings.setdefault("reserve", bytearray(_RESERVE))
        reply = _answer(command["code"], names, f"<run {count}>", settings)
        with _Caught():
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                if stream is not None:
                    stream.flush()
        _write(settings["replies"], {"token": command["token"], **reply})


def _main() -> None:
    settings = json.loads(sys.argv[1])
    _give_up_rights(settings)
    os.chdir("/work")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is real here
    sys.argv[:] = [""]
    sys.path += ["/opt/packages", "/work"]  # last: a file of data called random.py hides nothing
    _write(settings["replies"], {"ready": True})
    _serve(settings)


if __name__ == "__main__":
    _main()
