"""Questions in Japanese about manual pages: what is read from roff, and what is asked of it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import defaultdict

import pytest
from prose import KANA

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.make.text.instructions import InstructionChoices, make_instructions
from kataribe.make.text.instructions.manuals import questions_about_pages
from kataribe.make.text.instructions.pages import Entry, Page, manual_pages, read_page

PAGE = r""".\" comment
.TH KATARU "1" "2024年5月"
.SH 名前
kataru, kataribe \- 聞いた物語を
標準出力に語る
.SH 書式
.B kataru
[\fIオプション\fR]
.SH オプション
.TP
\fB\-s\fR, \fB\-\-slow\fR
ゆっくりと
物語を語る。二文目は要らない。
.TP
.B \-o \fIファイル\fR
語りを標準出力ではなくファイルに書く
.PP
段落が続く。
.IP "\fB\-q\fR" 4
題名を語らない (短い物語のときは別) 。
.TP
\fB\-\-help\fR
使い方を表示して終了する。
.TP
\fB\-b\fR
括弧(が閉じない。
.TP
\fB\-e\fR
English only, not translated.
.SH エラー
.TP
.B ENOTALE
物語がどこにもない。
"""
ENGLISH = ".TH KATARU 1\n.SH NAME\nkataru \\- recite a tale that was heard\n.SH SYNOPSIS\nkataru\n"


def japanese_page(number):
    """A page like no other."""
    word = KANA[number % 30] + KANA[number // 30] + KANA[(7 * number) % 31]
    return rf""".TH TALE{number} 1
.SH 名前
tale{number} \- {word}の話を{number}回語る
.SH オプション
.TP
\fB\-{chr(97 + number % 26)}\fR
{word}を{number}回だけ歌いながら語る。
.TP
\fB\-\-end\fR={number}
{word}の{number}番目で終わる。
"""


def english_page(number):
    return f".TH TALE{number} 1\n.SH NAME\ntale{number} \\- recite tale number {number}\n"


def asked_about(*pages):
    by_kind = defaultdict(list)
    for example in questions_about_pages(pages):
        by_kind[example.kind].append(example)
    return by_kind


def test_a_page_says_what_it_is_about_and_lists():
    page = read_page(PAGE, "1")
    assert (page.names, page.section, page.japanese) == (("kataru", "kataribe"), "1", True)
    assert page.about == "聞いた物語を標準出力に語る"  # lines join without a blank
    listed = {entry.tag: (entry.text, entry.heading) for entry in page.entries}
    assert listed["-s, --slow"] == ("ゆっくりと物語を語る。二文目は要らない。", "オプション")
    assert listed["-o ファイル"][0] == "語りを標準出力ではなくファイルに書く"
    assert listed["-q"][0] == "題名を語らない (短い物語のときは別) 。"
    assert listed["ENOTALE"] == ("物語がどこにもない。", "エラー")
    english = read_page(ENGLISH, "1")
    assert (english.japanese, english.about) == (False, "recite a tale that was heard")
    assert read_page(".TH X 1\n.SH SYNOPSIS\nx\n.SH NAME\nx \\- too late a name\n", "1") is None
    assert read_page(".TH X 1\n.SH NAME\nx does not say it\n", "1") is None
    assert read_page("no page at all", "1") is None


def test_answers_are_what_the_page_says():
    asked = asked_about(read_page(PAGE, "1"), read_page(ENGLISH, "1"))
    assert {e.answer for e in asked["ja_does"]} == {"聞いた物語を標準出力に語る。"}
    assert [e.answer for e in asked["ja_which"]] == ["kataru です。"]
    assert [e.answer for e in asked["ja_section"]] == ["kataru は第 1 章(コマンド)にあります。"]
    told = {e.answer for e in asked["ja_option"]}
    assert told == {
        "ゆっくりと物語を語る。",
        "語りを標準出力ではなくファイルに書く。",
        "題名を語らない (短い物語のときは別) 。",
    }  # neither what all programs have, nor broken sentences, nor English
    assert [e.answer for e in asked["ja_error"]] == ["物語がどこにもない。"]
    assert [e.answer for e in asked["to_english"]] == ["recite a tale that was heard"]
    assert [e.answer for e in asked["to_japanese"]] == ["聞いた物語を標準出力に語る"]
    for example in [*asked["ja_read"], *asked["ja_find"]]:
        assert example.given
        assert example.answer.removesuffix(" です。") in example.question
    assert {e.answer for e in asked["ja_find"]} >= {"-s, --slow です。", "ENOTALE です。"}


class Compared(str):
    """A tag that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other):
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_entries_that_a_page_lists_twice_are_found_without_comparing_all_with_all():
    entries = [
        Entry(Compared(f"E{number:05}"), f"{number}番の物語がない。", "") for number in range(500)
    ]
    twice = [Entry(Compared("E00007"), "別の物語がない。", "")]
    page = Page(("kataru",), "2", "物語を語る", japanese=True, entries=(*entries, *twice))
    Compared.times = 0
    asked = asked_about(page)
    assert Compared.times < 10 * len(entries)  # 250,000 where each is compared with each
    assert len(asked["ja_error"]) == len(entries) - 1
    assert not [one for one in asked["ja_error"] if "E00007" in one.question]


