"""From a reply as it is kept back to the tokens that the model drew, as far as that can be known.

Replies are kept as text. Cutting the text anew mostly gives the drawn tokens back; where the model
cut a word in another way, or blanks around a thought were not kept, `Laid.exact` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

from kataribe.base.errors import UnsupportedError
from kataribe.base.inside import Laid, Piece, Said
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.dialects import THINK, UNTHINK


def piece_of(tokenizer: Tokenizer, token_id: int) -> Piece:
    """A token as it can be shown."""
    raw = tokenizer.token_bytes(token_id)
    if tokenizer.is_special(token_id) or not raw:
        shown = raw.decode("utf-8", "replace") or (tokenizer.pieces([token_id])[0])
        return Piece(token_id, shown or f"<{token_id}>", "control")
    try:
        return Piece(token_id, raw.decode("utf-8"), "text")
    except UnicodeDecodeError:
        return Piece(token_id, "".join(f"<0x{byte:02X}>" for byte in raw), "bytes")


def lay_out(
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    said: Said,
    *,
    opened: bool = False,
    with_calls: Callable[[], Sequence[int]] | None = None,
) -> Laid:
    """Cuts a reply into tokens behind its prompt.

    Args:
        tokenizer: The model's.
        prompt: Its ids, with the words that the reply went on from.
        said: The reply.
        opened: The prompt ends inside a thought that it opened.
        with_calls: The ids of prompt and reply as the chat template writes them; asked for a
            reply with tool calls, whose text is not kept.
    """
    words, thought, calls = _parts(said)
    if calls and with_calls is not None:
        ids = _behind(prompt, with_calls(), tokenizer.eos_ids)
        return _laid(tokenizer, prompt, ids, said, words="", exact=False)
    written = _with_thought(words, thought, opened=opened, ended=said.ended)
    ids, spells = _cut(tokenizer, written, said.begun, marked=written != words)
    counted = said.tokens is None or said.tokens == len(ids) + said.ended
    rebuilt = written != words and said.tokens is None
    exact = spells and counted and not rebuilt
    return _laid(tokenizer, prompt, ids, said, words=words, exact=exact)


def _parts(said: Said) -> tuple[str, str, bool]:
    """Words behind what the reply went on from, thought, and whether there are calls."""
    words = thought = ""
    calls = False
    for part in said.message.parts:
        match part:
            case TextPart(text):
                words += text
            case ReasoningPart(text):
                thought += text
            case ToolCallPart():
                calls = True
            case _:
                pass
    return words.removeprefix(said.begun), thought, calls


def _with_thought(words: str, thought: str, *, opened: bool, ended: bool) -> str:
    """What the model wrote, with the marks around its thought as models write them."""
    if not thought and not opened:
        return words
    if not words and not ended:  # it was cut inside the thought
        return thought if opened else f"{THINK}\n{thought}"
    head = "" if opened else f"{THINK}\n"
    return f"{head}{thought}\n{UNTHINK}\n\n{words}"


def _cut(tokenizer: Tokenizer, text: str, begun: str, *, marked: bool) -> tuple[list[int], bool]:
    """The tokens of a text, and whether they spell it again.

    `marked`: marks of a thought in it may be control tokens.
    """
    if not text:
        return [], True
    best: list[int] = []
    for ids in _cuts(tokenizer, text, begun, marked=marked):
        best = best or ids
        if tokenizer.decode(ids, continues=bool(begun)) == text:
            return ids, True
    return best, False


def _cuts(tokenizer: Tokenizer, text: str, begun: str, *, marked: bool) -> Iterator[list[int]]:
    alone = tokenizer.encode(text, special=marked, add_bos=False)
    if begun:
        # A text that goes on has no space put in front, which some vocabularies do at a beginning.
        before = tokenizer.encode(begun, special=False, add_bos=False)
        both = tokenizer.encode(begun + text, special=marked, add_bos=False)
        if both[: len(before)] == before:
            yield both[len(before) :]
        if tokenizer.strips_leading_space and tokenizer.token_bytes(alone[0]) == b" ":
            yield alone[1:]
    yield alone


def _behind(prompt: Sequence[int], whole: Sequence[int], ends: frozenset[int]) -> list[int]:
    """What stands behind the prompt, up to the token that ends the turn."""
    shared = next(
        (at for at, pair in enumerate(zip(prompt, whole, strict=False)) if pair[0] != pair[1]),
        min(len(prompt), len(whole)),
    )
    if shared < len(prompt):
        raise UnsupportedError(
            "The chat template of this model writes a turn with tool calls in another way than the "
            "prompt that leads to one, so its tokens cannot be told apart. Look inside a reply of "
            "words.",
            param="message",
        )
    ids = list(whole[shared:])
    end = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return ids[:end]


def _laid(
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    ids: Sequence[int],
    said: Said,
    *,
    words: str,
    exact: bool,
) -> Laid:
    spelled = [tokenizer.token_bytes(token) for token in ids]
    if spelled and tokenizer.strips_leading_space and not said.begun:
        spelled[0] = spelled[0].removeprefix(b" ")
    raw = b"".join(spelled)
    offsets = list(accumulate((len(piece) for piece in spelled), initial=0))[:-1]
    starts, whole = _places(raw, offsets)
    text = raw.decode("utf-8", "replace")
    every = (*prompt, *ids)
    given, marks = _written_out(tokenizer, prompt)
    return Laid(
        ids=every,
        prompt=len(prompt),
        pieces=tuple(piece_of(tokenizer, token) for token in every),
        shown=(*_shown([tokenizer.token_bytes(token) for token in prompt]), *_shown(spelled)),
        given=given,
        marks=marks,
        text=text,
        words_from=len(text) - len(words) if text.endswith(words) else len(text),
        starts=starts,
        whole=whole,
        ended=said.ended and bool(tokenizer.eos_ids),
        exact=exact,
    )


def _shown(spelled: Sequence[bytes]) -> list[str]:
    """Of each piece the characters whose first byte lies in it."""
    raw = b"".join(spelled)
    ends = list(accumulate((len(piece) for piece in spelled), initial=0))
    cuts = []
    for end in ends:
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end += 1
        cuts.append(end)
    cuts[:1] = [0]
    return [raw[a:b].decode("utf-8", "replace") for a, b in pairwise(cuts)]


def _written_out(
    tokenizer: Tokenizer, ids: Sequence[int]
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of ids with control tokens in it, and where those stand."""
    text = ""
    marks: list[tuple[int, int]] = []
    for is_special, run in groupby(ids, tokenizer.is_special):
        if not is_special:
            text += b"".join(map(tokenizer.token_bytes, run)).decode("utf-8", "replace")
            continue
        for token in run:
            start = len(text)
            text += piece_of(tokenizer, token).text
            marks.append((start, len(text)))
    return text, tuple(marks)


def _places(raw: bytes, offsets: Sequence[int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Where in the decoded text each offset lies, and whether a character begins there.

    An offset inside a character lies at that character.
    """
    starts: list[int] = []
    whole: list[bool] = []
    at, before = 0, 0
    for offset in offsets:
        lead = offset
        while lead > at and lead < len(raw) and raw[lead] & 0xC0 == 0x80:
            lead -= 1
        before += len(raw[at:lead].decode("utf-8", "replace"))
        at = lead
        starts.append(before)
        whole.append(lead == offset and (offset == len(raw) or raw[offset] & 0xC0 != 0x80))
    return tuple(starts), tuple(whole)
