"""Downloads as jobs of the server: the same pull as the command's, paused and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kataribe.store.jobs import open_jobs

if TYPE_CHECKING:
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.catalog.sources import PullProgress
    from kataribe.store.database import Store
    from kataribe.store.job_work import Reporter
    from kataribe.store.jobs import Job

KIND = "download"


class Downloads:
    """The `Work` of jobs of the kind `download`; their params are `catalog.Pulling`'s fields."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    def run(self, job: Job, reporter: Reporter) -> Mapping[str, Any]:
        """Fetches, checks and installs; what arrived before a pause is gone on with."""
        told = ""

        def tell(progress: PullProgress) -> None:
            nonlocal told
            if told != f"{progress.stage} {progress.what}":
                told = f"{progress.stage} {progress.what}"
                reporter.log("info", f"{progress.stage.capitalize()}: {progress.what}")
            reporter.progress(progress.stage, progress.done, progress.total, "bytes")

        params = job.params
        found = self._catalog.pull(
            params["model"], tell, params["accept_terms"], as_name=params["as_name"]
        )
        reporter.log("info", f"{found.name} is here: {found.path}")
        return {"name": found.name}

    def discard(self, job: Job) -> None:
        """Removes what arrived, unless another job goes on with it."""
        name = job.params["name"]
        with self._store.reading() as tx:
            others = [other for other in open_jobs(tx, kind=KIND) if other.id != job.id]
        if any(
            other.params["name"].casefold() == name.casefold() and other.state != "cancelling"
            for other in others
        ):
            return
        self._catalog.forget_download(name)
