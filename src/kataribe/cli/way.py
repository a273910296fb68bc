"""How a model is asked: with a technique, with tools, within limits.

What flags say is checked here before any model is loaded; `asked` then puts it around whoever
answers: a model here, one at a host, or an assistant.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from kataribe.base.errors import InputError
from kataribe.base.limits import Limits
from kataribe.cli.acting import Acts, acting_limits, acting_model
from kataribe.cli.consent import Ask, Consenting, ask_person
from kataribe.cli.guarding import Guarding, guard_names, guards_said
from kataribe.cli.metering import Meters
from kataribe.cli.reaching import check_tools, tool_name, with_tools
from kataribe.prove.ops.ledger import Ledger, trees
from kataribe.prove.ops.limits import Limited
from kataribe.prove.ops.meter import Metered
from kataribe.prove.ops.spent import Price, Spent, free
from kataribe.use.agents.tools.approvals import Approval
from kataribe.use.agents.turns import MemoryTurns
from kataribe.use.assistants.means import Means
from kataribe.use.assistants.recipe import DOCUMENTS, Named
from kataribe.use.assistants.replying import searching
from kataribe.use.guards.settings import KINDS
from kataribe.use.prompts.registry import Parts, entry_of, read_options, technique

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.encoders import Embedder
    from kataribe.base.lm import LM
    from kataribe.cli.reaching import Make
    from kataribe.use.assistants.toolbox import Toolbox
    from kataribe.use.guards.inside import Inside
    from kataribe.use.prompts.retrieval import Search


@dataclass(frozen=True, slots=True)
class Flags:
    """What the flags of a command say, as they were typed.

    Attributes:
        technique: A name, or None.
        options: `key=value` for the technique, `tool.key=value` for a tool or a guard.
        examples: A file of examples.
        documents: Files and folders to search.
        tools: Names, several of them with commas between.
        approve: For tools that need consent.
        guards: Names, several of them with commas between.
        steps: Most calls of models.
        tokens: Most tokens, read and drawn.
        seconds: Most seconds.
        money: Most US dollars.
    """

    technique: str | None = None
    options: Sequence[str] = ()
    examples: Path | None = None
    documents: Sequence[Path] = ()
    tools: Sequence[str] = ()
    approve: str = "ask"
    guards: Sequence[str] = ()
    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None

    def within(
        self,
        steps: int | None,
        tokens: int | None,
        seconds: float | None,
        money: float | None,
    ) -> Flags:
        """The same flags with these limits."""
        return replace(self, steps=steps, tokens=tokens, seconds=seconds, money=money)


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is asked, checked.

    Attributes:
        technique: Its name; None for none.
        options: Of the technique.
        tools: With their options.
        approve: For tools that need consent.
        guards: As a recipe has them.
        limits: Of one reply with all that it causes.
        search: For retrieval, or the tool `documents`.
    """

    technique: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Named, ...] = ()
    approve: Approval = "ask"
    guards: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    search: Search | None = None

    @property
    def is_plain(self) -> bool:
        """The model is asked as it is."""
        unlimited = self.limits == Limits()
        return self.technique is None and not self.tools and not self.guards and unlimited


