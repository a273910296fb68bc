"""Replies that cannot break their form: JSON schema, regular expression or grammar to token masks.

The work is done by llguidance. A schema or grammar comes from strangers, so its size is limited
before it is compiled (`schema_bounds`), and compiling and matching have a budget of their own.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import llguidance
import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import ConstraintError, InputError
from kataribe.base.lm import (
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    ResponseFormat,
    TextFormat,
    ToolSpec,
)
from kataribe.run.inference.argument_schemas import arguments_of
from kataribe.run.inference.complaints import in_plain_words
from kataribe.run.inference.endings import LONGEST, Endings, Homeward
from kataribe.run.inference.equivalents import in_other_words
from kataribe.run.inference.schema_bounds import (
    MOST_CHARACTERS,
    MOST_KEYS,
    Bounds,
    check_grammar,
    check_length,
    check_pattern,
)
from kataribe.run.inference.tool_grammar import ToolGrammar

_CACHED = 32
_SPACE = r"[ \n\t]{0,64}"  # between JSON tokens: room for indenting, but no endless blank reply


class TokenSource(Protocol):
    """What is needed to know of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a reply."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token inside a text."""
        ...

    def is_special(self, token_id: int) -> bool:
        """Whether it is a control token."""
        ...

    def encode(self, text: str, *, special: bool = True, add_bos: bool | None = None) -> list[int]:
        """The ids of a text."""
        ...


class Vocabulary:
    """A tokenizer's tokens as llguidance wants them. Takes about a second; build it once.

    It remembers the constraints compiled last, so asking with the same schema again is cheap.
    Safe to use from several threads.

    Args:
        tokens: The tokenizer.
        size: Columns of the model's logits, where they are more than the tokenizer's ids.
    """

    def __init__(self, tokens: TokenSource, size: int | None = None) -> None:
        self.size = max(tokens.vocab_size, size or 0)
        ends = sorted(token for token in tokens.eos_ids if token < tokens.vocab_size)
        if not ends:
            raise ConstraintError(
                "This model's tokenizer names no token that ends a reply, so a reply cannot be "
                "held to a form. Set its end token (generation_config.json or the GGUF's "
                "metadata)."
            )
        self._compiled: OrderedDict[tuple[str, str], Constraint] = OrderedDict()
        self._lock = threading.Lock()
        self._tokens, self._ends = tokens, ends
        self.tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Pieces(tokens, self.size, ends)),
            n_vocab=self.size,
            eos_token=ends,
        )

    @cached_property
    def endings(self) -> Endings:
        """Finds the ends of forms; made when first needed."""
        known = range(self._tokens.vocab_size)
        pieces = [self._tokens.token_bytes(token) for token in known]
        return Endings(pieces + [b""] * (self.size - len(pieces)), self._ends)

    def ids_of(self, text: str) -> tuple[int, ...]:
        """A text as the model itself would write it; a control token's text is that token."""
        ids = self._tokens.encode(text, add_bos=False)
        if b"".join(self._tokens.token_bytes(token) for token in ids) == text.encode():
            return tuple(ids)
        return tuple(self.tokenizer.tokenize_str(text))

    def compile(
        self, grammar: str, param: str = "response_format", closers: Sequence[str] | None = None
    ) -> Constraint:
        """The constraint of an llguidance grammar.

        Args:
            grammar: In the library's own JSON.
            param: The field of the request that it came from, for errors.
            closers: Replies are completed whatever limits them, and these texts end the free
                texts in them (`Homeward`); None for replies that a limit may cut anywhere.

        Raises:
            ConstraintError: What is wrong with it; names `param` as the field it came from.
        """
        key = (param, grammar)
        with self._lock:
            known = self._compiled.get(key)
            if known is not None:
                self._compiled.move_to_end(key)
                return known
        matcher = llguidance.LLMatcher(self.tokenizer, grammar, log_level=0, limits=_limits())
        _check(matcher, param)
        constraint = Constraint(matcher, self.size, param)
        if closers is not None:
            constraint.complete(self.endings, [self.ids_of(closer) for closer in closers])
        constraint.start().mask()  # what is too complex shows here, not in the middle of a reply
        with self._lock:
            self._compiled[key] = constraint
            while len(self._compiled) > _CACHED:
                self._compiled.popitem(last=False)
        return constraint


