"""A Python function with types and a docstring becomes a tool."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from kataribe.base.errors import BusyError, InputError, KataribeError
from kataribe.base.lm import ToolSpec
from kataribe.base.tool_answers import as_text

MOST_LEFT_RUNNING = 8
"""Threads of one tool that were given up and still run; a thread cannot be stopped from outside."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ARGUMENT = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


class FunctionTool:
    """A tool that is a function; `function_tool` makes it.

    Whatever the function raises comes out as a `KataribeError` that says what it was.
    """

    def __init__(
        self, spec: ToolSpec, model: type[BaseModel], function: Callable[..., object]
    ) -> None:
        self._spec = spec
        self._model = model
        self._function = function
        self._running: set[threading.Thread] = set()

    @property
    def spec(self) -> ToolSpec:
        """How a model sees it."""
        return self._spec

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Checks the arguments, calls the function and gives its answer as text.

        A function that is not `async` runs in a thread of its own. Raises `InputError` for
        arguments that do not fit, `BusyError` when too many calls of it hang.
        """
        named = self._checked(arguments)
        keep = _Kept()
        value: object = None
        if _is_async(self._function):
            with keep:
                value = self._function(**named)
        else:
            value, keep = await self._in_thread(named)
        if keep.error is None and inspect.isawaitable(value):
            with keep:
                value = await value
        if isinstance(keep.error, KataribeError):
            raise keep.error
        if keep.error is not None:
            raise KataribeError(
                f"{self._spec.name} failed with {type(keep.error).__name__}: {keep.error}"
            ) from keep.error
        return as_text(value)

    def _checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = self._model.model_validate(dict(arguments))
        except ValidationError as error:
            raise InputError(
                f"The arguments of {self._spec.name} do not fit: {_complaints(error)}. Its "
                f"parameters are {_listed(self._spec)}.",
                param="arguments",
            ) from error
        fields = type(found).model_fields
        return {
            str(field.alias): getattr(found, name)
            for name, field in fields.items()
            if name in found.model_fields_set
        }

    async def _in_thread(self, named: Mapping[str, Any]) -> tuple[object, _Kept]:
        self._running = {thread for thread in self._running if thread.is_alive()}
        if len(self._running) >= MOST_LEFT_RUNNING:
            raise BusyError(
                f"{len(self._running)} earlier calls of {self._spec.name} still run; it may hang. "
                "Go on without it, or try again later.",
                retry_after=30.0,
            )
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[tuple[object, _Kept]] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            # Nothing from a thread is a wish to end the program or the call: whatever the function
            # raises is its answer, or the call would wait for one until its time is over.
            keep = _Kept(everything=True)
            value: object = None
            with keep:
                value = context.run(self._function, **named)
            with _LoopIsClosed():
                loop.call_soon_threadsafe(_answer, answered, (value, keep))

        # A daemon: one that hangs must not hold up the end of the program.
        thread = threading.Thread(target=work, name=f"tool-{self._spec.name}", daemon=True)
        self._running.add(thread)
        thread.start()
        return await answered


def _answer(future: asyncio.Future[tuple[object, _Kept]], found: tuple[object, _Kept]) -> None:
    if not future.done():  # given up meanwhile
        future.set_result(found)


class _Kept:
    """Keeps an error of somebody else's function, to be told; its wish to end the program, too.

    In the event loop, where cancelling and Ctrl-C arrive, these pass; `everything` keeps them.
    """

    def __init__(self, *, everything: bool = False) -> None:
        self.error: BaseException | None = None
        self._passes: tuple[type[BaseException], ...] = () if everything else _ENDS

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        if isinstance(error, self._passes):
            return False
        self.error = error
        return True


_ENDS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


class _LoopIsClosed:
    """The program has gone on without the answer, and its event loop is closed."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        return isinstance(error, RuntimeError)


def function_tool(
    function: Callable[..., object] | Callable[..., Awaitable[object]],
    *,
    name: str | None = None,
    description: str | None = None,
) -> FunctionTool:
    """The tool that calls this function.

    The parameters' types become a JSON schema (pydantic reads them), the docstring's first part
    the description, the lines of its `Args:` (Google's style) the descriptions of the parameters.
    The function answers with text or with what JSON can hold. An object with `__call__` is as good
    as a function, and so is a `functools.partial`: what it settles is no parameter any more.
    Raises `InputError` for a function whose parameters cannot be described.
    """
    called = _unbound(function)
    shown = str(name or getattr(called, "__name__", type(called).__name__))
    if not _NAME.fullmatch(shown):
        raise InputError(
            f"A tool is called {shown!r}, but names have 1 to 64 letters, digits, '_' or '-'. "
            "Give one with name=.",
            param="name",
        )
    words, told = _read_docstring(_docstring(function))
    try:
        fields = _fields(shown, function, told)
        model = create_model(shown, __config__=ConfigDict(extra="forbid"), **fields)
        schema = _untitled(model.model_json_schema(by_alias=True))
    except (PydanticUserError, NameError, TypeError, ValueError) as error:
        raise InputError(
            f"The tool {shown} has a parameter whose type JSON cannot describe: {error}"
        ) from error
    schema.setdefault("properties", {})
    schema.pop("description", None)
    spec = ToolSpec(shown, description if description is not None else words, schema)
    return FunctionTool(spec, model, function)