def way_of(flags: Flags) -> Way:
    """The way that flags describe.

    Raises `NotFoundError` for an unknown technique, tool or guard and `InputError` for an unknown
    option (with near names), a value that does not fit, and a limit of nothing.
    """
    approve = approval_of(flags.approve)
    names = tuple(dict.fromkeys(_names(flags.tools)))
    guards = guard_names(flags.guards)
    own, placed = _options(flags.options, names, guards)
    tools = tuple(Named(name=name, options=placed.get(name, {})) for name in names)
    name = None if flags.technique is None else entry_of(flags.technique).name
    options = _technique_options(name, own, flags)
    if tools and name not in (None, "react"):
        raise InputError(
            f"The technique {name} uses no tools. Leave out --tools, or take react.",
            param="technique",
        )
    if name == "react" and not tools:
        raise InputError("react acts with tools. Name some: --tools calculator", param="tools")
    search = _search(name, tools, flags)
    check_tools(tools, _unasked(search))
    said = guards_said(guards, placed)
    return Way(name, options, tools, approve, said, _limits(flags), search)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask, and what all of its calls use."""

    lm: LM
    ledger: Ledger

    @property
    def spent(self) -> Spent:
        """What all calls have used until now."""
        return spent_in(self.ledger)


def spent_in(ledger: Ledger) -> Spent:
    """What the calls in a ledger have used, with all that they caused.

    A model that is opened here has a meter of its own, whose spans are in another ledger: so what
    counts is what the outermost calls have used in all.
    """
    return sum((branch.span.total for branch in trees(ledger.spans())), Spent())


@contextlib.contextmanager
def asked(
    way: Way,
    lm: LM,
    price: Price,
    *,
    ask: Ask = ask_person,
    means: Means | None = None,
) -> Iterator[Asked]:
    """`lm`, asked in this way, for as long as the block lasts; `means` are for tools."""
    means = replace(means or Means(), knowledge=way.search)
    ledger = Ledger()
    inner: LM = Meters(ledger).lm(lm, price)
    acts = bool(way.tools) or way.search is not None
    guarding = Guarding(way.guards, inner, acts=acts)
    with contextlib.ExitStack() as stack:
        if way.tools:
            make = _acting(way, inner, ask, guarding)
            inner = with_tools(way.tools, (way.approve, means), inner, make, stack)
        else:
            if way.technique is not None:
                inner = _asking(way, inner, means, guarding)
            inner = Consenting(inner, ask)  # behind a server may be an assistant with tools
        inner = guarding.around(inner)
        yield Asked(Limited(Metered(inner, ledger, free), way.limits, free), ledger)


def _acting(way: Way, lm: LM, ask: Ask, guarding: Guarding) -> Make:
    """Makes the model with its tools, whose calls are consented to."""
    react = way.options if way.technique == "react" else None
    model, turns = acting_model(lm, react), MemoryTurns()
    limits = acting_limits(lm, way.limits.steps, react)

    def make(box: Toolbox) -> LM:
        if not box.tools:  # all of them were those of servers that are not to be had
            return guarding.idle(Consenting(lm, ask))
        acts = Acts(box, limits, needs=react is not None, turns=turns)
        return Consenting(guarding.acting(model, acts, box.tools), ask)

    return make


def _asking(way: Way, lm: LM, means: Means, guarding: Guarding) -> LM:
    """The technique; passages that it retrieves are looked at."""
    named, search = way.technique, way.search
    assert named is not None

    def make(lm: LM, inside: Inside | None) -> LM:
        found = search if search is None or inside is None else searching(search, inside)
        parts = Parts(embedder=means.embedder, search=found)
        model = lm if inside is None else inside.model(calls=False)
        asking = technique(named, model, way.options, parts)
        return asking if inside is None else inside.whole(asking, calls=False)

    return guarding.acting(lm, make)


def _names(tools: Sequence[str]) -> Iterator[str]:
    for each in tools:
        for name in each.split(","):
            if name.strip():
                yield tool_name(name.strip())


def _options(
    given: Sequence[str], tools: Sequence[str], guards: Sequence[str]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Options of the technique, and of each tool and guard."""
    own: dict[str, str] = {}
    placed: dict[str, dict[str, Any]] = {}
    for each in given:
        key, equals, value = each.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(
                f"--option is {each!r:.80}, but must be KEY=VALUE, or NAME.KEY=VALUE for a tool or "
                "a guard.",
                param="option",
            )
        tool, dot, name = key.rpartition(".")
        place: dict[str, Any] = placed.setdefault(tool, {}) if dot else own
        if (name if dot else key) in place:
            raise InputError(f"The option {key} is given twice; give it once.", param="option")
        if dot and tool in KINDS and tool not in guards:
            raise InputError(
                f"--option {key} is for the guard {tool}, which is not among --guards. Add it "
                "there.",
                param="option",
            )
        if dot and tool not in KINDS and tool_name(tool) not in tools:
            raise InputError(
                f"--option {key} is for the tool {tool}, which is not among --tools. Add it there.",
                param="option",
            )
        place[name if dot else key] = _switch(value) if dot and tool not in KINDS else value
    return own, placed


