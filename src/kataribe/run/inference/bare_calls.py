"""Calls without the marks of their dialect: a reply that begins with one as JSON.

Some models write calls so whatever their chat template shows: Qwen2.5-Coder puts each into a code
block. What such a reply looks like is said once, here, as rows of signs; `tool_grammar` holds
replies to it and `reply_parser` reads by it. Blanks may stand between any two signs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.run.inference.argument_reader import BLANKS, first_of

_SIGNS: dict[str, tuple[str, ...]] = {
    "f": ("```json", "```JSON", "```"),
    "e": ("```",),
    "n": ('"name"',),
    "a": ('"arguments"', '"parameters"'),
    **{sign: (sign,) for sign in "[]{},:"},
}
"""What a letter of a form stands for; `t` is a tool's name in quotes."""

_OUTER = ("", "[", "{")
"""Around the objects: nothing, a list, or a brace too many, which Qwen's template itself shows."""

_CLOSED = ("", "]", "}")
_NAMED, _CALLED = "{n:", "t,a:"

_ANY = r"[ \t\r\n]*"
_FEW = r"[ \t\r\n]{0,8}"


@dataclass(frozen=True, slots=True)
class Block:
    """One way in which such calls stand: in a code block or not.

    Attributes:
        openings: Forms from the beginning of the reply to the first tool's name.
        betweens: Forms from the end of one call's arguments to the name of the next tool.
        closings: Forms from the end of the last call's arguments to the end of the calls.
    """

    openings: tuple[str, ...]
    betweens: tuple[str, ...]
    closings: tuple[str, ...]


_BETWEENS = tuple(f"}}{between}{_NAMED}" for between in ("", ",", "}{", "},{"))

BARE = Block(
    openings=tuple(outer + _NAMED for outer in _OUTER),
    betweens=_BETWEENS,
    closings=tuple("}" + closed for closed in _CLOSED),
)
"""JSON and nothing around it."""

FENCED = Block(
    openings=tuple("f" + opening for opening in BARE.openings),
    betweens=_BETWEENS
    + tuple(f"}}{closed}ef{outer}{_NAMED}" for closed in _CLOSED for outer in _OUTER),
    closings=tuple(closing + "e" for closing in BARE.closings),
)
"""JSON in a code block, or in several."""

BLOCKS = (BARE, FENCED)


@dataclass(frozen=True, slots=True)
class BareCall:
    """The beginning of a call up to its arguments.

    Attributes:
        name: The tool's name in quotes, as it is written.
        end: Where the arguments begin in the text.
        block: How it stands.
    """

    name: str
    end: int
    block: Block


def in_quotes(name: str) -> str:
    """A tool's name as JSON writes it."""
    return json.dumps(name, ensure_ascii=False)


def opening_pattern(block: Block) -> str:
    """What a reply begins with up to the first tool's name, as an expression.

    Blanks have no limit here: a reply in words may begin with as many.
    """
    return f"{_ANY}{_pattern(block.openings, _ANY)}{_ANY}"


def arguments_pattern() -> str:
    """What stands between a tool's name and its arguments."""
    return f"{_FEW}{_pattern((_CALLED[1:],), _FEW)}{_FEW}"


def between_pattern(block: Block) -> str:
    """What stands between the arguments of one call and the name of the next tool."""
    return f"{_FEW}{_pattern(block.betweens, _FEW)}{_FEW}"


def closing_pattern(block: Block) -> str:
    """What stands behind the last call's arguments."""
    return f"{_FEW}{_pattern(block.closings, _FEW)}{_FEW}"


def first_call(text: str, names: Sequence[str]) -> tuple[BareCall | None, bool]:
    """The call that a reply begins with, and whether its beginning may still come.

    Args:
        text: The reply so far, without thoughts.
        names: Of the tools, in quotes.
    """
    found: BareCall | None = None
    may_grow = False
    for block in BLOCKS:
        call, may_come = _call(text, block, block.openings, names)
        found, may_grow = found or call, may_grow or may_come
    return found, may_grow


def next_call(text: str, block: Block, names: Sequence[str]) -> tuple[BareCall | None, bool]:
    """The same for the call behind one whose arguments have just ended."""
    return _call(text, block, block.betweens, names)


def closing_end(text: str, block: Block) -> tuple[int, bool]:
    """Where the signs behind the last call end in `text`, and whether more of them may come."""
    _, whole, may_grow = _walk(text, block.closings, ())
    _, least, _ = _walk(text, BARE.closings, ())  # a code block that was never closed
    return max(whole, least), may_grow


def _call(
    text: str, block: Block, forms: Sequence[str], names: Sequence[str]
) -> tuple[BareCall | None, bool]:
    name, end, may_grow = _walk(text, [form + _CALLED for form in forms], names)
    if not end:
        return None, may_grow
    arguments = text[end:].lstrip(BLANKS)
    if not arguments:  # blanks before them are no part of them
        return None, True
    return BareCall(name, len(text) - len(arguments), block), False


def _walk(text: str, forms: Sequence[str], names: Sequence[str]) -> tuple[str, int, bool]:
    """Reads the longest form that `text` begins with.

    Returns:
        The tool's name in it, where it ends (0: there is none), and whether a longer one may come.
    """
    told, at, name, end = "", 0, "", 0
    while True:
        if told in forms:
            end = at
        following = {form[len(told)] for form in forms if form.startswith(told) and form != told}
        signs = {
            sign: kind
            for kind in sorted(following)
            for sign in (names if kind == "t" else _SIGNS[kind])
        }
        rest = text[at:].lstrip(BLANKS)
        found, may_grow = first_of(rest, list(signs))
        if found is None or may_grow:
            return name, end, may_grow
        told += signs[found]
        name = found if signs[found] == "t" else name
        at = len(text) - len(rest) + len(found)


def _pattern(forms: Sequence[str], blanks: str) -> str:
    """An expression for any of the forms, with blanks between their signs."""
    return f"({'|'.join(blanks.join(map(_sign, form)) for form in forms)})"


def _sign(kind: str) -> str:
    told = "|".join(map(re.escape, _SIGNS[kind]))
    return f"({told})" if len(_SIGNS[kind]) > 1 else told