class Constraint:
    """A compiled form that replies must have; it can be started any number of times."""

    def __init__(self, matcher: Any, size: int, param: str = "response_format") -> None:
        self._matcher = matcher
        self._size = size
        self._param = param
        self._lock = threading.Lock()
        self._endings: Endings | None = None
        self._closers: Sequence[Sequence[int]] = ()
        self._first: tuple[int, ...] | None = None

    def complete(self, endings: Endings, closers: Sequence[Sequence[int]]) -> None:
        """Lets no limit cut these replies; see `Vocabulary.compile`."""
        self._endings, self._closers = endings, closers
        self._first = endings.way(self.start(), closers, LONGEST)

    @property
    def least(self) -> int | None:
        """Tokens of the shortest reply that was found; None where a limit may cut replies."""
        return None if self._first is None else len(self._first)

    def homeward(self, state: ConstraintState) -> Homeward | None:
        """What brings a reply to its end; None where a limit may cut it."""
        if self._endings is None:
            return None
        return Homeward(state, self._endings, self._closers, self._first)

    def start(self) -> ConstraintState:
        """The state of a reply that has not begun."""
        with self._lock:
            return ConstraintState(self._matcher.deep_copy(), self._size, self._param)


class ConstraintState:
    """How far one reply has come in its form."""

    def __init__(self, matcher: Any, size: int, param: str) -> None:
        self._matcher = matcher
        self._size = size
        self._param = param

    def mask(self) -> NDArray[np.bool_]:
        """Which tokens may come next, `(vocab,)`; end tokens are among them where it may end.

        Raises:
            ConstraintError: The form turned out too complex to follow.
        """
        packed = self._matcher.compute_bitmask()
        _check(self._matcher, self._param)
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
        return bits[: self._size].view(np.bool_)

    def advance(self, token: int) -> None:
        """Takes a token that the mask allowed; `ConstraintError` for any other."""
        self._matcher.consume_token(token)
        _check(self._matcher, self._param)

    def copy(self) -> ConstraintState:
        """The same place in the form; each goes on by itself."""
        return ConstraintState(self._matcher.deep_copy(), self._size, self._param)

    def takes(self, tokens: Sequence[int]) -> bool:
        """Whether these tokens may come next, one after the other; the state does not move."""
        return bool(self._matcher.validate_tokens(list(tokens)) == len(tokens))

    @property
    def is_accepting(self) -> bool:
        """What there is so far is a complete reply; more may be possible."""
        return bool(self._matcher.is_accepting())

    @property
    def is_finished(self) -> bool:
        """The reply is complete and nothing can follow."""
        return bool(self._matcher.is_stopped())


def compile_constraint(form: ResponseFormat, vocabulary: Vocabulary) -> Constraint | None:
    """What a reply of this form must match; None for a form without constraint.

    Raises:
        ConstraintError: The schema, expression or grammar is invalid, uses what is not
            supported, or is too large. Its `param` is the field of the request that holds it.
    """
    if isinstance(form, TextFormat):
        return None
    with _naming(form.param):
        if isinstance(form, ToolGrammar):
            return _compile_tools(form, vocabulary)
        return vocabulary.compile(_grammar_of(form), form.param)


def _grammar_of(form: JsonFormat | RegexFormat | ChoiceFormat | GrammarFormat) -> str:
    match form:
        case JsonFormat(schema):
            return _json_grammar({"type": "object"} if schema is None else schema)
        case RegexFormat(pattern):
            check_pattern("regular expression", pattern)
            return str(llguidance.LLMatcher.grammar_from_regex(pattern))
        case ChoiceFormat(choices):
            # Each choice is a literal, so their letters cost no more than their number.
            texts = [json.dumps(choice, ensure_ascii=False) for choice in choices]
            grammar = "start: CHOICE\nCHOICE: " + "\n  | ".join(texts)
            check_length("list of choices", grammar, MOST_CHARACTERS)
            return str(llguidance.LLMatcher.grammar_from_lark(grammar))
        case GrammarFormat(grammar):
            check_grammar(grammar)
            return str(llguidance.LLMatcher.grammar_from_lark(grammar))