def _switch(value: str) -> str | bool:
    return {"true": True, "false": False}.get(value, value)


def _technique_options(
    name: str | None, given: Mapping[str, str], flags: Flags
) -> Mapping[str, Any]:
    if name is None:
        if given:
            raise InputError(
                f"--option {next(iter(given))} belongs to a technique, and none is named. Add "
                "--technique NAME (`kataribe prompts techniques` lists them).",
                param="option",
            )
        if flags.examples is not None:
            raise InputError(
                "--examples are shown by a technique. Add --technique few-shot.", param="examples"
            )
        return {}
    known = entry_of(name).defaults
    options = {key: _read(key, value) for key, value in given.items()}
    if flags.examples is not None:
        if "examples" not in known:
            raise InputError(
                f"The technique {name} shows no examples. Leave out --examples, or take few-shot.",
                param="examples",
            )
        from kataribe.use.prompts.examples import read_examples

        found = read_examples(flags.examples)
        options["examples"] = [{"question": e.question, "answer": e.answer} for e in found]
    elif known.get("examples", ()) is None and "examples" not in options:
        raise InputError(
            f"The technique {name} needs examples. Give a file of them: --examples FILE.jsonl",
            param="examples",
        )
    read_options(name, options)
    return options


def _read(key: str, value: str) -> Any:
    """Text as it is; the technique reads it as what its option is. Lists come as JSON."""
    if key == "examples":
        try:
            return json.loads(value)
        except ValueError as error:
            raise InputError(
                f"--option examples is no JSON ({error}). Put them into a file: --examples FILE",
                param="examples",
            ) from None
    return value


def _limits(flags: Flags) -> Limits:
    given = {
        "--steps": flags.steps,
        "--tokens": flags.tokens,
        "--seconds": flags.seconds,
        "--money": flags.money,
    }
    check_limits(given)
    return Limits(flags.steps, flags.tokens, flags.seconds, flags.money)


def check_limits(given: Mapping[str, float | None]) -> None:
    """Raises `InputError` naming the flag whose limit leaves nothing."""
    for name, value in given.items():
        if value is not None and not value > 0:  # also refuses NaN
            raise InputError(
                f"{name} is {value:g}, which leaves nothing to answer with. Give more than 0, or "
                "leave it out for no limit.",
                param=name.lstrip("-"),
            )


def _unasked(search: Search | None) -> Means:
    """Means that tools can be made with, to see whether they can; nobody asks them."""

    def nobody(_: object) -> Any:
        raise AssertionError("A tool was asked while it was only looked at.")

    return Means(nobody, nobody, knowledge=search, embedder=cast("Embedder", nobody))


def _search(name: str | None, tools: Sequence[Named], flags: Flags) -> Search | None:
    searches = any(tool.name == DOCUMENTS and not tool.options.get("folder") for tool in tools)
    if not flags.documents:
        if searches:
            raise InputError(
                "The tool documents has nothing to search. Name files: --documents FILE, or a "
                "folder: --option documents.folder=FOLDER",
                param="documents",
            )
        if name == "retrieval":
            raise InputError(
                "The technique retrieval has nothing to search. Name files: --documents FILE",
                param="documents",
            )
        return None
    if name != "retrieval" and not searches:
        raise InputError(
            "--documents are searched by a technique or a tool. Add --technique retrieval, or "
            "--tools documents.",
            param="documents",
        )
    from kataribe.use.prompts.passages import files_in, read_now, search_in

    files = files_in(flags.documents)
    read_now(files)
    return search_in(files)


def approval_of(word: str) -> Approval:
    """The word of `--approve`; `InputError` for any other."""
    known = get_args(Approval)
    for each in known:
        if each == word:
            found: Approval = each
            return found
    raise InputError(
        f"--approve is {word!r:.60}, but must be one of {', '.join(known)}.", param="approve"
    )