def _is_async(function: Callable[..., object]) -> bool:
    """Whether calling it gives something to wait for."""
    return inspect.iscoroutinefunction(_routine(function))


def _unbound(function: Callable[..., object]) -> Callable[..., object]:
    """What a `functools.partial` calls in the end."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _routine(function: Callable[..., object]) -> Callable[..., object]:
    """What holds the types of something that can be called."""
    function = _unbound(function)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return cast(Callable[..., object], type(function).__call__)


def _docstring(function: Callable[..., object]) -> str:
    """The words of a function; of an object those of its `__call__`, else of its class."""
    function, routine = _unbound(function), _routine(function)
    if routine is not function and routine.__doc__:
        return inspect.cleandoc(routine.__doc__)
    return inspect.getdoc(function) or ""


def _settled(function: Callable[..., object]) -> frozenset[str]:
    """Parameters that a `functools.partial` gives by name: a model must not change them."""
    settled: set[str] = set()
    while isinstance(function, functools.partial):
        settled |= set(function.keywords)
        function = function.func
    return frozenset(settled)


def _fields(name: str, function: Callable[..., object], told: Mapping[str, str]) -> dict[str, Any]:
    hints = get_type_hints(_routine(function), include_extras=True)
    fields: dict[str, Any] = {}
    settled = _settled(function)
    wanted = inspect.signature(function).parameters.values()
    for place, parameter in enumerate(each for each in wanted if each.name not in settled):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InputError(
                f"The tool {name} has the parameter {parameter}; a model can only name parameters, "
                "so there can be no *args, **kwargs or positional-only ones."
            )
        if parameter.name not in hints:
            raise InputError(
                f"The tool {name} has the parameter {parameter.name!r} without a type. Annotate it."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        # By alias, since a parameter may be called as something that models of pydantic have.
        field: FieldInfo = Field(
            default, alias=parameter.name, description=told.get(parameter.name)
        )
        fields[f"p{place}"] = (hints[parameter.name], field)
    return fields


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The words before the first section, and the description of each argument."""
    before, *_ = re.split(r"\n\s*\n?(?:Args|Arguments|Returns|Raises|Yields|Example)s?:\s*\n", text)
    told: dict[str, str] = {}
    found = re.search(r"\n?Arg(?:ument)?s:\s*\n(.*?)(?:\n\s*\n|\n\S|\Z)", text, re.DOTALL)
    last = None
    indent = 0
    for line in found.group(1).splitlines() if found else ():
        depth = len(line) - len(line.lstrip())
        argument = _ARGUMENT.fullmatch(line)
        if argument and (last is None or depth <= indent):
            last, indent = argument.group(1), depth
            told[last] = argument.group(2).strip()
        elif last is not None:
            told[last] = f"{told[last]} {line.strip()}".strip()
    return " ".join(before.split()), told


def _untitled(schema: Any) -> Any:
    """A schema without the titles that pydantic adds: a model pays for each of their tokens."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {}
    for key, value in schema.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            cleaned[key] = {name: _untitled(each) for name, each in value.items()}
        elif key in ("default", "enum", "const", "examples"):
            cleaned[key] = value
        elif not (key == "title" and isinstance(value, str)):
            cleaned[key] = _untitled(value)
    return cleaned


def _complaints(error: ValidationError) -> str:
    told = []
    for each in error.errors(include_url=False, include_context=False)[:5]:
        where = ".".join(str(part) for part in each["loc"]) or "arguments"
        given = "" if each["type"] == "missing" else f" (given: {str(each['input'])[:80]!r})"
        told.append(f"{where}: {each['msg']}{given}")
    return "; ".join(told)


def _listed(spec: ToolSpec) -> str:
    needed = spec.parameters.get("required", ())
    names = [
        name if name in needed else f"{name} (optional)" for name in spec.parameters["properties"]
    ]
    return ", ".join(names) or "none"
