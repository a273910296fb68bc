"""Guards at a command: `--guards NAME,...`, by the names and with the options of recipes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.lm import LM, Sampling
from kataribe.base.nearness import meant
from kataribe.use.assistants.instructed import Instructed
from kataribe.use.assistants.replying import Acting, Make, Replying
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.inside import placed
from kataribe.use.guards.settings import KINDS, STANDARD, guards_of

if TYPE_CHECKING:
    from kataribe.base.lm import Tool

_STANDARD = "standard"


def guard_names(given: Sequence[str]) -> tuple[str, ...]:
    """Names of guards out of flags, several of them with commas between.

    `standard` stands for those that a guarded assistant has. Raises `NotFoundError` with near
    names for what is none.
    """
    found: list[str] = []
    for name in (name.strip() for each in given for name in each.split(",")):
        if name == _STANDARD:
            found += STANDARD
        elif name in KINDS:
            found.append(name)
        elif name:
            known = (_STANDARD, *KINDS)
            raise NotFoundError(
                f"There is no guard {name!r:.80}. {meant(name, known, also=True)}", param="guards"
            )
    return tuple(dict.fromkeys(found))


def guards_said(names: Sequence[str], options: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Guards as a recipe has them, of names and of options as they were typed.

    Raises `SettingsError` for an option that a guard does not have, with near ones, and for a
    value that does not fit.
    """
    said = {
        name: {key: _value(name, key, text) for key, text in options[name].items()}
        if name in options
        else True
        for name in names
    }
    try:
        guards_of(said, judge=_NOBODY)
    except (TypeError, ValueError, AttributeError) as error:  # a mapping with unknown keys
        raise InputError(f"A guard cannot be made of this: {error}.", param="option") from None
    return said


_NOBODY = cast("LM", object())
"""Stands where a guard wants a judge while it is only looked at."""


def _value(name: str, key: str, text: str) -> Any:
    """What was typed, as the guard's option is; what cannot be read so stays text, and is told."""
    default = {each.name: each.default for each in fields(KINDS[name])}.get(key)  # type: ignore[arg-type]
    if isinstance(default, str):
        return text
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(","))
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if default is not None or isinstance(value, bool | dict) else text


class Guarding:
    """The guards of a command, and where they stand.

    Args:
        said: As a recipe has them.
        lm: Judges, where a guard is to ask a judge.
        acts: Tools may run or documents may be searched, so that some guards belong inside.
    """

    def __init__(self, said: Mapping[str, Any], lm: LM, *, acts: bool) -> None:
        self._guards, self._policy = guards_of(said, judge=lm)
        self._places = placed(self._guards, self._policy) if acts and self._guards else None

    def acting(self, lm: LM, make: Make, tools: Sequence[Tool] = ()) -> LM:
        """What acts over a model; within it guards look at what tools and documents say."""
        if self._places is None:
            return make(lm, None)
        own = frozenset(tool.spec.name for tool in tools)
        told = Instructed(lm, "", Sampling())
        return Replying(told, Acting(make, acts=True, own=own), self._places)

    def idle(self, lm: LM) -> LM:
        """A model that does not act after all: the guards that belong inside stand around it."""
        moved = self._places.moved if self._places is not None else ()
        return Guarded(lm, moved, self._policy) if moved else lm

    def around(self, lm: LM) -> LM:
        """The whole, with the guards that stand around it."""
        guards = self._guards if self._places is None else self._places.around
        return Guarded(lm, guards, self._policy) if guards else lm
