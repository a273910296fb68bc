"""The grammar of a reply that may or must call tools (llguidance's Lark notation).

Whatever a model writes under it, a call it makes is well formed, names a tool that was offered, and
has arguments that follow the tool's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kataribe.base.errors import (
    ConstraintError,
    ContextLengthError,
    InputError,
    UnsupportedError,
)
from kataribe.base.lm import (
    GrammarFormat,
    JsonFormat,
    Request,
    ResponseFormat,
    TextFormat,
    ToolChoice,
    ToolSpec,
)
from kataribe.run.inference.argument_grammar import ArgumentGrammar, Rules, quoted
from kataribe.run.inference.argument_schemas import arguments_of
from kataribe.run.inference.bare_calls import (
    BLOCKS,
    Block,
    arguments_pattern,
    between_pattern,
    closing_pattern,
    in_quotes,
    opening_pattern,
)
from kataribe.run.inference.dialects import ID_LENGTH, MOST_CALLS, THINK, UNTHINK, ToolDialect
from kataribe.run.inference.equivalents import in_other_words
from kataribe.run.inference.schema_bounds import Bounds

_TEXT = r"/(.|\n)*/"
_BLANKS = r"/[ \t\r\n]{0,8}/"

Thought = Literal["none", "may", "open"]
"""Whether a thought comes before the reply: never, perhaps, or it was opened by the prompt."""


@dataclass(frozen=True, slots=True)
class ToolGrammar(GrammarFormat):
    """A grammar of ours around the schemas of tools, and of a reply that calls none.

    Attributes:
        tools: Whose parameters stand in the grammar.
        otherwise: The form of a reply that calls none, where that stands in the grammar too.
        closers: Texts that end free texts in it.
    """

    param: str = field(default="tools", compare=False)
    tools: tuple[ToolSpec, ...] = ()
    otherwise: JsonFormat | None = None
    closers: tuple[str, ...] = ()


def form_of(
    request: Request,
    dialect: ToolDialect,
    thought: Thought,
    control_token: Callable[[str], int | None],
) -> ResponseFormat:
    """The constraint of a request with tools; see `tool_format`."""
    return tool_format(
        dialect,
        request.tools,
        request.tool_choice,
        request.response_format,
        at_most=MOST_CALLS if request.parallel_tool_calls else 1,
        thought=thought,
        control_token=control_token,
    )


def check_room(request: Request, prompt: int, least: int, context: int) -> None:
    """Refuses what could only be cut.

    Args:
        request: With tools.
        prompt: Tokens of the prompt.
        least: Tokens of the shortest reply that its form allows.
        context: Tokens that prompt and reply may have together.

    Raises:
        InputError: `max_tokens` is less.
        ContextLengthError: The context does not leave as much.
    """
    wanted = request.sampling.max_tokens
    if wanted is not None and wanted < least:
        raise InputError(
            f"max_tokens is {wanted}, but the shortest reply that these tools allow takes {least} "
            "tokens. Allow more, or do not require a call.",
            param="max_tokens",
        )
    if prompt + least > context:
        raise ContextLengthError(prompt, context, reply_tokens=least)


def bare_tools(request: Request) -> tuple[ToolSpec, ...]:
    """The tools that a reply may call as JSON without its dialect's marks (`bare_calls`).

    None where a schema for the reply stands beside them: such JSON is the reply then.
    """
    if not isinstance(request.response_format, TextFormat):
        return ()
    return tuple(_allowed(request.tools, request.tool_choice))


def tool_format(
    dialect: ToolDialect,
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    otherwise: ResponseFormat,
    *,
    at_most: int = MOST_CALLS,
    thought: Thought = "none",
    control_token: Callable[[str], int | None] = lambda _: None,
) -> ResponseFormat:
    """The constraint under which a reply that may or must call `tools` is written.

    `otherwise` is the format of a reply that calls none. A `thought` (`<think>`) may come before
    calls and plain text only; nothing in it counts as a call. `control_token` gives the id of a
    control token with that text: such a token is named in the grammar by its id. Where the model
    may answer in words, it may also call without its dialect's marks (`bare_calls`).

    Raises:
        ConstraintError: A tool's schema asks for what the dialect's syntax cannot be held to.
        UnsupportedError: The other format cannot stand beside tools.
    """
    allowed = _allowed(tools, choice)
    if choice.mode == "none" or not allowed:
        return otherwise
    is_free = choice.mode not in ("required", "function")
    beside = otherwise if is_free and isinstance(otherwise, JsonFormat) else None
    rules = Rules(control_token, beside_json=beside is not None)
    at_most = min(at_most, dialect.most_calls)
    calls = _calls(dialect, allowed, rules, at_most)
    may_be_bare = is_free and beside is None and dialect.reads_bare
    if is_free:
        bare = [_bare(block, allowed, rules, at_most) for block in BLOCKS if may_be_bare]
        start = _optional(dialect, otherwise, rules, calls, bare)
    else:
        start = [f"reply: {rules.literal(dialect.trigger)} {calls}"]
    start += _texts(dialect, allowed, thought, rules, may_be_bare=may_be_bare)
    start += _thoughtful(thought, rules, is_free=is_free)
    grammar = "\n".join(["%llguidance {}", *start, *rules.lines]) + "\n"
    return ToolGrammar(
        grammar, tools=tuple(allowed), otherwise=beside, closers=_closers(dialect, thought)
    )


def _allowed(tools: Sequence[ToolSpec], choice: ToolChoice) -> list[ToolSpec]:
    return [tool for tool in tools if not choice.names or tool.name in choice.names]


def _texts(
    dialect: ToolDialect,
    tools: Sequence[ToolSpec],
    thought: Thought,
    rules: Rules,
    *,
    may_be_bare: bool,
) -> list[str]:
    """The terminal for a reply's words: they begin neither as a call does nor as a thought."""
    starts = [] if dialect.trigger else dialect.starts([tool.name for tool in tools])
    if thought == "may" and rules.token(THINK) is None:
        starts.append(THINK)
    other = f" & ~(/\\s*/ ({' | '.join(map(quoted, starts))}) {_TEXT})" if starts else ""
    if may_be_bare:
        openings = " | ".join(f"/{opening_pattern(block)}/" for block in BLOCKS)
        names = " | ".join(quoted(in_quotes(tool.name)) for tool in tools)
        other += f" & ~(({openings}) ({names}) {_TEXT})"
    return [f"TEXT: {_TEXT}{other}"]


