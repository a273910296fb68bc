"""How much a sandboxed program may use of everything that it could use up."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import InputError

MB = 1 << 20

_LEAST = {
    "cpu_seconds": 0.05,
    "wall_seconds": 0.05,
    "memory_bytes": 64 * MB,  # Python itself takes about 20 MB of addresses
    "threads": 1,
    "file_bytes": 1,
    "folder_bytes": 1,
    "files": 1,
    "open_files": 16,
    "output_bytes": 1,
    "reply_bytes": 1024,
}
_MOST = {"cpu_seconds": 86_400.0, "wall_seconds": 86_400.0, "threads": 1024, "open_files": 4096}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a program may use; a session's memory and folder are shared by its runs.

    There is always one process only: starting another is refused by the kernel, so that these
    bounds of one process are the bounds of all that the program does.

    Attributes:
        cpu_seconds: Processor time of one run, of all threads together.
        wall_seconds: Time of one run by the clock.
        memory_bytes: Address space of the process.
        threads: Most threads, the main one included.
        file_bytes: Largest file that it can write.
        folder_bytes: Its folder on the disk, files that were unlinked while open included.
        files: Most files and folders in its folder.
        open_files: Most open descriptors.
        output_bytes: Standard output and standard error of one run, each.
        reply_bytes: The value of the last expression as text, and of the traceback.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 30.0
    memory_bytes: int = 1024 * MB
    threads: int = 16
    file_bytes: int = 64 * MB
    folder_bytes: int = 256 * MB
    files: int = 2000
    open_files: int = 64
    output_bytes: int = 1 * MB
    reply_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            most = _MOST.get(name, 2**50)
            if not least <= value <= most:  # also refuses NaN
                raise InputError(
                    f"The sandbox's {name} is {value}, but must be at least {least} and at most "
                    f"{most}.",
                    param=name,
                )
