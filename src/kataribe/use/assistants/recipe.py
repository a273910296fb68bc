"""A recipe: what an assistant is, as its YAML file says it.

    title: {en: Translator, ja: 翻訳}
    model: smollm2-135m
    system: Translate between Japanese and English.
    guards: {repetition: true}
    sampling: {temperature: 0}

Reading checks what can be checked without a model: names of fields, kinds, ranges. Everything in
it is plain data, so that a page can edit it and a file can be shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from kataribe.base.errors import FormatError, InputError, KataribeError
from kataribe.base.lm import Sampling
from kataribe.base.nearness import meant

LONGEST = 1 << 18
"""Bytes of a recipe's file."""


class _Plain(yaml.SafeLoader):
    """Reads values only. A few aliases of aliases would be gigabytes, and no recipe needs any."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="an alias (*name) stands here; write the value out", problem_mark=mark
            )
        return super().compose_node(parent, index)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InTwoLanguages(_Strict):
    """Words for people who read English or Japanese; the one that is missing is the other."""

    en: str = ""
    ja: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"en": value, "ja": value} if isinstance(value, str) else value

    def in_language(self, language: str) -> str:
        """The words for `ja`, or for anybody else."""
        first, second = (self.ja, self.en) if language.startswith("ja") else (self.en, self.ja)
        return first or second


class Named(_Strict):
    """A technique or tool with options: `calculator`, or `{name: files, options: {...}}`."""

    name: str = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)
    approval: Literal["always", "ask", "never"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Drawn(_Strict):
    """How tokens are drawn where the request says nothing; ranges as in `base.lm.Sampling`."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float = 0.0
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    max_tokens: int | None = None

    def sampling(self) -> Sampling:
        """The same as requests have it; raises `InputError` for what is out of range."""
        return Sampling(**self.model_dump())


class Limit(_Strict):
    """What one reply may use, with everything that it causes."""

    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    dollars: float | None = Field(default=None, ge=0)


class Rule(_Strict):
    """When a request goes to a model: every condition that is given must hold.

    Attributes:
        model: Where it goes.
        words: One of these stands in the question, whatever their case.
        pattern: A regular expression that is found in it.
        language: Of the question, such as `ja` or `en`.
        longer: It has more characters than this.
        images: It has, or has not, a picture.
        tools: The request brings, or does not bring, tools.
    """

    model: str = Field(min_length=1)
    words: tuple[str, ...] = ()
    pattern: str = ""
    language: str = ""
    longer: int | None = Field(default=None, ge=0)
    images: bool | None = None
    tools: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_lists(cls, value: Any) -> Any:
        return _tuples(value, "words")

    @model_validator(mode="after")
    def _says_when(self) -> Rule:
        if not any((self.words, self.pattern, self.language)) and (
            self.longer is self.images is self.tools is None
        ):
            raise ValueError("says no condition; a rule without one belongs into default")
        return self


