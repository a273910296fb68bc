"""What a corpus's card says, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kataribe.cli.output import size


def kept_lines(card: dict[str, Any]) -> Iterator[str]:
    """Training and validation: documents, characters, bytes, languages."""
    for name, words in (("train", "training"), ("valid", "validation")):
        told = card["splits"][name]
        languages = ", ".join(f"{key} {count:,}" for key, count in told["languages"].items())
        yield (
            f"{words:<11} {told['documents']:>9,} documents  {told['characters']:>13,} characters  "
            f"{size(told['text_bytes']):>8}  {languages}"
        )


def language_lines(card: dict[str, Any]) -> Iterator[str]:
    """What there is of each language, and how much of it is for validation."""
    train, valid = (card["splits"][name].get("by_language", {}) for name in ("train", "valid"))
    nothing = {"documents": 0, "characters": 0, "text_bytes": 0}
    for name in sorted(
        {**train, **valid}, key=lambda each: -train.get(each, nothing)["text_bytes"]
    ):
        sides = train.get(name, nothing), valid.get(name, nothing)
        told = "  ".join(f"{s['documents']:>9,} {size(s['text_bytes']):>8}" for s in sides)
        documents = sum(side["documents"] for side in sides)
        yield (
            f"    {name:<7} {told}  validation has {sides[1]['documents'] / documents:.1%} of the "
            "documents"
        )


def chosen_languages(card: dict[str, Any]) -> Iterator[str]:
    """What was read of each language, where only some were kept."""
    if card["choices"].get("languages"):
        counts = ", ".join(f"{name} {count:,}" for name, count in card["languages_read"].items())
        yield f"languages read: {counts}; kept: {', '.join(card['choices']['languages'])}"


def conversation_lines(card: dict[str, Any]) -> Iterator[str]:
    """Training and validation of instruction data: conversations, items, kinds of question."""
    for name, words in (("train", "training"), ("valid", "validation")):
        told = card["splits"][name]
        kinds = ", ".join(f"{key} {count:,}" for key, count in told["kinds"].items())
        yield (
            f"{words:<11} {told['documents']:>9,} conversations about {told['items']:,} items  "
            f"{size(told['text_bytes']):>8}  {kinds}"
        )
    gone = card.get("dropped_from_valid", {})  # cards of older versions lack it
    if any(gone.values()):
        yield (
            f"left out of validation: {gone.get('answer_in_training', 0):,} questions whose answer "
            f"training tells, {gone['like_training']:,} conversations nearly the same as one there"
        )


def encodings_line(card: dict[str, Any]) -> str | None:
    """The encodings, when there were others than UTF-8."""
    found = card["read"]["encodings"]
    if not set(found) - {"utf-8", "ascii"}:
        return None
    counts = ", ".join(f"{name} {count:,}" for name, count in found.items())
    replaced = card["read"]["replaced_characters"]
    broken = f"; {replaced:,} places could not be decoded" if replaced else ""
    return f"Encodings of the files: {counts}{broken}."


def unread_line(card: dict[str, Any]) -> str | None:
    """What was left unread when the corpus was full; None when everything was read."""
    left = card.get("unread")  # cards of older versions lack it
    if left is None or not left["files"] + left["partly"]:
        return None
    return (
        f"Left unread when {size(card['choices']['most_bytes'])} of text were kept: "
        f"{left['files']:,} files, and {left['partly']:,} more not to the end "
        f"(about {size(left['bytes'])} as they lie on the disk)."
    )


def dropped_lines(card: dict[str, Any], *, samples: bool) -> Iterator[str]:
    """What was dropped and passed over, with samples."""
    for name, told in card["dropped"].items():
        yield (
            f"{name}: {told['documents']:,} texts, {told['characters']:,} characters "
            f"({told['reason']})"
        )
        for each in told["samples"] if samples else ():
            note = f" ({each['note']})" if "note" in each else ""
            yield f"    {each['id']}{note}"
            yield f"        {' '.join(each['text'].split())[:160]}"
    for reason, told in card["read"]["skipped"].items():
        yield f"passed over, {reason}: {told['count']:,}"
        if samples:
            shown = ", ".join(told["names"][:5])
            more = ", ..." if told["count"] > 5 else ""
            yield f"    {shown}{more}"
