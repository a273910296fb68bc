"""A process that works on jobs until it is killed: `python jobs_child.py DATABASE FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kataribe.store.database import Store
from kataribe.store.workers import Workers


class Counting:
    """Appends one number after the other to a file; goes on where the file ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, job, reporter):
        path = self.folder / job.id
        count = len(path.read_text().splitlines()) if path.exists() else 0
        for number in range(count, job.params["to"]):
            with path.open("a") as file:
                file.write(f"{number}\n")
            reporter.progress("counting", number + 1, job.params["to"], "numbers")
            time.sleep(0.002)
        return {"counted": job.params["to"]}

    def discard(self, job):
        (self.folder / job.id).unlink(missing_ok=True)


if __name__ == "__main__":
    workers = Workers(Store(Path(sys.argv[1])), {"count": Counting(Path(sys.argv[2]))})
    workers.start()
    print("started", flush=True)
    time.sleep(600)