def _thoughtful(thought: Thought, rules: Rules, *, is_free: bool) -> list[str]:
    """The first rule: the reply, perhaps with a thought before it."""
    if thought == "none":
        return ["start: reply"]
    told = f"({_TEXT}) & ~({_TEXT} {quoted(UNTHINK)} {_TEXT})"
    if rules.token(UNTHINK) is None:
        # Blanks belong to it, not to the words behind: the lexer would not give them back.
        inside = rules.add(f"({told}) {quoted(UNTHINK)} {_BLANKS}", terminal=True)
    else:
        blanks = "" if is_free else _BLANKS
        inside = f"{rules.add(told, terminal=True)} {rules.literal(UNTHINK)} {blanks}"
    if thought == "open":
        return [f"start: {inside} reply"]
    return [f"start: reply | {_BLANKS} {rules.literal(THINK)} {inside} reply"]


def _closers(dialect: ToolDialect, thought: Thought) -> tuple[str, ...]:
    """Texts that end a free text: a string or what stands for one, and a thought."""
    told = dialect.notation
    found = ['"'] if told is None else [told.value_close, told.quote]
    if thought != "none":
        found.append(UNTHINK)
    return tuple(closer for closer in found if closer)


def _calls(dialect: ToolDialect, tools: Sequence[ToolSpec], rules: Rules, at_most: int) -> str:
    """What stands between the trigger and the end of the reply."""
    first, other = (
        rules.add(" | ".join(_call(dialect, tool, rules, lead) for tool in tools))
        for lead in (dialect.lead, "")
    )
    between, closing = rules.literal(dialect.between), rules.literal(dialect.closing)
    more = f" ({between} {other}){{0,{at_most - 1}}}" if at_most > 1 else ""
    return rules.add(f"{first}{more} {closing}")


