"""What tools need beside their options: other models, what labels texts, documents to search.

Models are asked through the same lending as an assistant's own, so whoever lends them counts them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kataribe.base.encoders import Classification, Classifier, Embedder
from kataribe.base.errors import InputError, KataribeError, UnsupportedError
from kataribe.base.events import Event
from kataribe.base.lm import Capabilities, Request, Tool
from kataribe.base.references import parse_reference
from kataribe.use.agents.tools.documents import document_search_tool
from kataribe.use.agents.tools.models import classifier_tool, lm_tool
from kataribe.use.assistants.recipe import DOCUMENTS, Recipe
from kataribe.use.assistants.router import ANY, Lend
from kataribe.use.prompts.passages import by_meaning, files_in, search_in
from kataribe.use.prompts.registry import entry_of
from kataribe.use.prompts.retrieval import Search

LendClassifier: TypeAlias = Callable[[str], AbstractAsyncContextManager[Classifier]]
"""A model of labels by name, for as long as the block lasts."""

_LONGEST_NAME = 64
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Means:
    """What is there for tools; what is None is refused when a tool needs it.

    Attributes:
        lend: Gives models and assistants by name.
        classifiers: Gives models of labels by name.
        about: What an assistant is for, in a line; empty for what says nothing of itself.
        knowledge: Searches the documents that the recipe names.
        embedder: Compares texts by what they mean.
        folder: From which paths of documents begin; None for the folder of the process.
    """

    lend: Lend | None = None
    classifiers: LendClassifier | None = None
    about: Callable[[str], str] | None = None
    knowledge: Search | None = None
    embedder: Embedder | None = None
    folder: Path | None = None


class Lent:
    """A name as an `LM` that is lent anew for each request, and let go after it."""

    def __init__(self, name: str, lend: Lend) -> None:
        self._name = name
        self._lend = lend

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Whatever it can when it is there; it refuses the rest itself."""
        return ANY

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers as whoever has that name does."""
        async with (
            self._lend(self._name) as lm,
            aclosing(lm.stream(request)) as events,  # type: ignore[type-var]
        ):
            async for event in events:
                yield event


def model_tool(means: Means, model: str, name: str, about: str, system: str) -> Tool:
    """The tool that asks another model or assistant, by default called `ask_` and its name."""
    parse_reference(model)
    if means.lend is None:
        raise UnsupportedError(f"No other models can be asked here, so {model} cannot.")
    line = about or (means.about(model) if means.about is not None else "")
    told = f"Asks {model}" + (f": {line}" if line else ", another model.")
    return lm_tool(
        Lent(model, means.lend),
        name=name or _tool_name("ask", model),
        description=f"{told} It sees only the question.",
        system=system or None,
    )


def label_tool(means: Means, model: str, name: str, about: str) -> Tool:
    """The tool that has texts labelled, by default called `classify_` and the model's name."""
    parse_reference(model)
    lend = means.classifiers
    if lend is None:
        raise UnsupportedError(f"No models that label can be asked here, so {model} cannot.")

    async def classify(texts: Sequence[str]) -> Classification:
        async with lend(model) as classifier:
            return await classifier.classify(texts)

    return classifier_tool(
        classify,
        name=name or _tool_name("classify", model),
        description=about or f"Labels texts with {model}, a model made for that.",
    )


def documents_tool(means: Means, folder: str, name: str, about: str, *, meaning: bool) -> Tool:
    """The tool that searches a folder (or one file), or else the recipe's documents."""
    search = documents_search((folder,), means.folder) if folder else means.knowledge
    if search is None:
        raise InputError(_NOTHING, param="tools")
    if meaning:
        if means.embedder is None:
            raise UnsupportedError(
                "Nothing here compares texts by what they mean. Leave out `meaning`.",
                param="tools",
            )
        search = by_meaning(search, means.embedder)
    return document_search_tool(
        search, name=name or "search_documents", about=about or "the documents"
    )


def documents_search(paths: Sequence[str], folder: Path | None) -> Search:
    """The search of files and folders; raises as `files_in` does."""
    return search_in(files_in(_places(paths, folder)))


def check_documents(recipe: Recipe, folder: Path) -> None:
    """Raises what `documents_search` would of the documents that a recipe names, with the place."""
    for number, each in enumerate(recipe.knowledge):
        try:
            files_in(_places((each,), folder))
        except KataribeError as error:
            raise InputError(error.message, param=f"knowledge.{number}") from error
    files_in(_places(recipe.knowledge, folder))


def knowledge_faults(recipe: Recipe) -> Iterator[KataribeError]:
    """What does not fit between documents and what searches them, with the places."""
    named, searches = recipe.technique, False
    if named is not None and named.name:
        try:
            searches = entry_of(named.name).name == "retrieval"
        except KataribeError:  # told where the technique stands
            return
    if searches and not recipe.knowledge:
        yield InputError(
            "The technique retrieval has nothing to search. Name files or folders under "
            "knowledge: [docs]",
            param="knowledge",
        )
    for number, tool in enumerate(recipe.tools):
        if tool.name == DOCUMENTS and not tool.options.get("folder"):
            searches = True
            if not recipe.knowledge:
                yield InputError(_NOTHING, param=f"tools.{number}")
    if recipe.knowledge and not searches:
        yield InputError(
            "Nothing searches the documents under knowledge. Take the tool documents, or the "
            "technique retrieval.",
            param="knowledge",
        )


def _places(paths: Sequence[str], folder: Path | None) -> list[Path]:
    return [(folder or Path()) / at_home(each) for each in paths]


def at_home(path: str) -> Path:
    """A path as it is written, with the user's own home folder for `~`.

    Raises `InputError` where there is none, as in a container for a user without a name.
    """
    if path != "~" and not path.startswith("~/"):
        return Path(path)
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{path!r:.200} begins with ~, but whoever runs this Kataribe has no home folder. "
            "Write the whole path, or set HOME."
        ) from None


_NOTHING = (
    "The tool documents has nothing to search. Give it the option folder, or name files or folders "
    "under knowledge: [docs]"
)


def _tool_name(does: str, model: str) -> str:
    """A name that a tool may have: of a hosted model, without its host."""
    reference = parse_reference(model)
    plain = _NO_NAME.sub("_", reference.name).strip("_") or "model"
    return f"{does}_{plain}"[:_LONGEST_NAME]
