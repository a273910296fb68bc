"""Texts that tokenizers get wrong: every script, every kind of space, bytes that are no letters."""

# ruff: noqa: E501

from __future__ import annotations

import os
import random
import unicodedata

JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "ｶﾞｷﾞｸﾞ ﾊﾝｶｸ ｶﾅ、全角ＡＢＣ１２３、㈱㌔㍻、々〆ゝヽ、髙﨑、𠮷野家、葛󠄀城",
    unicodedata.normalize("NFD", "ガギグゲゴ パピプペポ が café naïve Å 한국어"),
    unicodedata.normalize("NFC", "ガギグゲゴ パピプペポ が café naïve Å 한국어"),
    "東京都は「とうきょうと」と読む。\n\t・箇条書き\n  ※注意…！？〜ー",
)
SCRIPTS = (
    "Hello, world! It's we'll THEY'RE I'd can't DON'T o'clock 'tis",
    "Ünïcödé ñandú Straße ΑΒΓ αβγ Привет мир İstanbul ǅ ﬁ ﬀ",
    "שלום עולם مرحبا بالعالم \u200fالعربية\u200e ١٢٣ ۴۵۶ नमस्ते हिन्दी ক্ষ ไทยภาษา ខ្មែរ မြန်မာ",
    "中文字符，标点。繁體中文 한국어 조선말 ᄒᆞᆫ글 Tiếng Việt với dấu",
    "e\u0301 a\u0300\u0323 Z̸̢̛͖a̵͠l̷g̶o̸ \u0301alone ⃝ \u200dzwj\u200b zwsp\ufeffbom\u00adsoft",
)
EMOJI = (
    "👍👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇯🇵🇫🇷 ❤️ ☺ 1️⃣ #️⃣ 🫠 🧑‍💻 text 🎉🎉🎉",
    "∑∫√∞ ≤≥≠ x² y₃ ½ Ⅷ ① ㊗ ௧ ৪ €£¥₿ ©®™ ← ⇒ ■ ░ ┌─┐ ♪ 𝔘𝔫𝔦 𝟙𝟚",
)
SPACES = (
    " ", "  ", "   ", "\n", "\n\n", "\n\n\n\n", "\t", "\t\t\t", "\r\n", "\r\n\r\n", "\r", " \n ",
    "a  b   c    d     e", "a\tb\t\tc \t d", "line\r\nline\n\nline\r\rline", "  leading", "trailing  ",
    "\u00a0nbsp\u3000ideographic\u2003em\u2028ls\u2029ps\u0085nel\u1680\u202f\u205f x", " " * 77,
    "x" + " " * 33 + "y", "\n" * 40, "a\n \n  \n   b", "\u3000\u3000字下げ", "\x0b\x0c vt ff", "tab\t",
)  # fmt: skip
CODE = (
    "def f(x: int) -> str:\n    return f'{x!r:>10}'  # コメント\n\n\nclass A(B):\n\tpass\n",
    'for (int i=0;i<10;i++){\r\n\tprintf("%d\\n", a[i]);\r\n}\n/* ---- */ #define X_Y 0x1F',
    '<div class="a"><b>&amp;</b></div> </s> <s> <pad> [INST] {{ x }} ${y} `z` ~~ ^^ || && @_@',
    "SELECT * FROM t WHERE a='b' AND c>=1.5e-10; -- x\n https://例え.jp/a?b=c&d=%20#e",
    "1234567890 12 123 1,234.56 3.14159 0001 1e9 １２３４ v1.2.3 2026-11-21T23:59:59Z +81-3",
)
ODD = (
    "", "a", "あ", "\x00", "a\x00b", "\x01\x02\x1b[31m\x7f\x80\x9f", "\ufffd", "\ufffe\uffff", "\U0010ffff",
    "a" * 500, "あ" * 300, "ab" * 300, "1" * 200, "🎌" * 60, "=" * 130, "▁", "▁▁ ▁a a▁", "<0x0A><0x41>",
    "Ġhello Ċ", "##ing ##", "supercalifragilisticexpialidocious" * 8, "'" * 9, "'s'S's 're", "\\n\\t",
)  # fmt: skip

TEXTS = (*JAPANESE, *SCRIPTS, *EMOJI, *SPACES, *CODE, *ODD)


def a_seed() -> int:
    """The same each time, unless the environment says another (SEED=...), to look further."""
    return int(os.environ.get("SEED", "20261122"))


def random_texts(seed: int, count: int) -> list[str]:
    """Texts of characters from everywhere, glued together without sense."""
    source = random.Random(seed)
    pool = [piece for text in TEXTS for piece in (text[:7], text[-5:]) if piece]

    def character() -> str:
        while True:
            found = chr(source.choice([source.randrange(0x250), source.randrange(0x11000)]))
            # What newer versions of Unicode assign is a letter to one library and none to another.
            if unicodedata.category(found) not in ("Cs", "Cn"):
                return found

    texts = []
    for _ in range(count):
        parts = [
            source.choice(pool) if source.random() < 0.6 else character()
            for _ in range(source.randrange(1, 25))
        ]
        texts.append("".join(parts))
    return texts
