"""A shared conversation as Markdown: the messages are Markdown already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kataribe.store.messages import Message
from kataribe.store.sharing.branch import (
    WORDS,
    Branch,
    File,
    Language,
    shown_time,
    steps_of,
    title_of,
)

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_CODE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\n)[\s\S]){1,2000}?)(?<!`)\1(?!`)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def as_markdown(branch: Branch, language: Language) -> Iterator[str]:
    """The document, message by message."""
    words, talk = WORDS[language], branch.conversation
    yield f"# {escaped(title_of(branch, language))}\n\n"
    yield f"- {words['began']}: {shown_time(talk.created_at)}\n"
    if talk.model:
        yield f"- {words['model']}: {escaped(talk.model)}\n"
    if talk.system:
        yield f"\n## {words['system']}\n\n{contained(talk.system)}\n"
    for message in branch.messages:
        yield from _message(message, branch.files.get(message.id, ()), language)
    yield f"\n---\n\n{words['made']}\n"


def escaped(text: str) -> str:
    """Text in one line that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", re.sub(r"\s+", " ", text))


def fenced(text: str) -> str:
    """A file's text as a block of code that nothing inside ends."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def contained(text: str) -> str:
    """A message's Markdown that cannot reach beyond itself.

    A fence left open is closed, and what would begin HTML outside of code is shown as it was
    written: an open comment would hide all that follows.
    """
    lines: list[str] = []
    loose: list[str] = []
    fence = ""

    def settle() -> None:
        if loose:
            lines.append(_no_html("\n".join(loose)))
            loose.clear()

    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        found = _FENCE.fullmatch(line)
        if fence:
            lines.append(line)
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found and not (found[1][0] == "`" and "`" in found[2]):
            settle()
            lines.append(line)
            fence = found[1]
        else:
            loose.append(line)
    settle()
    return "\n".join([*lines, fence] if fence else lines)


def _no_html(text: str) -> str:
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        parts += [_TAG.sub(r"\\<", text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _TAG.sub(r"\\<", text[end:])])


def _message(message: Message, files: tuple[File, ...], language: Language) -> Iterator[str]:
    words = WORDS[language]
    who = words[message.role]
    if message.role == "assistant" and message.model:
        who += f" ({escaped(message.model)})"
    yield f"\n## {who}, {shown_time(message.created_at)}\n\n"
    for file in files:
        yield from _file(file, words)
    if steps := steps_of(message, language):
        listed = "".join(f"> {number}. {escaped(each)}\n" for number, each in enumerate(steps, 1))
        yield f"> **{words['steps']}**\n>\n{listed}\n"
    if message.reasoning:
        quoted = contained(message.reasoning).replace("\n", "\n> ")
        yield f"> **{words['reasoning']}**\n>\n> {quoted}\n\n"
    if message.text:
        yield f"{contained(message.text)}\n"
    if message.state in words:
        yield f"\n*{words[message.state]}*\n"


def _file(file: File, words: Mapping[str, str]) -> Iterator[str]:
    missing = "" if file.data is not None else f" ({words['left_out']})"
    yield f"**{words['file']}**: {escaped(file.name)}{missing}\n\n"
    if file.data is not None and not file.media_type.startswith("image/"):
        yield f"{fenced(file.data.decode('utf-8', 'replace'))}\n\n"
