"""The assistants of a workspace, as the server shows, writes, tries and tests them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import InputError, KataribeError
from kataribe.serve.shapes.assistants import (
    AssistantDetail,
    AssistantList,
    AssistantShown,
    GuardChoice,
    ModelChoice,
    RecipeChecked,
    RecipeChoices,
    RecipeFields,
    RecipeProblem,
    TechniqueOffered,
    TestResult,
    ToolChoiceShown,
    ToolOption,
    TwoLanguages,
)
from kataribe.use.agents.turns import MemoryTurns
from kataribe.use.assistants.book import Book, Kept
from kataribe.use.assistants.compose import Around, composed
from kataribe.use.assistants.looking import Looked, Problem, look
from kataribe.use.assistants.means import check_documents
from kataribe.use.assistants.recipe import InTwoLanguages, Named, Recipe
from kataribe.use.assistants.rewriting import rewritten
from kataribe.use.assistants.testing import run_checks
from kataribe.use.assistants.toolbox import KINDS, options_of
from kataribe.use.guards.settings import STANDARD, described
from kataribe.use.prompts.registry import TECHNIQUES

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.serve.assistants_source import Draft
    from kataribe.serve.models import ModelInfo

PREVIEW = "preview"
"""What an unsaved assistant is called, in its replies and in the server's figures."""
UNSAVED = "The recipe"
"""What errors call a recipe that has no file."""


class AssistantsHere:
    """An `AssistantsSource` over a book of recipes."""

    def __init__(
        self,
        book: Book,
        around: Callable[[], Around],
        models: Callable[[], Sequence[ModelInfo]],
    ) -> None:
        """Reads nothing yet.

        Args:
            book: The recipes.
            around: What stands around assistants when they are asked.
            models: Who can be asked, assistants among them.
        """
        self._book = book
        self._around = around
        self._models = models
        # Kept between requests: a turn that waits for consent goes on in the next one.
        self._turns = MemoryTurns()

    def all(self) -> AssistantList:
        """See `AssistantsSource`."""
        shipped = self._book.shipped()
        return AssistantList(
            data=[
                _shown(kept, self._look(kept.name, kept.text), hides=kept.own and name in shipped)
                for name, kept in self._book.all().items()
            ],
            default_model=self._around().default,
        )

    def one(self, name: str) -> AssistantDetail:
        """See `AssistantsSource`."""
        return self._detail(self._book.find(name))

    def choices(self) -> RecipeChoices:
        """See `AssistantsSource`."""
        return RecipeChoices(
            tools=_tools(),
            techniques=[
                TechniqueOffered(name=entry.name, about=entry.line, options=dict(entry.defaults))
                for entry in TECHNIQUES.values()
            ],
            guards=[
                GuardChoice(
                    name=guard.name,
                    about=guard.about,
                    side="in" if guard.side == "in" else "out",
                    standard=STANDARD.get(guard.name, False),
                    options=list(guard.options),
                )
                for guard in described()
            ],
            models=[
                ModelChoice(name=info.name, assistant=info.owned_by == "assistant")
                for info in self._models()
                if info.use == "write"
            ],
            default_model=self._around().default,
        )

    def check(self, draft: Draft, fields: Mapping[str, Any] | None) -> RecipeChecked:
        """See `AssistantsSource`."""
        text = draft.text if fields is None else rewritten(draft.text, fields)
        found = self._look_at(dataclasses.replace(draft, text=text))
        return RecipeChecked(text=text, fields=_fields(found), problems=_problems(found))

    def put(self, draft: Draft, over: str | None) -> AssistantDetail:
        """See `AssistantsSource`."""
        for problem in self._look_at(draft).problems:
            raise InputError(problem.message, param=problem.place or None)
        return self._detail(self._book.replace(draft.name, draft.text, over))

    def copy(self, name: str, to: str) -> AssistantDetail:
        """See `AssistantsSource`."""
        return self._detail(self._book.replace(to, self._book.find(name).text, None))

    def remove(self, name: str, over: str) -> None:
        """See `AssistantsSource`."""
        self._book.put_away(name, over)

    def restore(self, name: str) -> AssistantDetail:
        """See `AssistantsSource`."""
        return self._detail(self._book.bring_back(name))

    @contextlib.asynccontextmanager
    async def lend(self, draft: Draft) -> AsyncIterator[LM]:
        """See `AssistantsSource`."""
        # Facts belong to people who talk with what is saved; a trial leaves nothing behind.
        usual = await asyncio.to_thread(self._around)
        around = dataclasses.replace(usual, facts=None, turns=self._turns)
        recipe = await asyncio.to_thread(self._read, draft)
        async with composed(PREVIEW, recipe, around) as lm:
            yield lm

    async def tests(self, draft: Draft) -> AsyncIterator[TestResult]:
        """See `AssistantsSource`."""
        checks = (await asyncio.to_thread(self._read, draft)).tests
        async with self.lend(draft) as lm:
            number = 0
            async for one in run_checks(lm, checks):
                yield TestResult(
                    number=number, ask=one.check.ask, reply=one.reply, failed=list(one.failed)
                )
                number += 1

    def _read(self, draft: Draft) -> Recipe:
        """A draft's recipe; raises the first thing that is wrong with it."""
        found = self._look_at(draft)
        for problem in found.problems:
            raise InputError(problem.message, param=problem.place or None)
        assert found.recipe is not None
        return found.recipe

    def _look_at(self, draft: Draft) -> Looked:
        """What is wrong with a draft, with what it may not reach."""
        found = self._look(draft.name, draft.text, reaches=draft.alone)
        if draft.alone or found.recipe is None:
            return found
        before = self._reached(draft.name)
        problems = tuple(
            Problem(f"tools.{number}", _not_from_here(f"The tool {tool.name}", draft.name))
            for number, tool in enumerate(_approved(found.recipe))
            if tool.name in KINDS and KINDS[tool.name].reaches and tool not in _approved(before)
        )
        problems += tuple(
            Problem(f"knowledge.{number}", _not_from_here("What is under knowledge", draft.name))
            for number, path in enumerate(found.recipe.knowledge)
            if path not in before.knowledge
        )
        return dataclasses.replace(found, problems=(*found.problems, *problems))

    def _reached(self, name: str) -> Recipe:
        """The saved recipe of that name, with what it reaches already."""
        kept = self._book.all().get(name)
        try:
            return Recipe() if kept is None else kept.recipe()
        except KataribeError:
            return Recipe()

    def _look(self, name: str, text: str, *, reaches: bool = True) -> Looked:
        """What is wrong with a text; whether documents are there, only for who may reach them."""

        def circle(recipe: Recipe) -> None:
            self._book.check_circle(name, recipe)

        def documents(recipe: Recipe) -> None:
            if reaches:
                check_documents(recipe, self._around().folder)

        return look(text, UNSAVED, circle, documents)

    def _detail(self, kept: Kept) -> AssistantDetail:
        found = self._look(kept.name, kept.text)
        hides = kept.own and kept.name in self._book.shipped()
        return AssistantDetail(
            assistant=_shown(kept, found, hides=hides),
            text=kept.text,
            fields=_fields(found),
            problems=_problems(found),
        )


