"""Which encoding a text is in, on Japanese of all lengths and on what is broken."""

from __future__ import annotations

import pytest

from kataribe.make.text.encoding import REPLACEMENT, decode

LONG = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。\n"
)
SHORT = ("自分の事をしろ。", "彼は東京に住んでいる。", "カタカナとABC", "①㈱髙橋です")
ENCODINGS = ("utf-8", "utf-8-sig", "cp932", "euc_jp", "iso2022_jp", "utf-16", "utf-16-le")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_japanese_is_read_in_every_encoding(encoding):
    found = decode(LONG.encode(encoding))
    assert found is not None
    assert found.text == LONG
    assert found.encoding == encoding.removesuffix("-sig")
    assert found.replaced == 0


@pytest.mark.parametrize("text", SHORT)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_short_sentence_is_enough(text, encoding):
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        pytest.skip(f"{text} cannot be written in {encoding}")
    if encoding == "utf-16-le" and text.startswith("①"):
        pytest.skip("these bytes happen to be good UTF-8, too")
    found = decode(data)
    assert found is not None
    assert found.text == text


def test_euc_is_not_taken_for_half_width_katakana():
    assert decode("日本語の文章です".encode("euc_jp")).encoding == "euc_jp"
    assert decode("ﾃﾞｰﾀﾌｧｲﾙ ｼﾞｭｳｼｮ ｶﾅ".encode("cp932")).text == "ﾃﾞｰﾀﾌｧｲﾙ ｼﾞｭｳｼｮ ｶﾅ"


def test_broken_utf8_keeps_what_is_right_and_counts_what_is_not():
    data = LONG.encode()
    broken = data[:24] + b"\xff\xfe" + data[24:-2]
    found = decode(broken)
    assert found.encoding == "utf-8"
    assert found.replaced == found.text.count(REPLACEMENT) > 0
    assert "名前はまだ無い" in found.text


def test_a_replacement_character_of_the_text_itself_is_not_counted():
    found = decode(f"{LONG}{REPLACEMENT}".encode() + b"\xff")
    assert found.replaced == 1


def test_european_text_is_not_taken_for_japanese():
    text = "Le café était déjà fermé quand nous sommes arrivés à la gare. " * 5
    found = decode(text.encode("cp1252"))
    assert found.text == text


def test_chinese_is_not_taken_for_japanese():
    text = "北京是中华人民共和国的首都，是全国的政治中心和文化中心，也是国际交往的中心。" * 4
    found = decode(text.encode("gb18030"))
    assert found.text == text


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 20,
        b"\x89PNG\r\n\x1a\n" + bytes(2000),
        b"\x7fELF\x02\x01\0\0" * 99,
        b"abc\0" * 999,
    ],
)
def test_what_is_no_text_is_told(data):
    assert decode(data) is None


def test_a_declared_encoding_is_believed_when_every_byte_agrees():
    text = "naïve café œuvre – “quoted”"
    assert decode(text.encode("cp1252"), "windows-1252").text == text
    assert decode(LONG.encode("euc_jp"), "no-such-codec").text == LONG
    assert decode(LONG.encode("euc_jp"), "hex").text == LONG


def test_an_empty_file_is_an_empty_text():
    assert decode(b"").text == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [LONG, "Plain words in lines.\n" * 9, "北京是中国的首都。\n" * 9])
def test_utf16_without_its_mark(text, encoding):
    found = decode(text.encode(encoding))
    assert (found.text, found.encoding) == (text, encoding)
