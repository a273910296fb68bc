"""What every route works with."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.metrics import Metrics
from kataribe.serve.models import ModelSource
from kataribe.serve.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Desk:
    """The models, how the server behaves, its state and its figures."""

    models: ModelSource
    settings: ServerSettings
    lifecycle: Lifecycle
    metrics: Metrics