def _shown(kept: Kept, found: Looked, *, hides: bool) -> AssistantShown:
    recipe = found.recipe or Recipe()
    return AssistantShown(
        name=kept.name,
        own=kept.own,
        hides=hides,
        tag=kept.tag,
        title=_words(recipe.title),
        about=_words(recipe.about),
        models=list(recipe.models()),
        router=recipe.router is not None,
        technique=recipe.technique.name if recipe.technique else None,
        tools=[tool.name for tool in recipe.tools],
        memory=recipe.memory,
        guards=[name for name, value in recipe.guards.items() if value is not False],
        starters=[_words(starter) for starter in recipe.starters],
        tests=len(recipe.tests),
        problem=next(iter(_problems(found)), None),
    )


def _words(words: InTwoLanguages) -> TwoLanguages:
    return TwoLanguages(en=words.en, ja=words.ja)


def _fields(found: Looked) -> RecipeFields | None:
    return None if found.fields is None else RecipeFields.model_validate(found.fields)


def _problems(found: Looked) -> list[RecipeProblem]:
    return [
        RecipeProblem(place=one.place, message=one.message, line=one.line) for one in found.problems
    ]


def _tools() -> list[ToolChoiceShown]:
    return [
        ToolChoiceShown(
            name=kind.name,
            about=kind.line,
            approval=kind.approval,
            reaches=kind.reaches,
            options=[
                ToolOption(
                    name=option.name,
                    kind="switch" if option.kind == "switch" else "text",
                    needed=option.needed,
                )
                for option in options_of(kind)
            ],
        )
        for kind in KINDS.values()
    ]


def _approved(recipe: Recipe) -> list[Named]:
    """The tools, each with the approval that holds for it."""
    return [
        tool.model_copy(update={"approval": tool.approval or recipe.approval})
        for tool in recipe.tools
    ]


def _not_from_here(what: str, name: str) -> str:
    return (
        f"{what} reaches files or addresses of the server's machine. Where people "
        "have accounts, only who runs the server gives it to an assistant, in a terminal: "
        f"kataribe assistants edit {name}"
    )
