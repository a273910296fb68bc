"""How large a regular expression becomes when its repetitions are written out."""

from __future__ import annotations

import re

_COUNT = re.compile(r"\{(\d*),?(\d*)\}")
_MOST_COUNT = 10**9


def expanded_length(pattern: str) -> int:
    """Letters of a pattern with every `{n}` and `{m,n}` written out; a class counts as one.

    `(a{1000}){1000}` has a million. Compilers build as many states, so this is worth knowing
    before. A pattern that is invalid gets some number; the compiler says what is wrong with it.
    """
    groups = [0]  # letters so far in each group that is open
    last = 0  # letters of what a repetition would repeat
    place = 0
    while place < len(pattern):
        letter = pattern[place]
        count = _COUNT.match(pattern, place)
        if letter == "(":
            groups.append(0)
        elif letter == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif count is not None:
            times = min(_MOST_COUNT, max(int(number or 0) for number in count.groups()))
            groups[-1] += last * max(0, times - 1)
            last *= max(1, times)
            place = count.end() - 1
        elif letter not in "*+?|^$":
            place = _end_of_atom(pattern, place)
            last = 1
            groups[-1] += 1
        place += 1
    return sum(groups)


def _end_of_atom(pattern: str, place: int) -> int:
    """Place of the last character of an escape, a class or a letter."""
    if pattern[place] == "\\":
        return place + 1
    if pattern[place] != "[":
        return place
    depth = 0
    while place < len(pattern):
        if pattern[place] == "\\":
            place += 1
        elif pattern[place] == "[":
            depth += 1
        elif pattern[place] == "]":
            depth -= 1
            if depth == 0:
                break
        place += 1
    return place
