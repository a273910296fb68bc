"""Text as a detector should read it: one way of writing for what looks or sounds the same.

Compatibility forms become plain ones (NFKC, Unicode Annex 15), letters small, katakana hiragana;
invisible characters and marks on letters go, tag characters (which spell invisible ASCII) become
what they spell, small capitals and letters in boxes and on flags become plain ones, letters of
other scripts that look Latin become Latin where the text is Latin (after Unicode Technical
Standard 39), and white space is one space.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_ODD = re.compile(r"[^\x00-\x7f]")
_CLUSTER = re.compile(r".[\u0300-\u036f\u3099\u309a\uff9e\uff9f]*", re.DOTALL)
_TAGS = re.compile(r"[\U000e0020-\U000e007e]")
_LATIN = re.compile(r"[a-z]")
_OTHERS = re.compile(r"[\u0370-\u052f]")  # Greek and Cyrillic
_LOOK_ALIKE = str.maketrans(
    "аеорсухіјѕԁһкмтвнгɡαεορυχικνητζԛԝѵ",
    "aeopcyxijsdhkmtbhrgaeopuxiknntzqwv",
)
_SMALL_CAPITALS = str.maketrans("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz")
_BOXED = (0x1F130, 0x1F150, 0x1F170, 0x1F1E6)
"""Where alphabets of boxed, circled and flag letters begin that have no compatibility form."""
_KATAKANA = {code: code - 0x60 for code in range(ord("ァ"), ord("ヶ") + 1)}
_INVISIBLE = frozenset({"Cf", "Mn", "Me", "Cc", "Co"})
_SPACES = " \t\n\r\x0b\x0c\x85\u3000\u2028\u2029"


@dataclass(frozen=True, slots=True)
class Plain:
    """A text as a detector reads it.

    Attributes:
        text: The plain text.
        places: For each of its characters, where it stood in the original.
        smuggled: Characters that were spelled with invisible tags.
    """

    text: str
    places: Sequence[int]
    smuggled: int = 0

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original that `start:end` came from."""
        if not self.places:
            return 0, 0
        first = self.places[min(start, len(self.places) - 1)]
        last = self.places[min(max(end - 1, start), len(self.places) - 1)]
        return first, last + 1


def plain(text: str) -> Plain:
    """The text as a detector reads it."""
    out: list[str] = []
    places: list[int] = []
    space = True
    pieces = _pieces(text)
    for at, piece in pieces:
        for character in piece:
            if character in _SPACES:
                if space:
                    continue
                space, character = True, " "
            else:
                space = False
            out.append(character)
            places.append(at)
    whole = "".join(out)
    odd = len(_OTHERS.findall(whole))
    if odd and len(_LATIN.findall(whole)) > odd / 2:
        whole = whole.translate(_LOOK_ALIKE)
    return Plain(whole, places, len(_TAGS.findall(text)))


def _pieces(text: str) -> Sequence[tuple[int, str]]:
    if not _ODD.search(text):
        return list(enumerate(text.lower()))
    return [(found.start(), plain_character(found[0])) for found in _CLUSTER.finditer(text)]


@lru_cache(maxsize=8192)
def plain_character(cluster: str) -> str:
    """A character (with its marks) as plain characters; the empty string for an invisible one."""
    code = ord(cluster[0])
    if 0xE0020 <= code <= 0xE007E:
        return chr(code - 0xE0000).lower()
    if cluster in _SPACES:
        return " "
    for first in _BOXED:
        if first <= code < first + 26:
            return chr(code - first + ord("a"))
    made = unicodedata.normalize("NFKC", cluster).lower()
    if _LATIN.match(unicodedata.normalize("NFD", made)):
        made = unicodedata.normalize("NFD", made)  # its marks go; those of kana stay in them
    made = made.translate(_KATAKANA).translate(_SMALL_CAPITALS)
    return "".join(
        each for each in made if each in _SPACES or unicodedata.category(each) not in _INVISIBLE
    )


def letters_of(text: str) -> str:
    """A text's letters and digits, plain and with nothing between them."""
    return "".join(
        letter for character in text for letter in plain_character(character) if letter.isalnum()
    )
