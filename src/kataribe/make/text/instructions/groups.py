"""What belongs together, so that all of it is trained on or all of it is held out."""

from __future__ import annotations


class Groups:
    """Disjoint sets of texts, each named by the least of them."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, text: str) -> str:
        """The name of the set that a text is in."""
        above = self._above
        while (higher := above.setdefault(text, text)) != text:
            above[text] = above.setdefault(higher, higher)
            text = above[text]
        return text

    def join(self, first: str, *others: str) -> None:
        """Makes one set of those that these texts are in."""
        for other in others:
            left, right = self.find(first), self.find(other)
            self._above[max(left, right)] = min(left, right)
