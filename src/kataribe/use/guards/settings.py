"""Guards from plain values, as a recipe file or a command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from kataribe.base.errors import SettingsError
from kataribe.base.lm import LM
from kataribe.base.nearness import meant
from kataribe.use.guards.ending import Cut, Empty
from kataribe.use.guards.guard import Guard, OutGuard
from kataribe.use.guards.guarded import Policy
from kataribe.use.guards.injection import Injection
from kataribe.use.guards.judge import Judge
from kataribe.use.guards.language import Language
from kataribe.use.guards.leaking import Leak
from kataribe.use.guards.masking import Personal
from kataribe.use.guards.repetition import Repetition
from kataribe.use.guards.schema import Schema

KINDS: Mapping[str, Callable[..., Guard]] = {
    "injection": Injection,
    "personal": Personal,
    "repetition": Repetition,
    "empty": Empty,
    "cut": Cut,
    "language": Language,
    "leak": Leak,
    "schema": Schema,
}
"""Every guard, in the order in which they look."""

STANDARD: Mapping[str, bool] = {"injection": True, "repetition": True, "empty": True, "leak": True}
"""What a guarded assistant has unless it says otherwise."""

_NOT_SET = ("name", "about", "holds", "reads_reasoning")
_POLICY = ("retries", "refusal")


@dataclass(frozen=True, slots=True)
class Described:
    """A guard, for pages that list them.

    Attributes:
        name: The name it is switched by.
        side: `in` or `out`.
        about: What it does.
        holds: How much of a reply it holds back with its standard options; empty for `in`.
        options: The names of its options.
    """

    name: str
    side: str
    about: str
    holds: str
    options: tuple[str, ...]


def described() -> tuple[Described, ...]:
    """Every guard there is."""
    found = []
    for name, kind in KINDS.items():
        guard = kind()
        side, holds = ("out", guard.holds) if isinstance(guard, OutGuard) else ("in", "")
        found.append(Described(name, side, guard.about, holds, _options(kind)))
    return tuple(found)


def guards_of(
    said: Mapping[str, Any], *, judge: LM | None = None, remembers: bool = False
) -> tuple[tuple[Guard, ...], Policy]:
    """Guards and their policy from values such as `{"injection": true, "leak": {"letters": 80}}`.

    A guard is true, false, or a mapping of its options; beside them stand `retries` and `refusal`.
    `injection` with `judge: true` asks the given model where it is in doubt. Where something
    `remembers` the person, facts stand in the system text, which `personal` then reads, too, unless
    it is told not to.

    Raises `SettingsError` for what is unknown, of a wrong type or out of range.
    """
    personal = {} if said.get("personal") is True else said.get("personal")
    if remembers and isinstance(personal, Mapping):
        said = {**said, "personal": {"system": True, **personal}}
    policy = {name: said[name] for name in _POLICY if name in said}
    _checked_types(policy, {"retries": int, "refusal": str})
    for name in said:
        if name not in KINDS and name not in _POLICY:
            raise _unknown("guard", name, (*KINDS, *_POLICY), "guards")
    guards = [
        _guard(name, said[name], judge)
        for name in KINDS
        if name in said and said[name] is not False
    ]
    return tuple(_hiding(guards)), Policy(**policy)


def _hiding(guards: Sequence[Guard]) -> Iterator[Guard]:
    """The guards, whose judge sees nothing that is hidden from models."""
    hides = [
        kind
        for guard in guards
        if isinstance(guard, Personal) and guard.action != "note"
        for kind in guard.kinds
    ]
    for guard in guards:
        if isinstance(guard, Injection) and guard.judge is not None:
            guard = replace(guard, judge=replace(guard.judge, hides=tuple(hides)))
        yield guard


def _guard(name: str, said: Any, judge: LM | None) -> Guard:
    if said is True:
        return KINDS[name]()
    if not isinstance(said, Mapping):
        raise SettingsError(
            f"The guard {name} is {said!r}, but it must be true, false or a mapping of its options "
            f"({', '.join(_options(KINDS[name]))}).",
            param=name,
        )
    for option in said:
        if option not in _options(KINDS[name]):
            raise _unknown(f"option of the guard {name}", option, _options(KINDS[name]), name)
    try:
        return _made(name, dict(said), judge)
    except (TypeError, ValueError, AttributeError) as error:  # a list instead of a number
        raise SettingsError(
            f"The guard {name} cannot be made of this: {error}.", param=name
        ) from error


def _made(name: str, options: dict[str, Any], judge: LM | None) -> Guard:
    if "judge" in options:
        options["judge"] = _judge(options["judge"], judge)
    if "kinds" in options:
        options["kinds"] = tuple(options["kinds"])
    types = {field.name: type(field.default) for field in fields(KINDS[name]) if field.init}  # type: ignore[arg-type]
    _checked_types(options, {key: kind for key, kind in types.items() if kind is not type(None)})
    return KINDS[name](**options)


def _judge(said: Any, lm: LM | None) -> Judge | None:
    if said is False:
        return None
    if lm is None:
        raise SettingsError(
            "The guard injection is to ask a judge, but no model was given to be one. Name a "
            "model, or leave judge out.",
            param="judge",
        )
    if said is True:
        return Judge(lm)
    if not isinstance(said, Mapping) or not said.keys() <= {"doubt"}:
        raise SettingsError(
            f"judge is {said!r:.80}, but it must be true, false or {{doubt: NUMBER}}.",
            param="judge",
        )
    return Judge(lm, **said)


def _options(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.init and each.name not in _NOT_SET)


def _checked_types(said: Mapping[str, Any], types: Mapping[str, type]) -> None:
    for name, value in said.items():
        wanted = types.get(name)
        if wanted is None:
            continue
        fine = isinstance(value, (int, float) if wanted is float else wanted)
        if not fine or (isinstance(value, bool) and wanted is not bool):
            raise SettingsError(
                f"{name} is {value!r}, but it must be of type {wanted.__name__}.", param=name
            )


def _unknown(what: str, name: str, known: tuple[str, ...], param: str) -> SettingsError:
    return SettingsError(
        f"There is no {what} {name!r:.80}. {meant(name, known, also=True)}", param=param
    )