def _compile_tools(form: ToolGrammar, vocabulary: Vocabulary) -> Constraint:
    """The constraint of a grammar that is ours around schemas that strangers wrote.

    What limits strangers' grammars counts signs in the text, which here may stand in any tool's
    description; so `tool_format` counted the schemas themselves, each by its own.
    """
    check_length("schemas of all tools together", form.grammar, MOST_CHARACTERS)
    try:
        return vocabulary.compile(
            str(llguidance.LLMatcher.grammar_from_lark(form.grammar)), form.param, form.closers
        )
    except ConstraintError:
        _blame(form, vocabulary)
        raise


def _blame(form: ToolGrammar, vocabulary: Vocabulary) -> None:
    """Raises `ConstraintError` for the first schema in `form` that cannot be used even alone."""
    for tool in form.tools:
        with _naming_tool(tool, form.param):
            vocabulary.compile(_json_grammar(arguments_of(tool)), form.param)
    if form.otherwise is not None:
        vocabulary.compile(_json_grammar(form.otherwise.schema or {}), form.otherwise.param)


@contextmanager
def _naming(param: str) -> Iterator[None]:
    """Gives errors that name no field of the request this one."""
    try:
        yield
    except ConstraintError as error:
        error.param = error.param or param
        raise


class _Pieces:
    """The tokenizer in llguidance's shape."""

    bos_token_id = None

    def __init__(self, tokens: TokenSource, size: int, ends: Sequence[int]) -> None:
        known = range(tokens.vocab_size)
        pieces = [tokens.token_bytes(token) for token in known]
        self.special_token_ids = [token for token in known if tokens.is_special(token)]
        # llguidance tells control tokens from text by a byte that no UTF-8 text holds.
        for token in {*self.special_token_ids, *ends}:
            pieces[token] = b"\xff" + (pieces[token] or f"<{token}>".encode())
        self.tokens = pieces + [b""] * (size - len(pieces))
        self.eos_token_id = min(ends)
        self._tokens = tokens
        self._ids = {piece: token for token, piece in reversed(list(enumerate(pieces)))}
        self._longest = min(32, max(len(piece) for piece in pieces))

    def __call__(self, text: str) -> list[int]:
        """How the model itself would write a text that the form leaves no choice about.

        Any other way to cut the same letters would be new to the model, and take more tokens.
        """
        if not isinstance(text, str):  # the wrapper tries bytes first; only text is taken
            raise InputError("Only text can be tokenised.")
        raw = text.encode()
        ids = self._tokens.encode(text, special=False, add_bos=False)
        if b"".join(self._tokens.token_bytes(token) for token in ids) == raw:
            return ids
        return self._cut(raw)  # the tokenizer put a space in front, or normalised something

    def _cut(self, raw: bytes) -> list[int]:
        """The longest token that fits, again and again."""
        ids: list[int] = []
        start = 0
        while start < len(raw):
            for end in range(min(len(raw), start + self._longest), start, -1):
                token = self._ids.get(raw[start:end])
                if token is not None:
                    ids.append(token)
                    break
            else:
                end = start + 1  # no token has this byte; llguidance then finds no way on
            start = end
        return ids


def _json_grammar(schema: Mapping[str, Any]) -> str:
    Bounds().visit(schema)
    try:
        text = json.dumps(in_other_words(schema), allow_nan=False)
        check_length("JSON schema", text, MOST_CHARACTERS)
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            text, overrides={"lenient": False, "whitespace_pattern": _SPACE}
        )
    except (TypeError, ValueError) as error:
        raise ConstraintError(f"The JSON schema is not JSON: {error}.") from None
    return str(grammar)


@contextmanager
def _naming_tool(tool: ToolSpec, param: str) -> Iterator[None]:
    try:
        yield
    except ConstraintError as error:
        message = f"The parameters of tool {tool.name!r} cannot be used. {error.message}"
        raise ConstraintError(message, param=param) from None


def _limits() -> Any:
    return llguidance.LLParserLimits(
        initial_lexer_fuel=400_000,
        step_lexer_fuel=100_000,
        step_max_items=50_000,
        max_items_in_row=5 * MOST_KEYS,  # an object of optional keys takes four for each
        max_lexer_states=50_000,
        max_grammar_size=100_000,
        verbose_errors=False,
    )


def _check(matcher: Any, param: str) -> None:
    if not matcher.is_error():
        return
    raise ConstraintError(in_plain_words(str(matcher.get_error())), param=param)