def test_pages_that_share_a_name_or_a_description_are_one_item():
    other = PAGE.replace("kataru, kataribe", "kataribe, yomu").replace("聞いた物語を", "別の話を")
    same = PAGE.replace("kataru, kataribe", "miru")
    alone = japanese_page(5)
    pages = [read_page(each, "1") for each in (PAGE, other, same, alone)]
    assert len({e.item for e in questions_about_pages(pages)}) == 2


def packed(folder):
    """The same pages as a folder and as an archive."""
    folder.mkdir()
    archive = folder.parent / "pages.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(60):
            for language, page in (("ja", japanese_page(number)), ("en", english_page(number))):
                name = f"{language}/man1/tale{number}.1.gz"
                data = gzip.compress(page.encode())
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return archive


def test_a_folder_and_an_archive_give_the_same_pages(tmp_path):
    archive = packed(tmp_path / "man")
    pages = [
        set(manual_pages(str(each), tmp_path, lambda _: None))
        for each in (tmp_path / "man", archive)
    ]
    assert len(pages[0]) == 120
    assert pages[0] == pages[1]


def test_data_are_split_by_page_with_no_answer_on_both_sides(tmp_path):
    packed(tmp_path / "man")
    twins = tmp_path / "twins"  # other names, and one option that says what another page says
    twins.mkdir()
    for number in range(60, 80):
        page = japanese_page(number)
        first = japanese_page(number - 60).split("\\fR\n")[1].split("\n")[0]
        own = page.split("\\fR\n")[1].split("\n")[0]
        (twins / f"tale{number}.1").write_text(page.replace(own, first), "utf-8")
    sources = tuple(f"manuals:{tmp_path}/{each}" for each in ("man", "twins", "man"))
    told = []
    made = make_instructions(
        InstructionChoices(sources, valid_share=0.3), tmp_path / "made", report=told.append
    )
    assert told[0] == f"Asking about {sources[0]}"
    sides = [
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in (made.train, made.valid)
    ]
    questions = [[row["messages"][0]["content"] for row in side] for side in sides]
    assert len(questions[0]) == len(set(questions[0]))
    assert not set(questions[0]) & set(questions[1])
    answers = [
        {row["messages"][1]["content"] for row in side if not row["given"]} for side in sides
    ]
    assert not answers[0] & answers[1]
    assert not {row["item"] for row in sides[0]} & {row["item"] for row in sides[1]}
    assert made.card["dropped_from_valid"]["answer_in_training"] > 0
    assert {"ja_does", "ja_option", "to_english"} <= made.card["splits"]["valid"]["kinds"].keys()


def test_sources_without_pages_are_said(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("No manual page.")
    with pytest.raises(NotFoundError, match="notes has no manual page in Japanese or English"):
        make_instructions(InstructionChoices((f"manuals:{tmp_path}/notes",)), tmp_path / "made")
    broken = tmp_path / "broken.1.gz"
    broken.write_bytes(gzip.compress(PAGE.encode())[:-9])
    with pytest.raises(FormatError, match=r"broken\.1\.gz is damaged"):
        list(manual_pages(str(broken), tmp_path, lambda _: None))
    assert not (tmp_path / "made").exists()
