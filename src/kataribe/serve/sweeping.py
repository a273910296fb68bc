"""What was deleted is really deleted once it can no longer come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from kataribe.base.errors import StorageError
from kataribe.store.database import Store
from kataribe.store.purge import sweep

log = logging.getLogger("kataribe.serve")

SWEEP_SECONDS = 60.0
"""Between two looks for what is due."""


async def sweep_now_and_then(store: Store, others: Sequence[Callable[[], None]] = ()) -> None:
    """Sweeps until it is cancelled, whatever fails meanwhile: nothing else would sweep."""
    while True:
        try:
            await asyncio.to_thread(sweep, store)
            for other in others:
                await asyncio.to_thread(other)
        except StorageError as error:
            log.warning("What was deleted could not be removed just now: %s", error)
        except Exception:
            log.exception("What was deleted could not be removed just now.")
        await asyncio.sleep(SWEEP_SECONDS)
