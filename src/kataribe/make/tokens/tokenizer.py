"""Text to ids and back: one `Tokenizer` for every vocabulary that a model can bring."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tokenizers

from kataribe.base.errors import ContextLengthError, InputError, UnsupportedError
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import Message
from kataribe.make.tokens.bounds import LeastTokens
from kataribe.make.tokens.literal import LiteralTokenizer
from kataribe.make.tokens.specials import SpecialTexts
from kataribe.make.tokens.stream import StreamDecoder
from kataribe.make.tokens.templates import Chat, ChatTemplate, Marks

_LONG_TEXT = 4096
"""Characters from which a text is encoded without the interpreter lock."""


@dataclass(frozen=True)
class Vocabulary:
    """What a file says about its tokenizer, in the form that `Tokenizer` works with.

    Attributes:
        inner: The library's tokenizer: splits, merges, recognises added tokens. It has neither
            truncation nor padding.
        size: One more than the highest id.
        piece_bytes: The bytes of an id below `size`, as it stands inside a text.
        special_texts: Control tokens (never part of what people write), text to id.
        bos_id: Begins a text.
        pad_id: Fills up batches.
        eos_ids: Any of them ends a turn.
        inner_ids: Ids that only `inner` has, and what they stand for: single characters which the
            vocabulary lacks, but whose place between others matters for merging.
        prefix: Ids that the file puts before a text by itself.
        suffix: Ids that it puts after a text by itself.
        strips_leading_space: Decoding drops one space at the very beginning of a text.
        chat_adds_bos: A chat gets the prefix too when its template did not write it (llama.cpp's
            rule for GGUF files; `transformers` leaves a chat as the template wrote it).
        chat_template: How a chat is written for this model, where the file knows.
        chat_names: The special tokens that chat templates name (`bos_token`, ...).
    """

    inner: tokenizers.Tokenizer
    size: int
    piece_bytes: Callable[[int], bytes]
    special_texts: Mapping[str, int]
    bos_id: int | None = None
    pad_id: int | None = None
    eos_ids: frozenset[int] = frozenset()
    inner_ids: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    strips_leading_space: bool = False
    chat_adds_bos: bool = False
    chat_template: ChatTemplate | None = None
    chat_names: Mapping[str, str] = field(default_factory=dict)


class Tokenizer:
    """A model's tokenizer with its special tokens and chat template. Safe to use from threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._file = vocabulary
        # Never changed from now on: a change would wait for every text that is being encoded.
        self._inner = vocabulary.inner
        self._literal: LiteralTokenizer | None = None
        self._lock = threading.Lock()  # who makes the literal one anew
        self._bytes: list[bytes | None] = [None] * vocabulary.size
        self._special_ids = frozenset(vocabulary.special_texts.values())
        self._specials = SpecialTexts(vocabulary.special_texts)

    def with_template(self, template: ChatTemplate | None) -> Tokenizer:
        """The same tokenizer for chats in another template; special tokens' names are added."""
        if template is not None:
            named = {**self._file.chat_names, **template.names}
            template = dataclasses.replace(template, names=named)
        return Tokenizer(dataclasses.replace(self._file, chat_template=template))

    @property
    def vocab_size(self) -> int:
        """One more than the highest id. A model's logits may have more rows (padding)."""
        return self._file.size

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text."""
        return self._file.bos_id

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every token that ends a reply: end of text and end of turn."""
        return self._file.eos_ids

    @property
    def pad_id(self) -> int | None:
        """The token that fills up batches."""
        return self._file.pad_id

    @property
    def special_ids(self) -> frozenset[int]:
        """All control tokens."""
        return self._special_ids

    @property
    def add_bos(self) -> bool:
        """`encode` puts the file's own prefix (BOS, `[CLS]`) before a text unless told not to."""
        return bool(self._file.prefix)

    @property
    def chat_template(self) -> ChatTemplate | None:
        """How a chat is written for this model; None for a model that was not made for chats."""
        return self._file.chat_template

    @property
    def strips_leading_space(self) -> bool:
        """`decode` drops one space at the very beginning, which encoding had added."""
        return self._file.strips_leading_space

    def encode(
        self,
        text: str,
        *,
        special: bool = True,
        add_bos: bool | None = None,
        limit: int | None = None,
    ) -> list[int]:
        """The ids of a text.

        Args:
            text: Any text; `InputError` for one with lone surrogates, which UTF-8 cannot hold.
            special: Texts of control tokens become these tokens; False for what people wrote.
            add_bos: Whether the ids that the file puts around a text come with it; None for as
                the file says. True where the file adds nothing puts its BOS in front.
            limit: As in `encode_prompt`.
        """
        ids = self._encode(_checked(text), special=special, limit=limit)
        if add_bos is None:
            add_bos = self.add_bos or bool(self._file.suffix)
        if not add_bos:
            return ids
        if self._file.prefix or self._file.suffix:
            return [*self._file.prefix, *ids, *self._file.suffix]
        if self.bos_id is None:
            raise InputError("This tokenizer has no token that begins a text; set add_bos=False.")
        return [self.bos_id, *ids]

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts that people wrote: no control tokens, nothing around them.

        The library works on them without the interpreter lock, so threads may share the work.
        """
        literal = self._literal_knowing(())
        own = {**self._file.inner_ids, **literal.ids}
        checked = [_checked(text) for text in texts]
        found = literal.inner.encode_batch_fast(checked, add_special_tokens=False)
        return [_meant(each.ids, own) for each in found]

    def encode_spans(self, text: str) -> list[tuple[int, int, int]]:
        """As `encode_texts` for one text: ids, and the characters that each stands for.

        Several tokens may share a character whose bytes they hold.
        """
        literal = self._literal_knowing(())
        own = {**self._file.inner_ids, **literal.ids}
        (found,) = literal.inner.encode_batch([_checked(text)], add_special_tokens=False)
        return [
            (each, start, end)
            for token_id, (start, end) in zip(found.ids, found.offsets, strict=True)
            for each in own.get(token_id, (token_id,))
        ]

    def encode_rendered(self, text: str, marks: Marks, *, limit: int | None = None) -> list[int]:
        """The ids of a chat (or a stretch of one) that `ChatTemplate.render_marked` wrote."""
        if marks:
            return self._encode_marked(text, marks, limit)
        return self._encode(_checked(text), limit=limit)

    def new_marks(self) -> Marks:
        """New stand-ins for what people wrote, for `ChatTemplate.render_marked`."""
        return Marks(self._specials)

    def encode_prompt(
        self, text: str, *, special: bool = True, limit: int | None = None
    ) -> list[int]:
        """The ids of a text to be continued: the prefix comes once, also if the text has it.

        A text that is seen to have more tokens than `limit` before it is encoded is a
        `ContextLengthError`; others may have more too.
        """
        return self._with_prefix(self._encode(_checked(text), special=special, limit=limit))

    def encode_chat(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        variables: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> list[int]:
        """The ids of a chat, in which only the template writes control tokens.

        The text of a control token inside a message, a tool or a variable stays text, so nobody
        can end a turn or speak as the system by typing it. Without such texts the ids are those
        of `transformers`' `apply_chat_template`. `limit` is as in `encode_prompt`.

        Raises:
            ContextLengthError: The text is far beyond `limit`.
            UnsupportedError: The model has no chat template.
            TemplateError: The template refused the messages or broke a limit.
        """
        template = self._file.chat_template
        if template is None:
            raise UnsupportedError(
                "This model has no chat template, so it cannot chat. Give it a plain prompt "
                "(completions), or choose a model made for chats (often named -Instruct or -it).",
                param="messages",
            )
        marks = self.new_marks()
        chat = Chat(messages, tools, add_generation_prompt, continue_last, variables or {})
        ids = self.encode_rendered(template.render_marked(chat, marks), marks, limit=limit)
        return self._with_prefix(ids) if self._file.chat_adds_bos else ids

    def decode(
        self, ids: Sequence[int], *, skip_special: bool = False, continues: bool = False
    ) -> str:
        """The text of ids; bytes that are no UTF-8 appear as U+FFFD.

        An id beyond the vocabulary (a model may have padding rows) stands for nothing.
        `continues` is explained at `StreamDecoder`.
        """
        stream = StreamDecoder(self, skip_special=skip_special, continues=continues)
        return "".join([stream.push(token_id) for token_id in ids]) + stream.finish()

    def token_bytes(self, token_id: int) -> bytes:
        """The exact bytes of one token as it stands inside a text; empty beyond the vocabulary."""
        if token_id < 0:
            raise InputError(f"Token id {token_id} is negative; ids count from 0.", param="tokens")
        if token_id >= self._file.size:
            return b""
        known = self._bytes[token_id]
        if known is None:
            known = self._bytes[token_id] = self._file.piece_bytes(token_id)
        return known

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The ids as the vocabulary writes them (`Ġworld`, `▁world`, `<0xE3>`).

        An id beyond the vocabulary has none, so its piece is empty.
        """
        known = self._file.size  # the library's own ids beyond are nobody's business
        return [self._inner.id_to_token(each) or "" if each < known else "" for each in ids]

    def vocabulary_bytes(self, size: int | None = None) -> list[bytes]:
        """The bytes of every token, by id, padded with empty ones up to `size`."""
        return [self.token_bytes(token_id) for token_id in range(size or self._file.size)]

    def is_special(self, token_id: int) -> bool:
        """Whether it is a control token, which is never part of what people read."""
        return token_id in self._special_ids

    def special_id(self, text: str) -> int | None:
        """The id of the control token with exactly this text; None where there is none."""
        return self._file.special_texts.get(text)

    def _with_prefix(self, ids: list[int]) -> list[int]:
        prefix = list(self._file.prefix)
        return ids if ids[: len(prefix)] == prefix else prefix + ids

    @cached_property
    def _least(self) -> LeastTokens:
        return LeastTokens(self._inner, self._file.inner_ids)

    def _encode(self, text: str, *, special: bool = True, limit: int | None = None) -> list[int]:
        self._check_length(text, limit)
        if special:
            return _ids(self._inner, text, self._file.inner_ids)
        literal = self._literal_knowing(())
        return _ids(literal.inner, text, {**self._file.inner_ids, **literal.ids})

    def _encode_marked(self, text: str, marks: Marks, limit: int | None) -> list[int]:
        """Encodes with the template's own control tokens only; `marks` stand for people's texts.

        The library knows special tokens by their text alone. So the genuine ones get aliases
        that nobody can guess, as added tokens which are recognised while special ones are not.
        """
        spans = list(self._specials.find(text))
        literal = self._literal_knowing(text[start:end] for start, end in spans)
        whole: list[str] = []  # with aliases
        plain: list[str] = []
        position = 0
        for start, end in spans:
            said = marks.restore(text[position:start])
            plain += [said, text[start:end]]
            whole += [said, literal.aliases[text[start:end]]]
            position = end
        rest = marks.restore(text[position:])
        self._check_length(_checked("".join([*plain, rest])), limit)
        ids = {**self._file.inner_ids, **literal.ids}
        return _ids(literal.inner, "".join([*whole, rest]), ids)

    def _literal_knowing(self, special_texts: Iterable[str]) -> LiteralTokenizer:
        with self._lock:
            if self._literal is None:
                self._literal = LiteralTokenizer(self._inner, self._file.special_texts)
            self._literal = self._literal.knowing(special_texts)
            return self._literal

    def _check_length(self, text: str, limit: int | None) -> None:
        if limit is None or len(text) <= max(limit, _LONG_TEXT):
            return
        least = self._least.of(text)
        if least > limit:
            raise ContextLengthError(least, limit, at_least=True)


def _ids(inner: tokenizers.Tokenizer, text: str, own: Mapping[int, tuple[int, ...]]) -> list[int]:
    """The ids of a text; those that only the library has are replaced."""
    ids: list[int]
    if len(text) < _LONG_TEXT:
        ids = inner.encode(text, add_special_tokens=False).ids
    else:
        # `encode` keeps the interpreter to itself (1 MB: for 1 s), what encodes batches does not.
        # It works in the library's threads, so short texts would only wait there for long ones.
        ids = inner.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return _meant(ids, own)


def _meant(ids: list[int], own: Mapping[int, tuple[int, ...]]) -> list[int]:
    """The ids, those that only the library has replaced by what they stand for."""
    if not own or own.keys().isdisjoint(ids):
        return ids
    return [each for token_id in ids for each in own.get(token_id, (token_id,))]


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Character {error.start} of the text is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, half of a character. Send whole characters (UTF-8)."
        ) from error
    return text
