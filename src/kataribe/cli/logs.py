"""Logs that a person can read: time, level where it matters, message."""

from __future__ import annotations

import logging
import sys


class _ForPeople(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """`12:34:56 message`, with the level before it when it is above information."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def start_logs(level: str) -> None:
    """Sends Kataribe's log, and other libraries' warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ForPeople())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("kataribe").setLevel(level.upper())
