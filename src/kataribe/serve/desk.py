"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnsupportedError
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.metrics import Metrics
from kataribe.serve.models import ModelSource
from kataribe.serve.settings import ServerSettings

if TYPE_CHECKING:
    from kataribe.serve.rooms import Rooms


@dataclass(frozen=True, slots=True)
class Desk:
    """The models, how the server behaves, its state, its figures, and rooms where it has any."""

    models: ModelSource
    settings: ServerSettings
    lifecycle: Lifecycle
    metrics: Metrics
    rooms: Rooms | None = None


def desk_of(http: HTTPRequest) -> Desk:
    """The desk of the app that a request came to."""
    desk: Desk = http.app.state.desk
    return desk


def rooms_of(desk: Desk) -> Rooms:
    """The server's rooms; `UnsupportedError` where it was built to answer the API alone."""
    if desk.rooms is None:
        raise UnsupportedError(
            "This server keeps nothing: it was started without a workspace's database. "
            "Start it with `kataribe up`."
        )
    return desk.rooms
