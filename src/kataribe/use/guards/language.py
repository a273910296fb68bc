"""Notices a reply in another language than it should be in."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kataribe.base.abilities import messages_of
from kataribe.base.errors import SettingsError
from kataribe.base.events import FinishReason
from kataribe.base.lm import Request, TextFormat
from kataribe.base.messages import text_message, text_of
from kataribe.use.guards.guard import ALL, Action, Sighting, Verdict, check_action, excerpt

ENOUGH = 60
"""Letters after which a reply's language is told (a kanji or kana counts as three)."""
_FEWEST = 24
"""Letters below which nothing is told at the end of a reply either."""
_NAMES: Mapping[str, str] = {
    "ja": "日本語で答えてください。Answer in Japanese.",
    "en": "Answer in English.",
    "zh": "请用中文回答。Answer in Chinese.",
    "ko": "한국어로 답하세요. Answer in Korean.",
    "fr": "Répondez en français. Answer in French.",
    "de": "Antworte auf Deutsch. Answer in German.",
    "es": "Responde en español. Answer in Spanish.",
}
_SURE = 0.6
"""Probability from which on statistics are believed that a Latin text is not English."""
_WIDE = 3
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|<[^<>]{1,200}>|\$[^$\n]+\$", re.DOTALL)
_KANA = re.compile(r"[ぁ-ゖァ-ヺｦ-ﾝ]")
_HAN = re.compile(r"[一-鿿々㐀-䶿]")
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_LETTER = re.compile(r"[^\W\d_]")
_ASKED = re.compile(
    r"\b(?:english|japanese|chinese|korean|french|german|spanish|italian|portuguese|russian|latin|"
    r"translat\w*|language)\b|(?:英|日本|中国|韓国|仏|独|西|外国|フランス|ドイツ|スペイン|イタリア|ロシア)語|翻訳|和訳|英訳|"
    r"訳し|言語|英文|英単語|英会話",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"auto|[a-z]{2}")


@dataclass(frozen=True, slots=True)
class Language:
    """The guard `language`.

    Attributes:
        language: An ISO 639-1 code, or `auto`: that of the user's last message. Then nothing is
            checked where that message or the system message names a language or a translation, is
            too short to tell, or the reply has to have a form.
        action: `note`, `retry` (with a word on the language) or `stop`.
    """

    language: str = "auto"
    action: Action = "note"
    name: str = field(default="language", init=False)
    about: str = field(
        default="Notices a reply in another language than it should be in.", init=False
    )
    reads_reasoning: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_action(self.name, "action", self.action, ("note", "retry", "stop"))
        if not _LANGUAGE.fullmatch(self.language):
            raise SettingsError(
                f"The guard language has language {self.language!r}, but it must be auto or a code "
                "of two letters (ISO 639-1) such as ja or en.",
                param="language",
            )

    @property
    def holds(self) -> str:
        """What it holds back."""
        if self.action == "note":
            return "nothing"
        return f"the first {ENOUGH} letters (of Japanese: {ENOUGH // _WIDE}), code left out"

    def watch(self, request: Request) -> LanguageWatch:
        """A watch on one choice."""
        return LanguageWatch(self, _expected(self, request))


def language_of(text: str) -> str | None:
    """The code of a text's language, or None where it cannot be told for sure.

    Code, addresses and markup are left out. Kana decide for Japanese; other scripts for themselves;
    Latin letters are English unless statistics are sure of something else (Lui and Baldwin 2012).
    """
    prose = _CODE.sub(" ", text)
    kana, han = len(_KANA.findall(prose)), len(_HAN.findall(prose))
    letters = len(_LETTER.findall(prose)) + (_WIDE - 1) * (kana + han)
    if letters < _FEWEST:
        return None
    wide = _WIDE * (kana + han)
    if wide > letters / 2:
        return "ja" if kana > 0.05 * (kana + han) else "zh"
    if len(_HANGUL.findall(prose)) > letters / 2:
        return "ko"
    latin = len(_LATIN.findall(prose))
    if latin < 0.7 * letters:
        return None if wide > letters / 5 else _by_statistics(prose, 0.0)
    return _by_statistics(prose, _SURE)


def _by_statistics(prose: str, sure: float) -> str | None:
    found, probability = _identifier().classify(prose)
    if probability < sure or found == "zxx":
        return "en" if sure else None
    return str(found)


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _expected(guard: Language, request: Request) -> str | None:
    if guard.language != "auto":
        return guard.language
    messages = messages_of(request)
    users = [text_of(message) for message in messages if message.role == "user"]
    systems = [text_of(message) for message in messages if message.role == "system"]
    if not users or not isinstance(request.response_format, TextFormat):
        return None
    if any(_ASKED.search(text) for text in (users[-1], *systems)):
        return None
    return language_of(users[-1])


class LanguageWatch:
    """Looks at one choice once enough of it is there, and again at its end."""

    def __init__(self, guard: Language, expected: str | None) -> None:
        self._guard = guard
        self._expected = expected
        self._text: list[str] = []
        self._letters = 0
        self._done = expected is None

    def push(self, text: str, tokens: int) -> Verdict:  # noqa: ARG002
        """Takes the next characters."""
        if self._done:
            return Verdict()
        self._text.append(text)
        wide = len(_KANA.findall(text)) + len(_HAN.findall(text))
        self._letters += len(_LETTER.findall(text)) + (_WIDE - 1) * wide
        if self._letters >= ENOUGH:
            said = "".join(self._text)
            prose = _CODE.sub("", said)
            wide = len(_KANA.findall(prose)) + len(_HAN.findall(prose))
            if len(_LETTER.findall(prose)) + (_WIDE - 1) * wide >= ENOUGH:
                self._done = True
                return self._judged(said)
            self._letters = 0  # it was code; look again later
        return Verdict(hold=0 if self._guard.action == "note" else ALL)

    def finish(self, reason: FinishReason, *, calls: bool) -> Verdict:  # noqa: ARG002
        """Takes the end: short replies are told now."""
        if self._done:
            return Verdict()
        return self._judged("".join(self._text))

    def _judged(self, said: str) -> Verdict:
        found = language_of(said)
        if found is None or found == self._expected or self._expected is None:
            return Verdict()
        seen = Sighting(
            self._guard.name,
            f"the language is {found}, not {self._expected}",
            f"the first {len(said)} characters of the reply",
            excerpt(said),
            self._guard.action,
        )
        says = _NAMES.get(self._expected, f"Answer in the language {self._expected}.")
        hold = 0 if self._guard.action == "note" else ALL
        return Verdict(hold, seen, hint=(text_message("user", says),))
