"""The final answer in a reply: a number, the letter of a choice, JSON or words.

Replies that mean the same say it in many ways ("$1,234.00", "1234 dollars", "答えは1234です"). For
a vote or a score they are brought into one normal form. The words that techniques ask for stand
behind "Answer:" ("答え:"); GSM8K's own solutions write "####" (Cobbe et al. 2021).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kataribe.use.prompts.json_in_text import last_json
from kataribe.use.prompts.numbers_in_text import numbers_in

Kind: TypeAlias = Literal["number", "choice", "json", "text"]
Wanted: TypeAlias = Kind | Literal["auto"]

LETTERS = ("A", "B", "C", "D", "E")

_MARK = re.compile(
    r"####"
    r"|\b(?:final\s+)?answer\b(?:\s*\*{0,2}\s*[:：]|\s+is\b\s*[:：]?)"
    r"|(?:答え|解答|回答|正解)(?:\s*\*{0,2}\s*[:：]|\s*は\s*[、:：]?)",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s*\{")
_AROUND = " \t\r\n*_`\"'“”‘’「」『』$"
_ENDS = ".。!！"
_POLITE = re.compile(r"(?:です|でした|である|だ|(?:と|に)なります)$")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply comes to.

    Attributes:
        written: As it stands in the reply.
        normal: What answers that mean the same have in common.
        kind: What it is.
    """

    written: str
    normal: str
    kind: Kind


def final_answer(
    text: str, wanted: Wanted = "auto", choices: Sequence[str] = LETTERS
) -> Answer | None:
    """The last answer in a reply; None where there is none of the wanted kind.

    Args:
        text: The reply's words.
        wanted: The kind. `auto` takes what stands where an answer is looked for: JSON where the
            whole reply is JSON, a letter standing alone, a single number with its unit, or words.
        choices: The letters (or other short labels) of the choices.
    """
    match wanted:
        case "number":
            return _number(text)
        case "choice":
            return _choice(text, choices)
        case "json":
            return _json(text)
        case "text":
            return _words(_place(text))
        case "auto":
            return _any(text, choices)


def has_answer(text: str) -> bool:
    """Whether a reply says that something is its answer."""
    return bool(_tails(text) or _boxed(text))


def same_answer(reply: str, gold: str, wanted: Wanted = "auto") -> bool:
    """Whether a reply comes to what a solution comes to; no answer is never the same."""
    found, right = final_answer(reply, wanted), final_answer(gold, wanted)
    return found is not None and right is not None and found.normal == right.normal


def _tails(text: str) -> list[str]:
    """What stands behind each mark of an answer, the last one first; empty ones left out."""
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    tails = []
    for mark, end in zip(marks, ends, strict=False):  # without a mark there is still an end
        lines = [line for line in text[mark.end() : end].splitlines() if line.strip(_AROUND)]
        tails += [_boxed(lines[0]) or lines[0].strip()] if lines else []
    return tails[::-1]


def _boxed(text: str) -> str | None:
    """What stands in the last box of LaTeX (`boxed{...}`), braces inside it counted."""
    found = None
    for mark in _BOXED.finditer(text):
        depth = 1
        for at in range(mark.end(), len(text)):
            depth += (text[at] == "{") - (text[at] == "}")
            if depth == 0:
                found = text[mark.end() : at].strip() or found
                break
    return found


def _place(text: str) -> str:
    """The piece of a reply where an answer stands: behind a mark, in a box, or the last line."""
    tails = _tails(text)
    if tails:
        return tails[0]
    if _MARK.search(text):
        return ""  # the reply was cut just before its answer
    boxed = _boxed(text)
    if boxed:
        return boxed
    lines = [line.strip() for line in text.splitlines() if line.strip(_AROUND)]
    return lines[-1] if lines else ""


def _number(text: str) -> Answer | None:
    places = _tails(text)
    if not places and _MARK.search(text):
        return None
    boxed = _boxed(text)
    for place in (*places, *([boxed] if boxed else [])):
        found = numbers_in(place.rpartition("=")[2]) or numbers_in(place)
        if found:
            return Answer(found[0].written, found[0].normal, "number")
    every = numbers_in(text)
    return Answer(every[-1].written, every[-1].normal, "number") if every else None


def _choice(text: str, choices: Sequence[str]) -> Answer | None:
    for place in _tails(text):
        found = _letter(place, choices)
        if found is not None:
            return found
    plain = unicodedata.normalize("NFKC", text).strip()
    first = _letter_first(plain, choices)
    inside = re.findall(rf"\(({_any_of(choices)})\)", plain)
    if inside and (first is None or plain.startswith("(")):  # several may be weighed: the last
        return Answer(inside[-1], inside[-1], "choice")
    return first


def _letter(place: str, choices: Sequence[str]) -> Answer | None:
    """A choice in the words behind a mark: in brackets, else first, else standing alone."""
    plain = unicodedata.normalize("NFKC", place)
    any_of = _any_of(choices)
    inside = re.search(rf"\(({any_of})\)", plain)
    if inside:
        return Answer(inside[1], inside[1], "choice")
    first = _letter_first(plain, choices)
    if first is not None:
        return first
    for alone in re.finditer(rf"(?<![A-Za-z0-9])({any_of})(?![A-Za-z0-9'])", plain):
        if alone[1] != "A" or not re.match(r"\s+[a-z]", plain[alone.end() :]):  # the article
            return Answer(alone[1], alone[1], "choice")
    return None


def _letter_first(plain: str, choices: Sequence[str]) -> Answer | None:
    """A choice that begins the words and is set apart, or is all there is (in any case)."""
    bare = plain.strip(_AROUND + _ENDS)
    for choice in choices:
        if bare.casefold().strip("()") == choice.casefold():
            return Answer(choice, choice, "choice")
    found = re.match(
        rf"\(?({_any_of(choices)})(?:\)|[:、]|\.(?=\s|$)|\*\*|\s*$|で|だ)", plain.lstrip(_AROUND)
    )
    return Answer(found[1], found[1], "choice") if found else None


def _any_of(choices: Sequence[str]) -> str:
    return "|".join(re.escape(choice) for choice in sorted(choices, key=len, reverse=True))


def _json(text: str) -> Answer | None:
    found = last_json(text)
    return None if found is None else Answer(found.written, found.normal, "json")


def _words(place: str) -> Answer | None:
    written = place.strip(_AROUND).rstrip(_ENDS).strip(_AROUND)
    written = _POLITE.sub("", written).strip(_AROUND) or written
    normal = " ".join(unicodedata.normalize("NFKC", written).casefold().split())
    return Answer(written, normal, "text") if normal else None


def _any(text: str, choices: Sequence[str]) -> Answer | None:
    whole = last_json(text)
    if whole is not None and whole.is_all and whole.normal[0] in "{[":
        return Answer(whole.written, whole.normal, "json")
    place = _place(text)
    letter = _letter_first(unicodedata.normalize("NFKC", place), choices) if place else None
    if letter is not None:
        return letter
    result = place.rpartition("=")[2]
    found = numbers_in(result)
    if len(found) == 1:
        return Answer(found[0].written, found[0].normal, "number")
    return _words(place)
