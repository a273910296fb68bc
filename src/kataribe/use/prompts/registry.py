"""All techniques by name: what each does in a line, its options, and how it is built.

    lm = technique("self-consistency", lm, {"paths": 5})

Options come from people (flags, recipes, a page), so they are checked here by name and kind. What
is alive (an embedder, a judge, a search, tools) comes beside them as `Parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.nearness import meant
from kataribe.use.prompts.chain_of_thought import ChainOfThought, ChainOfThoughtOptions
from kataribe.use.prompts.chaining import Chaining, ChainingOptions
from kataribe.use.prompts.few_shot import FewShot, FewShotOptions
from kataribe.use.prompts.generated_knowledge import GeneratedKnowledge, GeneratedKnowledgeOptions
from kataribe.use.prompts.react import ReAct, ReActOptions
from kataribe.use.prompts.retrieval import Retrieval, RetrievalOptions, Search
from kataribe.use.prompts.self_consistency import SelfConsistency, SelfConsistencyOptions
from kataribe.use.prompts.technique import Technique
from kataribe.use.prompts.tree_of_thoughts import TreeOfThoughts, TreeOfThoughtsOptions
from kataribe.use.prompts.zero_shot import ZeroShot, ZeroShotOptions

if TYPE_CHECKING:
    from kataribe.base.encoders import Embedder
    from kataribe.base.lm import LM, Tool


@dataclass(frozen=True, slots=True)
class Parts:
    """What techniques may need beside a model.

    Attributes:
        embedder: For few-shot's choice of examples.
        judge: Scores thoughts in a tree, instead of the model itself.
        search: For retrieval.
        tools: For ReAct, which asks nobody whether they may run.
    """

    embedder: Embedder | None = None
    judge: LM | None = None
    search: Search | None = None
    tools: Sequence[Tool] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A technique.

    Attributes:
        name: By which people ask for it.
        line: What it does.
        options: The dataclass of its options.
        build: Makes it.
    """

    name: str
    line: str
    options: type[Any]
    build: Callable[[LM, Any, Parts], Technique]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Its options by name with their defaults; None for one that must be given."""
        return {
            field.name: None if field.default is MISSING else field.default
            for field in fields(self.options)
        }


def technique(
    name: str, lm: LM, options: Mapping[str, Any] | None = None, parts: Parts | None = None
) -> Technique:
    """The technique called `name` around `lm`.

    Args:
        name: One of `TECHNIQUES`.
        lm: The model that is asked.
        options: By name; what is left out has its default. Text is read as what the option is.
        parts: What is alive.

    Raises `NotFoundError` for an unknown name and `InputError` for an unknown option (both suggest
    near ones), for a value of the wrong kind or size, and for a part that is missing.
    """
    entry = entry_of(name)
    return entry.build(lm, _options(entry, options or {}), parts or Parts())


def entry_of(name: str) -> Entry:
    """The entry of a name; `_` counts as `-`. `NotFoundError` suggests near names."""
    wanted = name.strip().lower().replace("_", "-")
    if wanted in TECHNIQUES:
        return TECHNIQUES[wanted]
    if wanted in ("ape", "automatic", "automatic-prompt-engineering"):
        raise NotFoundError(
            f"{name} searches for an instruction on examples, and what it finds is asked with "
            "zero-shot and its option instruction. Run the search first.",
            param="technique",
        )
    hint = meant(wanted, TECHNIQUES, also=True, aliases=_SHORT)
    raise NotFoundError(f"There is no technique {name!r:.80}. {hint}", param="technique")


def read_options(name: str, options: Mapping[str, Any]) -> Any:
    """The options of a technique as it has them; raises what `technique` would."""
    return _options(entry_of(name), options)


def _options(entry: Entry, given: Mapping[str, Any]) -> Any:
    known = list(entry.defaults)
    for name in given:
        if name not in known:
            hint = meant(name, known, there="It has", also=True)
            raise InputError(f"{entry.name} has no option {name!r:.80}. {hint}", param=name)
    try:
        return TypeAdapter(entry.options).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"Option {place} of {entry.name} is wrong: {first['msg']}. It was given "
            f"{first['input']!r}.",
            param=place.partition(".")[0],
        ) from None


def _few_shot(lm: LM, options: FewShotOptions, parts: Parts) -> Technique:
    return FewShot(lm, options, embedder=parts.embedder)


def _tree(lm: LM, options: TreeOfThoughtsOptions, parts: Parts) -> Technique:
    return TreeOfThoughts(lm, options, judge=parts.judge)


def _retrieval(lm: LM, options: RetrievalOptions, parts: Parts) -> Technique:
    if parts.search is None:
        raise InputError(
            "retrieval has nothing to search. Name documents or a search engine.", param="search"
        )
    return Retrieval(lm, parts.search, options)


def _react(lm: LM, options: ReActOptions, parts: Parts) -> Technique:
    return ReAct(lm, parts.tools, options)


_ENTRIES = (
    Entry("zero-shot", "asks as it is, or with an instruction before the question",
          ZeroShotOptions, lambda lm, options, _: ZeroShot(lm, options)),
    Entry("few-shot", "shows worked examples first: fixed, similar or diverse ones",
          FewShotOptions, _few_shot),
    Entry("chain-of-thought", "thinks step by step, then answers",
          ChainOfThoughtOptions, lambda lm, options, _: ChainOfThought(lm, options)),
    Entry("self-consistency", "thinks several times and votes on the answer",
          SelfConsistencyOptions, lambda lm, options, _: SelfConsistency(lm, options)),
    Entry("generated-knowledge", "first says what it knows about the question, then answers",
          GeneratedKnowledgeOptions, lambda lm, options, _: GeneratedKnowledge(lm, options)),
    Entry("tree-of-thoughts", "tries several next steps, a judge keeps the best, level by level",
          TreeOfThoughtsOptions, _tree),
    Entry("retrieval", "searches for passages, answers from them, cites them",
          RetrievalOptions, _retrieval),
    Entry("chaining", "makes a plan, does it step by step, writes the whole",
          ChainingOptions, lambda lm, options, _: Chaining(lm, options)),
    Entry("react", "thinks, uses a tool, looks at the result, until it can answer",
          ReActOptions, _react),
)  # fmt: skip

TECHNIQUES: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""By name, in the order from cheap to dear."""

_SHORT = {
    "cot": "chain-of-thought", "sc": "self-consistency", "tot": "tree-of-thoughts",
    "rag": "retrieval", "plan": "chaining", "knowledge": "generated-knowledge",
    "zeroshot": "zero-shot", "fewshot": "few-shot",
}  # fmt: skip
"""What people type for them; a hint, not a second name."""
