"""What the jobs of somebody who is deleted left on the disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace
    from kataribe.store.database import Store
    from kataribe.store.jobs import Job

SERVER_SECONDS = 15.0
"""How long a server that runs may take to end a person's jobs."""


def discard_jobs(store: Store, person: str) -> list[str]:
    """Has what cancelled jobs left taken away: by the server that runs, or else here.

    Returns:
        What could not be taken away, and why; nothing where all is gone.
    """
    from kataribe.base.errors import UnavailableError
    from kataribe.base.workspace import Workspace
    from kataribe.store.serving import holding

    workspace = Workspace.locate()
    until = time.monotonic() + SERVER_SECONDS
    while left := _cancelling(store, person):
        try:
            with holding(workspace):
                return _discard(workspace, store, left)
        except UnavailableError:  # whoever answers for the workspace looks every two seconds
            if time.monotonic() > until:
                return [f"{job.title}: the server has not ended it in time." for job in left]
            time.sleep(0.1)
    return []


def _cancelling(store: Store, person: str) -> list[Job]:
    from kataribe.store.jobs import open_jobs

    with store.reading() as tx:
        return [job for job in open_jobs(tx, person) if job.state == "cancelling"]


def _discard(workspace: Workspace, store: Store, left: list[Job]) -> list[str]:
    from kataribe.base.errors import KataribeError
    from kataribe.cli.opening import open_catalog
    from kataribe.cli.pull_jobs import KIND, Downloads

    downloads = Downloads(open_catalog(workspace), store)
    failures = []
    for job in left:
        try:
            if job.kind == KIND:
                downloads.discard(job)
        except (KataribeError, OSError) as error:
            failures.append(f"{job.title}: {error}")
    return failures
