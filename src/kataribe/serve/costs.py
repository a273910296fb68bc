"""`/studio/api/costs`: what a person's requests used, by day and model."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.described import failures
from kataribe.serve.desk import desk_of, rooms_of
from kataribe.serve.shapes.costs import Costs, CostShown
from kataribe.serve.who import owner_of

if TYPE_CHECKING:
    from kataribe.prove.ops.trace_store import By, Cost

Days = Annotated[int, Query(ge=1, le=3660, description="So many days back, today's too.")]
Grouped = Annotated[
    Literal["day,model", "day", "model"], Query(description="What has a line of its own.")
]
_DAY = 86_400


def costs_router() -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/studio/api", tags=["studio"])

    @router.get(
        "/costs",
        operation_id="listCosts",
        summary="What one's own requests used, by day and model",
        response_model=Costs,
        responses=failures(400, 503),
    )
    async def costs(http: HTTPRequest, days: Days = 30, by: Grouped = "day,model") -> Costs:
        desk = desk_of(http)
        owner = owner_of(http.scope)
        source = rooms_of(desk).costs
        if source is None:
            raise UnsupportedError(
                "This server adds up no costs. Start it with `kataribe up`.", param="costs"
            )
        both: tuple[By, ...] = ("day", "model")
        wanted = [each for each in both if each in by.split(",")]
        since = _midnight() - (days - 1) * _DAY
        found = await asyncio.to_thread(source.costs, wanted, since, owner)
        return Costs(data=[_shown(cost) for cost in found])

    return router


def _midnight() -> float:
    """The beginning of today here, in seconds since 1970."""
    today = time.localtime()
    return time.mktime((*today[:3], 0, 0, 0, 0, 0, -1))


def _shown(cost: Cost) -> CostShown:
    used = cost.used
    return CostShown(
        day=cost.day,
        model=cost.model,
        prompt_tokens=used.prompt_tokens,
        cached_tokens=used.cached_tokens,
        completion_tokens=used.completion_tokens,
        calls=used.steps,
        dollars=used.dollars,
        unpriced=used.unpriced,
    )
