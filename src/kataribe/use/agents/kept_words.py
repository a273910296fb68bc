"""Names, numbers and open tasks in a text: what a summary must not lose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

# Japanese puts no space before a number, and its letters are \w like any others.
_LATIN = r"[^\W\u3040-\u30ff\u3400-\u9fff々〆]"
_ALONE = rf"(?<!{_LATIN})(?<![.])"
_COUNTER = r"(?:%|[円年月日時分秒人件個台回本枚億万千百])"
_UNIT = r"\s?(?:[kcmnμµ]?[mgsBVWAlL]|[kMGT]i?B|km|kg|h|min|°[CF]?)\b"
_MEASURE = rf"(?:{_COUNTER}{{1,2}}|{_UNIT})"
_NUMBER = rf"{_ALONE}[$€£¥]?(?:\d[\d.,:/-]*\d{_MEASURE}?|\d{_MEASURE})(?:\d+{_COUNTER})*"
_DIGIT = rf"{_ALONE}(?<!\d[,:/-])\d(?!{_LATIN}|{_MEASURE}|[.,:/-]\d)"
_ADDRESS = r"https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+|(?:/[\w.-]+){2,}"
_NAME = r"\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*"
_KATAKANA = r"[\u30a1-\u30fa\u30fc]{3,}"
_QUOTED = r"「[^」\n]{1,40}」|\"[^\"\n]{1,40}\""
_PERSON = r"[\u4e00-\u9fff]{1,4}(?:さん|様|氏|先生)"
_TASK = r"(?:^|\n)[^\n]*(?:\[ \]|\b(?:TODO|todo)\b|未完了|要対応|やること)[^\n]*"

_NO_NAMES = (
    " a after all also an and any are as at because before but by can could did do does for from "
    "had has have he her here his how however i if in is it its let may my no not now of on or our "
    "please she should so some than thank that the their then there these they this those to was "
    "we were what when where which who why will with would yes you your "
)
"""Words that begin sentences with a capital and name nobody."""


ALSO = "Also mentioned:"

LONG_NUMBER = 4
"""Characters from which on a number is more likely to matter than the many short ones."""


def left_out(text: str, summary: str, tokens: int, count: Callable[[str], int]) -> str:
    """Lines with what `summary` has lost of the names, numbers and open tasks in `text`.

    At most `tokens` long by `count`: open tasks first, then names, then numbers, and of what does
    not fit it is said how much there is. Empty where nothing is lost.
    """
    tasks = dict.fromkeys(found.group().strip() for found in re.finditer(_TASK, text))
    lost_tasks = [task for task in tasks if not _has(summary, task)]
    words = [word for word in _in_order(text) if not any(word in task for task in tasks)]
    lost = [word for word in words if not _has(summary, word)]
    room = tokens - count(f"{ALSO} (and 1000 more)")
    kept_tasks, room = _fitting(lost_tasks, "\n", room, count)
    kept, room = _fitting(lost, "; ", room, count)
    left = len(lost_tasks) + len(lost) - len(kept_tasks) - len(kept)
    more = f" (and {left} more)" if left else ""
    return "\n".join([*kept_tasks, *([f"{ALSO} {'; '.join(kept)}{more}"] if kept else [])])


def _fitting(
    words: Sequence[str], joint: str, room: int, count: Callable[[str], int]
) -> tuple[list[str], int]:
    """Those that fit, in order, and the room that they leave."""
    kept: list[str] = []
    for word in words:
        size = count(f"{joint}{word}")
        if size <= room:
            kept.append(word)
            room -= size
    return kept, room


def _has(summary: str, word: str) -> bool:
    """Whether a word stands there; 4 does not stand in 40."""
    before = r"(?<![\d.,])" if word[0].isdigit() else ""
    after = r"(?![.,]?\d)" if word[-1].isdigit() else ""
    return re.search(f"{before}{re.escape(word)}{after}", summary) is not None


def _in_order(text: str) -> Iterator[str]:
    """Names and addresses from the most often named to the least, then numbers, digits last."""
    named = Counter(_found(text, _ADDRESS, _QUOTED, _PERSON, _NAME, _KATAKANA))
    yield from (word for word, _ in named.most_common())
    numbers = [word for word, _ in Counter(_found(text, _NUMBER)).most_common()]
    yield from sorted(numbers, key=lambda word: len(word) < LONG_NUMBER)
    yield from dict.fromkeys(_found(text, _DIGIT))


def _found(text: str, *patterns: str) -> Iterator[str]:
    for pattern in patterns:
        for found in re.finditer(pattern, text):
            word = found.group().strip(" .,")
            while pattern == _NAME and _begins_a_sentence(word):
                word = word.partition(" ")[2]
            if word:
                yield word


def _begins_a_sentence(words: str) -> bool:
    return f" {words.partition(' ')[0].casefold()} " in _NO_NAMES
