"""For whom a request is asked, and what it may use: by its headers and by what its person set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import InputError
from kataribe.base.limits import NONE, Limits, parse_limits
from kataribe.base.lm import Context, Request
from kataribe.serve.desk import Desk
from kataribe.serve.who import Asker, asker_of
from kataribe.store.preferences import limits_of

HEADER = "X-Kataribe-Limits"
_LONGEST = 200
"""Characters of it, and of a traceparent."""


async def within(desk: Desk, http: HTTPRequest, requests: Sequence[Request]) -> list[Request]:
    """The requests of one call with its person, its trace (W3C `traceparent`) and its limits.

    Each of several prompts may use what the limits say. Raises `InputError` for a header that says
    something else.
    """
    said = http.headers.get(HEADER)
    limits = NONE if said is None else parse_limits(said, HEADER)
    asker = asker_of(http.scope)
    own = NONE
    if desk.rooms is not None and asker.owner is not None:
        own = await desk.rooms.store.read(partial(limits_of, owner=asker.owner))
    trace = http.headers.get("traceparent")
    if trace is not None and len(trace) > _LONGEST:
        raise InputError(
            f"The header traceparent has {len(trace)} characters; W3C's has 55. Leave it out.",
            param="traceparent",
        )
    return [
        replace(each, context=_context(each.context, asker, trace, (limits, own)))
        for each in requests
    ]


def _context(
    context: Context, asker: Asker, trace: str | None, limits: Sequence[Limits]
) -> Context:
    # With accounts a request is for whoever sent it, whatever its body says; without, the body's
    # `user` is all there is.
    user = asker.owner if asker.accounts else context.user or asker.owner
    context = replace(context, user=user, trace=trace or context.trace)
    for each in limits:
        context = each.within(context)
    return context
