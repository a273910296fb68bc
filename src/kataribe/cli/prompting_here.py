"""The prompts and techniques of this program, for the server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from kataribe.base.errors import InputError
from kataribe.base.lm import LM, Tool
from kataribe.serve.prompting_source import AskedWith
from kataribe.use.assistants.recipe import Named
from kataribe.use.assistants.toolbox import KINDS, Kind, kind_of, open_toolbox, options_of
from kataribe.use.prompts.described import Described, described
from kataribe.use.prompts.library import Library
from kataribe.use.prompts.registry import Parts, entry_of, read_options, technique
from kataribe.use.prompts.template import Template

if TYPE_CHECKING:
    from kataribe.base.encoders import Embedder
    from kataribe.base.events import Usage
    from kataribe.store.database import Store

PriceOf = Callable[[str, "Usage"], "float | None"]
EmbedderOf = Callable[[], "AbstractAsyncContextManager[Embedder]"]


class PromptingHere:
    """A `PromptingSource` over a database.

    `embedder` lends what compares examples; `price` knows US dollars for a model's use.
    """

    def __init__(
        self,
        store: Store,
        embedder: EmbedderOf | None = None,
        price: PriceOf | None = None,
    ) -> None:
        self._library = Library(store)
        self._embedder = embedder
        self._price = price

    @property
    def library(self) -> Library:
        """The prompts of everybody."""
        return self._library

    def techniques(self) -> Sequence[Described]:
        """See `PromptingSource.techniques`."""
        return described()

    def tools(self) -> Sequence[str]:
        """See `PromptingSource.tools`."""
        return [kind.name for kind in KINDS.values() if _is_free(kind)]

    def variables(self, text: str) -> Sequence[str]:
        """See `PromptingSource.variables`."""
        return Template(text).variables

    def render(self, text: str, values: Mapping[str, str]) -> str:
        """See `PromptingSource.render`."""
        return Template(text).render(values)

    def check(self, asked: AskedWith) -> None:
        """See `PromptingSource.check`."""
        name = None if asked.technique is None else entry_of(asked.technique).name
        for tool in asked.tools:
            if not _is_free(kind_of(tool)):
                raise InputError(
                    f"The tool {tool} may run only with consent or needs options, and there is no "
                    f"place for either here. There are {', '.join(self.tools())}; or take an "
                    "assistant.",
                    param="tools",
                )
        if name == "react" and not asked.tools:
            raise InputError(
                f"react acts with tools, and none are named. A prompt can be run with "
                f"{', '.join(self.tools())}; for others take an assistant.",
                param="technique",
            )
        if asked.tools and name != "react":
            raise InputError("Tools are for the technique react. Take it.", param="tools")
        if name == "retrieval":
            raise InputError(
                "retrieval has nothing to search here. Use it at the terminal: kataribe ask "
                "--technique retrieval --documents FILE",
                param="technique",
            )
        if name is not None:
            if name == "few-shot" and not asked.options.get("examples"):
                raise InputError(
                    "few-shot needs examples: a list of objects with question and answer.",
                    param="examples",
                )
            read_options(name, asked.options)
        if _needs_embedder(asked) and self._embedder is None:
            raise InputError(
                "Choosing examples by likeness needs an embedder, and this server has none. Take "
                "fixed ones.",
                param="choice",
            )

    def price(self, model: str, usage: Usage) -> float | None:
        """See `PromptingSource.price`."""
        return None if self._price is None else self._price(model, usage)

    @contextlib.asynccontextmanager
    async def around(self, lm: LM, asked: AskedWith) -> AsyncIterator[LM]:
        """See `PromptingSource.around`."""
        if asked.technique is None:
            yield lm
            return
        async with contextlib.AsyncExitStack() as stack:
            embedder: Embedder | None = None
            if _needs_embedder(asked) and self._embedder is not None:
                embedder = await stack.enter_async_context(self._embedder())
            tools = self._tools(asked, stack)
            yield technique(
                asked.technique, lm, asked.options, Parts(embedder=embedder, tools=tools)
            )

    def _tools(self, asked: AskedWith, stack: contextlib.AsyncExitStack) -> Sequence[Tool]:
        closing = stack.enter_context(contextlib.ExitStack())
        names = dict.fromkeys(kind_of(tool).name for tool in asked.tools)
        return open_toolbox([Named(name=name) for name in names], "never", closing).tools


def _is_free(kind: Kind) -> bool:
    """It runs unasked, and with nothing but its name."""
    needs = kind.reaches or any(option.needed for option in options_of(kind))
    return kind.approval == "always" and not needs


def _needs_embedder(asked: AskedWith) -> bool:
    return asked.options.get("choice") in ("similar", "diverse")