def _call(dialect: ToolDialect, tool: ToolSpec, rules: Rules, lead: str) -> str:
    before, own_id, behind = dialect.head_of(tool.name)
    # One piece up to the name: where words may stand instead, it must not end before they differ.
    head = [rules.literal(lead + before), rules.literal(behind)]
    head[1:1] = [f"/[A-Za-z0-9]{{{ID_LENGTH}}}/"] if own_id else []
    try:
        arguments = _arguments(dialect, arguments_of(tool), rules)
    except ConstraintError as error:
        message = f"The parameters of tool {tool.name!r} cannot be used. {error.message}"
        raise ConstraintError(message, param="tools") from None
    return rules.add(" ".join([*head, arguments, rules.literal(dialect.tail)]))


def _bare(block: Block, tools: Sequence[ToolSpec], rules: Rules, at_most: int) -> str:
    """Calls without the dialect's marks, from the beginning of the reply to its end."""
    opening = rules.add(f"/{opening_pattern(block)}/", terminal=True)
    between = rules.add(f"/{between_pattern(block)}/", terminal=True)
    closing = rules.add(f"/{closing_pattern(block)}/", terminal=True)
    told = rules.add(f"/{arguments_pattern()}/", terminal=True)
    firsts, others = [], []
    for tool in tools:
        name = quoted(in_quotes(tool.name))
        # One terminal up to the name, at whose end this stops being a text.
        head = rules.add(f"{opening} {name}", terminal=True)
        rest = rules.add(f"{told} {_json(arguments_of(tool), rules)}")
        firsts.append(f"{head} {rest}")
        others.append(f"{name} {rest}")
    first, other = (rules.add(" | ".join(ways)) for ways in (firsts, others))
    more = f" ({between} {other}){{0,{at_most - 1}}}" if at_most > 1 else ""
    return rules.add(f"{first}{more} {closing}")


def _arguments(dialect: ToolDialect, schema: Mapping[str, Any], rules: Rules) -> str:
    if dialect.notation is None:
        return _json(schema, rules)
    Bounds().visit(schema)  # what follows goes as deep as the schema
    return ArgumentGrammar(dialect.notation, in_other_words(schema), rules).write()


def _json(schema: Mapping[str, Any], rules: Rules) -> str:
    Bounds().visit(schema)
    return rules.json(in_other_words(schema))


def _optional(
    dialect: ToolDialect,
    otherwise: ResponseFormat,
    rules: Rules,
    calls: str,
    bare: Sequence[str],
) -> list[str]:
    """The rules of a reply that calls tools or does not, as the model likes.

    `bare` are the rules of calls without the dialect's marks.
    """
    if isinstance(otherwise, JsonFormat):
        trigger = rules.literal(dialect.trigger)
        try:
            form = _json(otherwise.schema or {}, rules)
        except ConstraintError as error:
            error.param = otherwise.param
            raise
        return [f"reply: {trigger} {calls} | {form}"]
    if not isinstance(otherwise, TextFormat):
        raise UnsupportedError(
            "Tools cannot be combined with a regular expression or grammar for the reply; "
            "use a JSON schema, or leave one of the two out.",
            param=otherwise.param,
        )
    if not dialect.trigger:
        return [f"reply: {calls} | TEXT"]
    control = rules.token(dialect.trigger)
    head = f"[lazy]: TEXT {quoted(dialect.trigger)}" if control is None else f": TEXT <[{control}]>"
    return [
        f"reply: {' | '.join([f'head {calls}', 'tail', *bare])}",
        f"head{head}",
        "tail: TEXT",
    ]
