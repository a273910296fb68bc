"""Work on texts aside from the event loop: long ones wait for each other, short ones for nobody."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

AT_ONCE = 2000
"""Characters that are read in less time than it takes to hand them to another thread and back."""

LONG = 128 * 1024
"""Characters (or tokens) from which on a text is a long one; it takes about 0.1 s to encode."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def aside(size: int, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `work` returns, called in another thread, for a text of `size`.

    Long texts share one thread. Side by side they would take memory without bound (130 bytes a
    character and more), and every thread that everybody else's requests need.
    """
    if size < LONG:
        return await asyncio.to_thread(work, *args, **kwargs)
    call = functools.partial(contextvars.copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_one_thread(), call)


@functools.cache
def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="long-text")