class Route(_Strict):
    """A router: rules first, in their order; then what was learned; then the default.

    Attributes:
        default: Where everything else goes.
        rules: See there.
        learned: A file beside the recipe that `kataribe assistants learn` made. It may choose any
            model that stands here.
        among: Further models that it may choose, which no rule names.
        sure: How likely the learned choice must be to be taken.
    """

    default: str = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    learned: str = ""
    among: tuple[str, ...] = ()
    sure: float = Field(default=0.6, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _from_lists(cls, value: Any) -> Any:
        return _tuples(value, "rules", "among")

    def models(self) -> tuple[str, ...]:
        """All that are named, each once."""
        ruled = (rule.model for rule in self.rules)
        return tuple(dict.fromkeys((*ruled, *self.among, self.default)))


class Check(_Strict):
    """A question whose reply is looked at by `kataribe assistants test`.

    Attributes:
        ask: The question.
        contains: All of these stand in the reply, whatever their case.
        lacks: None of these does.
        matches: A regular expression that is found in it.
        json_of: The reply is JSON of this schema.
    """

    ask: str = Field(min_length=1)
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: str = ""
    json_of: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_lists(cls, value: Any) -> Any:
        return _tuples(value, "contains", "lacks")


class Recipe(_Strict):
    """An assistant.

    Attributes:
        title: What people see.
        about: What it is for, in a sentence or two.
        model: Who answers: a model here, a hosted one (`openai:NAME`), or another assistant.
        router: In the place of `model`: several, one of which is chosen for each request.
        system: What it is told before every conversation.
        technique: How it is asked; see `kataribe prompts list`.
        tools: What it may use; see `kataribe assistants tools`.
        approval: Of tools that say nothing themselves.
        memory: It remembers facts about the person it talks with.
        guards: See `use.guards.settings`; what is left out is off, `standard: true` begins with
            the usual ones.
        sampling: How tokens are drawn.
        limits: What one reply may use.
        starters: Questions to begin with.
        tests: What must hold of its replies.
    """

    title: InTwoLanguages = Field(default_factory=InTwoLanguages)
    about: InTwoLanguages = Field(default_factory=InTwoLanguages)
    model: str = ""
    router: Route | None = None
    system: str = ""
    technique: Named | None = None
    tools: tuple[Named, ...] = ()
    approval: Literal["always", "ask", "never"] = "ask"
    memory: bool = False
    guards: dict[str, Any] = Field(default_factory=dict)
    sampling: Drawn = Field(default_factory=Drawn)
    limits: Limit = Field(default_factory=Limit)
    starters: tuple[InTwoLanguages, ...] = ()
    tests: tuple[Check, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_lists(cls, value: Any) -> Any:
        return _tuples(value, "tools", "starters", "tests")

    @model_validator(mode="after")
    def _has_one_model(self) -> Recipe:
        if self.model and self.router is not None:
            raise ValueError("has a model and a router; leave out one of them")
        return self

    def models(self) -> tuple[str, ...]:
        """The models and assistants that it may ask; empty for the server's default model."""
        if self.router is not None:
            return self.router.models()
        return (self.model,) if self.model else ()


def read_recipe(text: str, where: str) -> Recipe:
    """The recipe of a file's text; `where` names it in errors.

    Raises `FormatError` for what is no YAML, and `InputError` naming the field (with near names),
    its value and what it may be.
    """
    return recipe_of(read_plain(text, where), where)


def read_plain(text: str, where: str) -> Any:
    """The plain values of a file's text; raises `FormatError` for what is no YAML."""
    value = _loaded(text, where, _value)
    return {} if value is None else value


def read_node(text: str, where: str) -> yaml.Node | None:
    """The same with the places where everything stands; None for an empty text."""
    found: yaml.Node | None = _loaded(text, where, _node)
    return found


def recipe_of(value: Any, where: str) -> Recipe:
    """The recipe that plain values make; raises as `read_recipe` does."""
    for fault in faults_of(value, where):
        raise fault
    return Recipe.model_validate(dict(value))


def faults_of(value: Any, where: str) -> tuple[KataribeError, ...]:
    """All that `recipe_of` would refuse, each with its place as `param`."""
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        return (FormatError(f"{where} is a {kind}, but a recipe has fields such as `model:`."),)
    try:
        recipe = Recipe.model_validate(dict(value))
        recipe.sampling.sampling()
    except ValidationError as error:
        return tuple(_explained(each, where) for each in error.errors(include_url=False))
    except InputError as error:
        place = f"sampling.{error.param}" if error.param in Drawn.model_fields else "sampling"
        return (InputError(f"{where}: sampling: {error.message}", param=place),)
    return ()


def written(recipe: Recipe) -> str:
    """The recipe as a file's text; `read_recipe` gives an equal one back."""
    return dumped(recipe.model_dump(mode="json", exclude_defaults=True))


def dumped(plain: Mapping[str, Any]) -> str:
    """Plain values as YAML; a text of several lines stands as such.

    Raises `InputError` for what is nested too deeply to be written.
    """
    try:
        return yaml.dump(
            dict(plain), Dumper=_Legible, allow_unicode=True, sort_keys=False, width=100
        )
    except RecursionError:
        raise InputError("The recipe is nested too deeply to be written.") from None


class _Legible(yaml.SafeDumper):
    """Writes a text of several lines as it is read, below `|`."""

    def represent_scalar(self, tag: str, value: Any, style: str | None = None) -> yaml.ScalarNode:
        if isinstance(value, str) and "\n" in value:
            style = "|"
        return super().represent_scalar(tag, value, style)


def _loaded(text: str, where: str, load: Callable[[str], Any]) -> Any:
    if len(text.encode("utf-8", "replace")) > LONGEST:
        raise FormatError(f"{where} has more than {LONGEST} bytes; a recipe is a short text.")
    try:
        return load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise FormatError(f"{where} is no YAML{line}: {problem}.") from error


def _value(text: str) -> Any:
    return yaml.load(text, _Plain)  # noqa: S506 - a safe loader


def _node(text: str) -> yaml.Node | None:
    return yaml.compose(text, _Plain)


def _explained(first: ErrorDetails, where: str) -> InputError:
    place = [step for step in first["loc"] if not str(step).startswith("function-")]
    path = ".".join(str(step) for step in place)
    if first["type"] == "extra_forbidden":
        fields = sorted(_fields_at(place[:-1]))
        hint = meant(str(place[-1]), fields)
        return InputError(f"{where} has {path}, which no recipe has. {hint}", param=path)
    problem = first["msg"].removeprefix("Value error, ")
    shown = repr(first["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    if first["type"] == "value_error":
        return InputError(f"{where}: {path or 'the recipe'} {problem}.", param=path or None)
    return InputError(f"{where}: {path} is {shown}: {problem}.", param=path)


def _fields_at(place: list[Any]) -> set[str]:
    """The fields of the part of a recipe that a path leads to."""
    kinds: dict[str, type[BaseModel]] = {
        "title": InTwoLanguages, "about": InTwoLanguages, "starters": InTwoLanguages,
        "technique": Named, "tools": Named, "sampling": Drawn, "limits": Limit, "router": Route,
        "rules": Rule, "tests": Check,
    }  # fmt: skip
    found: type[BaseModel] = Recipe
    for step in place:
        found = kinds.get(str(step), found)
    return set(found.model_fields)


def _tuples(value: Any, *names: str) -> Any:
    """Lists, as files have them, become tuples, which nobody can change."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: tuple(item) if key in names and isinstance(item, list) else item
        for key, item in value.items()
    }
