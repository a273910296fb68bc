"""Stop strings in text that arrives in pieces (Aho and Corasick 1975)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Node:
    depth: int
    children: dict[str, _Node] = field(default_factory=dict)
    fallback: _Node | None = None
    match: str | None = None  # the longest stop string that ends here


class StopMatcher:
    """Finds the first stop string to be completed, and never lets go of a part of one.

    The text is read character by character, so how it was cut into tokens does not matter: the
    stop string that is complete first wins, and of several that end at the same character the
    longest. Text that may be the beginning of one is held back until it turns out not to be.
    Each character costs a constant time on average, however many stop strings there are.

    Args:
        stops: The stop strings, none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._root = _build(stops)
        self._node = self._root
        self._held = ""
        self.matched: str | None = None

    def push(self, text: str) -> str:
        """Takes the next text; returns what is now certain to be part of the reply.

        After a match (`matched` says which) that is what came before it, and then nothing more.
        """
        if self.matched is not None:
            return ""
        if not self._root.children:
            return text
        whole = self._held + text
        for place, character in enumerate(text, start=len(self._held) + 1):
            self._node = self._next(self._node, character)
            if self._node.match is not None:
                self.matched = self._node.match
                self._held = ""
                return whole[: place - len(self.matched)]
        certain = len(whole) - self._node.depth
        self._held = whole[certain:]
        return whole[:certain]

    def finish(self) -> str:
        """The text that was held back, when no more is coming."""
        held, self._held = self._held, ""
        self._node = self._root
        return held

    def _next(self, node: _Node, character: str) -> _Node:
        at: _Node | None = node
        while at is not None:
            child = at.children.get(character)
            if child is not None:
                return child
            at = at.fallback
        return self._root


def _build(stops: Sequence[str]) -> _Node:
    root = _Node(0)
    for stop in stops:
        node = root
        for character in stop:
            node = node.children.setdefault(character, _Node(node.depth + 1))
        node.match = stop
    waiting = deque(root.children.values())
    for child in waiting:
        child.fallback = root
    while waiting:
        node = waiting.popleft()
        for character, child in node.children.items():
            at = node.fallback
            while at is not None and character not in at.children:
                at = at.fallback
            child.fallback = root if at is None else at.children[character]
            child.match = child.match or child.fallback.match
            waiting.append(child)
    return root
