"""Conversations for instruction tuning: only what the assistant says, and where it stops, teaches.

Data are JSON lines `{"messages": [{"role": "system|user|assistant", "content": str}, ...]}`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from kataribe.base.errors import FormatError, InputError, TemplateError, UnsupportedError
from kataribe.base.messages import Message, Role, text_message
from kataribe.make.tokens.corpus_files import Progress, read_rows
from kataribe.make.tokens.packing import Examples
from kataribe.make.tokens.templates import Chat, ChatTemplate, Marks
from kataribe.make.tokens.tokenizer import Tokenizer

TOGETHER = 64
"""Conversations that are rendered in one exchange with the process that does it: others wait for
it meanwhile, some 20 ms."""
ROLES = ("system", "user", "assistant")
TooLong = Literal["refuse", "drop", "cut"]
"""What becomes of an example that is longer than a row: an error, nothing, or its beginning."""


@dataclass(frozen=True)
class Conversation:
    """One conversation; its checks are what a template may rely on.

    Attributes:
        where: For messages of errors: a line of a file.
        messages: System text or none, then user and assistant in turn, the assistant last.
    """

    where: str
    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        roles = [message.role for message in self.messages]
        turns = roles[1:] if roles[:1] == ["system"] else roles
        wanted = ["user", "assistant"] * (len(turns) // 2)
        if not turns or turns != wanted:
            raise FormatError(
                f"{self.where} has the turns {', '.join(roles) or 'of nobody'}; a conversation "
                "needs a system text or none, then user and assistant in turn, with the "
                "assistant's words last."
            )


@dataclass(frozen=True)
class ChatReport:
    """What became of conversations.

    Attributes:
        conversations: Read.
        kept: Those that are examples now.
        dropped: Longer than a row and left out, or cut before the assistant spoke.
        cut: Longer than a row and kept in part.
        longest: Tokens of the longest.
        tokens: Tokens kept.
        taught: Tokens that teach.
    """

    conversations: int
    kept: int
    dropped: int
    cut: int
    longest: int
    tokens: int
    taught: int


def read_conversations(path: Path, progress: Progress | None = None) -> Iterator[Conversation]:
    """The conversations of a file of JSON lines.

    Raises:
        FormatError: A line is none: no messages, an unknown role, an empty turn, turns out of
            order; with the line's number.
        NotFoundError: There is no such file.
    """
    for number, row in enumerate(read_rows(path, progress), start=1):
        yield parse_conversation(row, f"Conversation {number} of {path}")


def parse_conversation(row: Any, where: str) -> Conversation:
    """A conversation out of JSON; `FormatError` says what is wrong with it."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list):
        raise FormatError(
            f'{where} has no messages; it has to look like {{"messages": [{{"role": "user", '
            '"content": "..."}, {"role": "assistant", "content": "..."}]}.'
        )
    made: list[Message] = []
    for number, message in enumerate(messages, start=1):
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in ROLES:
            raise FormatError(
                f"{where} has the role {role!r} in message {number}; roles are {', '.join(ROLES)}."
            )
        if not isinstance(content, str) or not content.strip():
            raise FormatError(f"{where} has no words in message {number} (role {role}).")
        made.append(text_message(cast("Role", role), content))
    return Conversation(where, tuple(made))


