"""Finds the pieces of a unigram tokenizer (Kudo 2018, https://arxiv.org/abs/1804.10959).

The library's own trainer goes through its words in an order that each process draws anew, so the
same corpus gave another vocabulary every time; and 4 MB of Japanese and code took it 200 s. Here
candidates come from its BPE trainer (which repeats itself), the likeliest way to write each word
from its unigram model, and the counting in between is done here: expectation maximisation with the
best segmentation instead of all, and pieces that cost least to lose go first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import AddedToken, models, trainers

from kataribe.make.tokens.kinds import UNKNOWN, TokenizerPlan, untrained

LONGEST = 16
"""Characters of a piece."""
_CANDIDATES = 3  # for each piece that is wanted
_KEPT = 0.7  # of the candidates, each time
_COVERED = 0.9995  # of a text's characters have pieces of their own; the rest is bytes
_NEVER = -1000.0
"""A score that no characters of a text fall to: tokens that people must not write by typing."""

_ASCII = [chr(code) for code in range(32, 127)] + ["\t", "\n", "\r"]


def train_unigram(
    texts: Sequence[str], plan: TokenizerPlan, told: Callable[[float], None]
) -> tokenizers.Tokenizer:
    """The tokenizer with the likeliest pieces for these texts; `told` hears the share done."""
    letters = _letters(texts, plan)
    wanted = plan.vocab_size - len(plan.special_tokens) - 256
    pieces = _candidates(texts, plan, letters, wanted)
    told(0.3)
    kept = dict.fromkeys(letters)
    scores = {piece: float(-len(piece)) for piece in pieces}
    rounds = max(1, math.ceil(math.log(max(1.0, len(scores) / wanted)) / -math.log(_KEPT)))
    for done in range(rounds + 1):
        for _ in range(2):
            counts = _counts(texts, plan, scores)
            scores = _scores(scores, counts)
        told(0.3 + 0.7 * (done + 1) / (rounds + 1))
        if done == rounds:
            break
        size = wanted if done == rounds - 1 else max(wanted, int(len(scores) * _KEPT))
        scores = _pruned(scores, counts, kept, size)
    return _built(plan, scores)


def _letters(texts: Sequence[str], plan: TokenizerPlan) -> list[str]:
    """ASCII, and the most frequent characters until nearly all of the text is covered."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    most = (plan.vocab_size - len(plan.special_tokens) - 256) // 2
    known = dict.fromkeys(_ASCII[:most])
    total, covered = sum(counts.values()), sum(counts[each] for each in known)
    for letter, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= _COVERED * total or len(known) >= most:
            break
        if letter not in known and letter != "\0":
            known[letter] = None
            covered += count
    return list(known)


def _candidates(
    texts: Sequence[str], plan: TokenizerPlan, letters: Sequence[str], wanted: int
) -> list[str]:
    maker = tokenizers.Tokenizer(models.BPE())
    maker.pre_tokenizer = untrained(plan).pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=max(wanted * _CANDIDATES, len(letters)),
        min_frequency=2,
        initial_alphabet=list(letters),
        limit_alphabet=len(letters),
        max_token_length=LONGEST,
        special_tokens=[],
        show_progress=False,
    )
    maker.train_from_iterator(texts, trainer)
    found = sorted(maker.get_vocab().items(), key=lambda item: item[1])
    return list(dict.fromkeys([*letters, *(piece for piece, _ in found)]))


def _counts(
    texts: Sequence[str], plan: TokenizerPlan, scores: dict[str, float]
) -> NDArray[np.int64]:
    """How often each piece is used when every word is written the likeliest way."""
    inner = _built(plan, scores)
    first = inner.get_vocab_size() - len(scores)
    counts = np.zeros(inner.get_vocab_size(), np.int64)
    for at in range(0, len(texts), 64):
        for found in inner.encode_batch_fast(list(texts[at : at + 64]), add_special_tokens=False):
            counts += np.bincount(np.array(found.ids, np.int64), minlength=len(counts))
    return counts[first:]


def _scores(scores: dict[str, float], counts: NDArray[np.int64]) -> dict[str, float]:
    smoothed = counts + 0.5
    logs = np.log(smoothed / smoothed.sum()).tolist()
    return dict(zip(scores, logs, strict=True))


def _pruned(
    scores: dict[str, float], counts: NDArray[np.int64], letters: dict[str, None], size: int
) -> dict[str, float]:
    """The letters, and the pieces without which the texts would be least likely."""
    losses = {
        piece: count * (scores[piece] - _without(piece, scores))
        for piece, count in zip(scores, counts.tolist(), strict=True)
        if piece not in letters
    }
    best = sorted(losses, key=lambda piece: (-losses[piece], piece))[: max(0, size - len(letters))]
    chosen = set(best)
    return {piece: value for piece, value in scores.items() if piece in letters or piece in chosen}


def _without(piece: str, scores: dict[str, float]) -> float:
    """The score of the likeliest way to write a piece with others."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            if start or end < len(piece):
                score = scores.get(piece[start:end])
                if score is not None and best[start] + score > best[end]:
                    best[end] = best[start] + score
    return best[-1]


def _built(plan: TokenizerPlan, scores: dict[str, float]) -> tokenizers.Tokenizer:
    """Special tokens, a token for every byte, pieces."""
    specials = plan.special_tokens
    rows = [(text, _NEVER) for text in specials]
    rows += [(f"<0x{byte:02X}>", _NEVER) for byte in range(256)]
    rows += list(scores.items())
    inner = untrained(plan)
    inner.model = models.Unigram(rows, unk_id=specials.index(UNKNOWN), byte_fallback=True)
    inner.add_special_tokens([AddedToken(each, normalized=False) for each in specials])
    return inner
