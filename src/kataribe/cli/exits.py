"""Exit codes: what a script learns from how a command ended."""

from __future__ import annotations

from kataribe.base.errors import (
    AccessError,
    BusyError,
    InputError,
    KataribeError,
    NotFoundError,
    PortInUseError,
    SettingsError,
    UnavailableError,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
BUSY = 4
NO_ACCESS = 5
INTERRUPTED = 130

MEANING = {
    DONE: "done",
    FAILED: "it failed; standard error says why",
    USAGE: "asked wrongly: an unknown option, a value out of range, a prompt that does not fit",
    NOT_FOUND: "there is no such model or file",
    BUSY: "not now: busy, loading, out of memory budget, or the port is taken",
    NO_ACCESS: "a key is missing or wrong",
    INTERRUPTED: "stopped with Ctrl-C",
}


def exit_code(error: KataribeError) -> int:
    """The code that an error ends a command with."""
    match error:
        case InputError() | SettingsError():
            return USAGE
        case NotFoundError():
            return NOT_FOUND
        case BusyError() | UnavailableError() | PortInUseError():
            return BUSY
        case AccessError():
            return NO_ACCESS
        case _:
            return FAILED