def chat_examples(
    conversations: Iterable[Conversation],
    tokenizer: Tokenizer,
    length: int,
    *,
    too_long: TooLong = "refuse",
) -> tuple[Examples, ChatReport]:
    """Conversations as tokens of which only the assistant's words and its ends of turns teach.

    The assistant's words are encoded apart from what stands before them, as they will be when the
    model writes them. Texts of control tokens inside messages stay text.

    Args:
        conversations: Which.
        tokenizer: With a chat template.
        length: Tokens that an example may have.
        too_long: What becomes of longer ones; the report counts them.

    Raises:
        UnsupportedError: The tokenizer has no chat template.
        TemplateError: The template is not prefix-stable, or ends no turn by a token of its own.
        InputError: There is no conversation, or some are too long and that was not decided.
    """
    template = tokenizer.chat_template
    if template is None:
        raise UnsupportedError(
            "This tokenizer has no chat template, so conversations cannot be written for it. Add "
            "a chat_template.jinja to its folder, or take a tokenizer that was trained with one."
        )
    parts: list[tuple[list[int], list[bool]]] = []
    count = longer = cut = longest = 0
    for ids, taught in encode_conversations(conversations, tokenizer, template):
        count += 1
        longest = max(longest, len(ids))
        if len(ids) > length:
            longer += 1
            if too_long != "cut" or not any(taught[1:length]):
                continue
            ids, taught, cut = ids[:length], taught[:length], cut + 1
        parts.append((ids, taught))
    _check_kept(length, count, len(parts), 0 if too_long != "refuse" else longer, longest)
    examples = Examples.gather(parts)
    report = ChatReport(
        count,
        len(parts),
        longer - cut,
        cut,
        longest,
        len(examples.ids),
        int(examples.taught.sum()),
    )
    return examples, report


def _check_kept(length: int, count: int, kept: int, refused: int, longest: int) -> None:
    if not count:
        raise InputError("There is no conversation to learn from.")
    if refused:
        raise InputError(
            f"{refused} of {count} conversations are longer than a row of {length} tokens (the "
            f"longest has {longest}). Take longer rows, or say what becomes of them "
            "(--too-long drop, or --too-long cut)."
        )
    if not kept:
        raise InputError(
            f"None of {count} conversations fits into a row of {length} tokens. Take longer rows."
        )


def encode_conversations(
    conversations: Iterable[Conversation], tokenizer: Tokenizer, template: ChatTemplate
) -> Iterator[tuple[list[int], list[bool]]]:
    """Ids of each, and whether each id is one that the model has to learn to write."""
    waiting = iter(conversations)
    while some := list(itertools.islice(waiting, TOGETHER)):
        chats = [
            (chat, marks)
            for each in some
            for marks in (tokenizer.new_marks(),)
            for chat in _chats(each.messages)
        ]
        texts = template.render_many(chats)
        at = 0
        for conversation in some:
            own = 2 * sum(message.role == "assistant" for message in conversation.messages)
            yield _encode(conversation, texts[at : at + own], tokenizer, chats[at][1])
            at += own


def _chats(messages: tuple[Message, ...]) -> Iterator[Chat]:
    """Up to each of the assistant's turns, and through it; the last of these is the whole."""
    for index, message in enumerate(messages):
        if message.role == "assistant":
            yield Chat(messages[:index], add_generation_prompt=True)
            yield Chat(messages[: index + 1], add_generation_prompt=False)


def _encode(
    conversation: Conversation, texts: Sequence[str], tokenizer: Tokenizer, marks: Marks
) -> tuple[list[int], list[bool]]:
    whole = texts[-1]
    ids: list[int] = []
    taught: list[bool] = []
    position = 0
    for turn, (before, through) in enumerate(zip(texts[::2], texts[1::2], strict=True)):
        if not (whole.startswith(through) and through.startswith(before)):
            raise _unstable(conversation, turn)
        given = tokenizer.encode_rendered(whole[position : len(before)], marks)
        said = tokenizer.encode_rendered(whole[len(before) : len(through)], marks)
        ends = [at for at, each in enumerate(said) if each in tokenizer.eos_ids]
        if not ends:
            raise TemplateError(
                "The chat template ends the assistant's turn with no token that ends a reply, so "
                "the model could never learn to stop. Use a template that writes one (such as "
                "<|im_end|>)."
            )
        ids += given + said
        taught += [False] * len(given)
        taught += [at <= ends[-1] for at in range(len(said))]
        position = len(through)
    return ids, taught


def _unstable(conversation: Conversation, turn: int) -> TemplateError:
    roles = [message.role for message in conversation.messages]
    index = [at for at, role in enumerate(roles, 1) if role == "assistant"][turn]
    return TemplateError(
        f"The chat template is not prefix-stable: for {conversation.where} it writes the turns up "
        f"to message {index} in another way once more turns follow, so what the model learns would "
        "not be what it sees when it answers. Use a template that only ever adds to its text."
    )
