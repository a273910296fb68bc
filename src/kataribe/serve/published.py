"""The OpenAPI document as it is published: made without a server, a model or a socket."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from kataribe.base.errors import NotFoundError
from kataribe.base.lm import LM
from kataribe.serve.app import create_app
from kataribe.serve.models import ModelInfo, TextTokenizer
from kataribe.serve.openapi import describe
from kataribe.serve.settings import ServerSettings


def openapi_document() -> dict[str, Any]:
    """The document without a server: starts nothing and loads nothing."""
    return describe(create_app(_NoModels(), ServerSettings()))


class _NoModels:
    def names(self) -> Sequence[ModelInfo]:
        return ()

    def lease(self, name: str) -> AbstractAsyncContextManager[LM]:
        raise NotFoundError(f"There is no model {name!r}.")

    def tokenizer(self, name: str) -> AbstractAsyncContextManager[TextTokenizer]:
        raise NotFoundError(f"There is no model {name!r}.")
