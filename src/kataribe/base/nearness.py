"""What is said of a name that nothing has: the near names there are, else those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

LONGEST_LIST = 600
"""Characters of names in one sentence; how many more there are is said."""
LONGEST_NAME = 100
"""Characters of a name that are compared and shown: names come from strangers too."""
LIKENESS = 0.6
"""Of two names that are near, from 0 to 1, as `difflib.SequenceMatcher.ratio` counts it."""
SHORTEST_PART = 3
"""Letters from which on a name is near to every longer one that has it within."""

_NONE: Mapping[str, str] = MappingProxyType({})


def near(
    name: str, known: Iterable[str], *, most: int = 3, aliases: Mapping[str, str] = _NONE
) -> list[str]:
    """The known names that `name` may be meant for, the nearest first, whatever their case.

    Near are those that differ in few letters (Ratcliff and Metzener 1988; `difflib` has it),
    then those that have the whole name within.

    Args:
        name: What was given.
        known: The names there are.
        most: How many names to give at most.
        aliases: Other words, each with what is given in its place.
    """
    folded = {word.casefold()[:LONGEST_NAME]: shown for word, shown in aliases.items()}
    folded |= {each.casefold()[:LONGEST_NAME]: each for each in known}
    wanted = name.casefold()[:LONGEST_NAME]
    # Two words may stand for one name, so all that are alike are looked at.
    found = difflib.get_close_matches(wanted, folded, max(1, len(folded)), LIKENESS)
    if len(wanted) >= SHORTEST_PART:
        found += [each for each in folded if wanted in each]
    return list(dict.fromkeys(folded[each] for each in found))[:most]


def listed(names: Iterable[str]) -> str:
    """Names with commas between; of very many the first ones, and how many more there are."""
    every = list(names)
    shown: list[str] = []
    left = LONGEST_LIST
    for name in every:
        left -= len(_short(name)) + 2
        if left < 0:
            break
        shown.append(_short(name))
    rest = len(every) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def meant(
    name: str,
    known: Iterable[str],
    *,
    most: int = 1,
    there: str = "There are",
    otherwise: str | None = None,
    also: bool = False,
    aliases: Mapping[str, str] = _NONE,
) -> str:
    """A sentence for the end of an error: which names were meant, else which there are.

    `Did you mean A or B?`, or `There are A, B, C.`, or `There are none.`

    Args:
        name: What was given.
        known: The names there are.
        most: How many near names to tell at most.
        there: What the list of known names begins with.
        otherwise: A sentence in the place of that list.
        also: The list, or that sentence, follows near names too.
        aliases: Other words, each with what is told in its place.
    """
    names = list(known)
    found = near(name, names, most=most, aliases=aliases)
    if otherwise is None:
        otherwise = f"{there} {listed(names) or 'none'}."
    if not found:
        return otherwise
    asked = f"Did you mean {' or '.join(map(_short, found))}?"
    return f"{asked} {otherwise}" if also else asked


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
