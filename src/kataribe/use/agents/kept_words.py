"""Names, numbers and open tasks in a text: what a summary must not lose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

_NUMBER = (
    r"(?<![\w.])[$€£¥]?\d[\d.,:/-]*\d(?:\s?(?:%|円|年|月|日|[a-zA-Zμ°]{1,4}\b))?|(?<![\w.])\d+%?"
)
_ADDRESS = r"https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+|(?:/[\w.-]+){2,}"
_NAME = r"(?<!^)(?<![.!?。] )(?<!: )\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*"
_KATAKANA = r"[\u30a1-\u30fa\u30fc]{3,}"
_QUOTED = r"「[^」\n]{1,40}」|\"[^\"\n]{1,40}\""
_PERSON = r"[\u4e00-\u9fff]{1,4}(?:さん|様|氏|先生)"
_TASK = r"(?:^|\n)[^\n]*(?:\[ \]|\b(?:TODO|todo)\b|未完了|要対応|やること)[^\n]*"

CHARACTERS_PER_TOKEN = 3
"""About what a token has, in words of both languages together."""


def left_out(text: str, summary: str, tokens: int) -> str:
    """A line with what `summary` has lost of the names, numbers and open tasks in `text`.

    At most about `tokens` long: what is named most often comes first, and of the rest it is said
    how much there is. Empty where nothing is lost.
    """
    lost = [word for word in _in_order(text) if not _has(summary, word)]
    if not lost:
        return ""
    room = tokens * CHARACTERS_PER_TOKEN
    kept: list[str] = []
    for word in lost:
        room -= len(word) + 2
        if room < 0:
            break
        kept.append(word)
    more = f" (and {len(lost) - len(kept)} more)" if len(kept) < len(lost) else ""
    return f"Also mentioned: {'; '.join(kept)}{more}" if kept else ""


def _has(summary: str, word: str) -> bool:
    """Whether a word stands there; 4 does not stand in 40."""
    before = r"(?<![\d.,])" if word[0].isdigit() else ""
    after = r"(?![.,]?\d)" if word[-1].isdigit() else ""
    return re.search(f"{before}{re.escape(word)}{after}", summary) is not None


def _in_order(text: str) -> Iterator[str]:
    """Open tasks first, then the rest from the most often named to the least."""
    tasks = dict.fromkeys(found.group().strip() for found in re.finditer(_TASK, text))
    yield from tasks
    counts: Counter[str] = Counter()
    for pattern in (_ADDRESS, _NUMBER, _NAME, _KATAKANA, _QUOTED, _PERSON):
        counts.update(found.group().strip(" .,") for found in re.finditer(pattern, text))
    for word, _ in counts.most_common():
        if word and not any(word in task for task in tasks):
            yield word
