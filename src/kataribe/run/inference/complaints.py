"""What the constraint compiler complains of, in the words of those who wrote the form."""

from __future__ import annotations

import re

from kataribe.run.inference.argument_schemas import NOT_APART

_LONGEST = 500
_WAY_OUT = "Correct or simplify it."

_NEVER_ENDS = (
    "No reply can match the form: it refers to itself without a way to end, or one part of it "
    "rules out every text. Give the repetition an end, such as an optional property, an empty "
    "list or another alternative, or loosen that part."
)
_ENDLESS = re.compile(r"NoExtensionBias")
_KEYS = re.compile(r"Unimplemented keys: \[(.*?)\]")
_FORMAT = re.compile(r"Unknown format: (\S+)")
_TYPE = re.compile(r"Invalid type: (\S+)")
_ELSEWHERE = re.compile(r"Resource '(.*?)' is not present in a registry")
_NOWHERE = re.compile(r"Pointer '(.*?)' does not exist")
_EMPTY = re.compile(r"Unsatisfiable schema: (.*?)(?: \d+ \| .*)?$")
_LIMITS = re.compile(r"\w+ \(.*?\) is greater than \w+ \(.*?\)$")
_PATTERN = re.compile(r"regex parse error: (.*?)(?: \^+)? error: (.*?)(?: \d+ \| .*)?$")
_LOOKS_AROUND = re.compile(r"lookarounds not supported yet; .*? in regex (/.*?/)(?: \d+ \| .*)?$")
_MARKUP = re.compile(r"\s*<non-verbose/>")


def in_plain_words(reason: str) -> str:
    """The compiler's complaint as a message that names what is wrong and the way out."""
    reason = " ".join(_MARKUP.sub("", reason).split())
    if "oneOf constraints are not supported" in reason:
        return NOT_APART
    if _ENDLESS.search(reason):
        return _NEVER_ENDS
    for found in (_of_keys(reason), _of_references(reason), _of_patterns(reason)):
        if found is not None:
            return found
    if empty := _EMPTY.search(reason):
        which = f": {empty[1]}" if _LIMITS.match(empty[1]) else ""
        return f"No value can match the JSON schema{which}. {_WAY_OUT}"
    if "invalid multiple of" in reason:
        return "A multipleOf of the JSON schema is not above 0. Give a number above 0."
    return f"What the reply must match cannot be used: {reason[:_LONGEST]}. {_WAY_OUT}"


def _of_keys(reason: str) -> str | None:
    if keys := _KEYS.search(reason):
        return (
            f"The JSON schema uses {keys[1]}, which replies cannot be held to. Leave it out and "
            "check the reply yourself, or say it with other keywords."
        )
    if known := _FORMAT.search(reason):
        return (
            f"The JSON schema uses the format {known[1]!r}, which replies cannot be held to. Leave "
            "it out, or write a pattern instead."
        )
    if known := _TYPE.search(reason):
        return (
            f"The JSON schema has the type {known[1]!r}; there are null, boolean, integer, number, "
            "string, array and object."
        )
    return None


def _of_references(reason: str) -> str | None:
    if known := _ELSEWHERE.search(reason):
        return (
            f"The JSON schema refers to {known[1]!r}, and only references within it are followed "
            "(#/$defs/NAME). Put that part under $defs."
        )
    if known := _NOWHERE.search(reason):
        return (
            f"The JSON schema refers to '#{known[1]}', which is not in it. Correct the reference, "
            "or add that part."
        )
    return None


def _of_patterns(reason: str) -> str | None:
    if known := _LOOKS_AROUND.search(reason):
        return (
            f"The regular expression {known[1]} looks around (such as \\b or (?=...)), which "
            "replies cannot be held to. Write out what may stand there."
        )
    if known := _PATTERN.search(reason):
        return f"The regular expression {known[1][:_LONGEST]} is invalid: {known[2]}. {_WAY_OUT}"
    return None
