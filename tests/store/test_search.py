"""The index of words against looking through every text, letter by letter."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import conversations, messages, search
from kataribe.store.cutting import _Pieces, cut, fold, phrases, spots
from kataribe.store.database import Store
from kataribe.store.hits import LOOKED_THROUGH, hits
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.purge import delete_for_good
from kataribe.store.tables import LOCAL, passages
from tests.store.conftest import person, talk


def put(store: Store, *texts: str, owner: str = LOCAL) -> None:
    with store.writing() as tx:
        for number, text in enumerate(texts):
            search.index(tx, "message", f"{owner}{number}", owner, "c", text)


def found(store: Store, query: str, owner: str = LOCAL, **more) -> list[str]:
    more = {"kinds": ["message"], "limit": 1000, **more}
    with store.reading() as tx:
        return [one.ref.removeprefix(owner) for one in search.find(tx, owner, query, **more)]


@pytest.mark.parametrize(
    ("text", "query", "there"),
    [
        ("東京都の語り部", "東京", True),
        ("東京都の語り部", "京都", True),  # as a substring it is there
        ("東京都の語り部", "東都", False),
        ("東京と大阪、京と都", "京都", False),
        ("語り部", "語", True),
        ("語り部", "部", True),
        ("語り部", "り", True),
        ("語り部", "話", False),
        ("ﾃﾞﾊﾟｰﾄの地下", "デパート", True),
        ("ガード", "カード", False),
        ("か\u3099き", "がき", True),
        ("RAGの精度", "rag", True),
        ("RAGの精度", "ragの精", True),
        ("RAGの精度", "ａｇ", False),
        ("Ragtime", "rag", True),  # the last word may go on
        ("Ragtime blues", "rag blues", False),  # only the last one
        ("the cat", "t", False),  # one letter does not begin a word
        ("plan t", "t", True),
        ("foo_bar(baz)", "foo_bar", True),
        ("foo baz bar", '"foo bar"', False),
        ("foo, bar", '"foo bar"', True),
        ("Foo barn", '"foo bar"', False),
        ("C++ und C#", "c++", True),
        ("C and D", "c++", False),
        ("Café Zürich STRASSE", "cafe zurich straße", True),
        ("葛\U000e0100城市", "葛城", True),
        ("𠮷野家", "𠮷野", True),
        ("吉野家", "𠮷野", False),
        ("서울특별시", "울특", True),
        ("ภาษาไทย", "ไทย", True),
        ("हिन्दी भाषा", "हिन्दी", True),
        ("हिन्दी भाषा", "हन्दी", False),
        ("done 🎉", "🎉", True),
        ("done 🎈", "🎉", False),
        ("本 A", "本A", True),
        ("日本A", "本A", True),
        ("本日A", "本A", False),
        ("Aはい", "Aは", True),
        ("a\0b", "b", True),
        ("x OR y", "NEAR", False),
        ("owner", "owner:local", False),
        (LOCAL, '") OR owner : ("local', False),
    ],
)
def test_what_is_found(store, text, query, there):
    put(store, text)
    assert found(store, query) == (["0"] if there else [])


@pytest.mark.parametrize("query", ["", "  ", "。、", '"', '""', "*", "()", "\0", "\ue001", "゛"])
def test_nothing_to_look_for_finds_nothing(store, query):
    put(store, "all sorts of 言葉")
    assert found(store, query) == []


KANA = st.text("あいう東京都ー", max_size=12)
WORDS = st.lists(st.sampled_from(["a", "ab", "abc", "ba", "B", "Ab"]), max_size=5).map(" ".join)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(KANA, max_size=12), query=st.text("あいう東京都ー", min_size=1, max_size=4))
def test_japanese_is_found_wherever_it_stands(tmp_path_factory, texts, query):
    store = Store(tmp_path_factory.mktemp("words") / "k.db")
    put(store, *texts)
    plain = [str(number) for number, text in enumerate(texts) if query in text]
    assert found(store, query) == plain[::-1]
    store.close()


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.tuples(WORDS, KANA).map(" ".join), max_size=12), query=WORDS)
def test_words_are_found_whole_and_the_last_as_a_beginning(tmp_path_factory, texts, query):
    store = Store(tmp_path_factory.mktemp("words") / "k.db")
    put(store, *texts)
    wanted = query.lower().split()

    def holds(text: str) -> bool:
        has = text.lower().split()
        last = wanted[-1]
        begun = [word for word in has if word == last or (len(last) > 1 and word.startswith(last))]
        return bool(begun) and set(wanted[:-1]) <= set(has)

    plain = [str(number) for number, text in enumerate(texts) if wanted and holds(text)]
    assert found(store, query) == plain[::-1]
    store.close()


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(min_size=1, max_size=40))
def test_sqlite_leaves_every_token_as_it_is(tmp_path_factory, text):
    store = Store(tmp_path_factory.mktemp("words") / "k.db")
    put(store, text)
    with store.writing() as tx:
        tx.exec_driver_sql("CREATE VIRTUAL TABLE temp.seen USING fts5vocab(main, words, instance)")
        rows = tx.exec_driver_sql("SELECT term FROM seen WHERE col = 'text' ORDER BY offset")
        assert [row[0] for row in rows] == cut(text).split()
    store.close()


@given(text=st.text(st.characters(max_codepoint=127), max_size=80))
def test_plain_text_is_cut_as_any_other(text):
    assert cut(f"{text} 語").split()[:-2] == cut(text).split()


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=60), query=st.text(max_size=6))
def test_a_snippet_marks_what_matches(text, query):
    line, marks = search.snippet(text, query, 30)
    assert "\n" not in line
    assert "\0" not in line
    last = 0
    for start, end in marks:
        assert last <= start < end <= len(line)
        last = end
    if query.isalnum() and query in text and not unicodedata.combining(query[0]):
        assert search.snippet(query, query)[1] or not cut(query)


def test_a_snippet_shows_the_place_deep_in_a_long_text():
    text = "雨が降る。\n" * 200_000 + "ここに ｶﾞｿﾘﾝ がある" + "晴れ" * 50
    line, marks = search.snippet(text, "ガソリン", 40)
    assert [line[start:end] for start, end in marks] == ["ｶﾞｿﾘﾝ"]
    assert line.startswith("…")
    assert line.endswith("…")
    assert len(line) <= 42


def test_a_snippet_marks_only_whole_words_before_the_last():
    line, marks = search.snippet("concat cat the category", "cat the cat")
    assert [line[start:end] for start, end in marks] == ["cat", "the", "category"]


def marked(text: str, query: str) -> list[str]:
    return [text[start:end] for start, end in spots(text, query)]


@pytest.mark.parametrize(
    ("text", "query", "marks"),
    [
        ("a+ + =b", "+=", ["+ ="]),
        ("a+ . + =b", "++=", ["+ . + ="]),
        ("a+b=c", "+=", []),
        ("foo, (bar) foobar", '"foo bar"', ["foo, (bar"]),
        ("foo" + " " * 900 + "bar", '"foo bar"', ["foo" + " " * 900 + "bar"]),
        ("日本A 本日A 本 Ab", "本A", ["本A"]),
        ("日本A 本日A 本 Abc", "本Ab", ["本 Abc"]),
        ("Aはい Aはな", "Aは", ["Aは", "Aは"]),
        ("京都東京都", "京都", ["京都", "京都"]),
        ("ああああ", "ああ", ["ああ", "ああ"]),
        ("concat cat the category", "cat the cat", ["cat", "the", "category"]),
        ("ab abc ab", "ab abc", ["ab", "abc", "ab"]),
        ("x" * 150 + " y", "x" * 120, ["x" * 150]),
        ("C++ und c", "c++", ["C++"]),
        ("ｶﾞｿﾘﾝ++", "ガソリン+", ["ｶﾞｿﾘﾝ+"]),
    ],
)
def test_what_is_marked(text, query, marks):
    assert marked(text, query) == marks


@settings(deadline=None, max_examples=300)
@given(text=st.text("ab+=|. \n東京・", max_size=40), query=st.text('ab+=. 東京"', max_size=8))
def test_what_the_index_finds_is_marked(text, query):
    for phrase in phrases(query):
        held = f" {cut(text)} "
        if any(token.startswith("\ue001") for token in phrase.tokens):
            continue  # a single character has a token of its own
        sought = f" {' '.join(phrase.tokens)}" + ("" if phrase.open else " ")
        # The singles stand behind all others, where nothing of a phrase is.
        assert (phrase.sought in _Pieces(fold(text)).joined) == (sought in held)


HOSTILE = """
from kataribe.store.search import snippet
for sign in "+=<>|~^$`":
    end = "=" if sign == "+" else "+"
    for many in (6, 30, 100):
        text = sign * 60 + "a\\n" + sign * many + end
        assert snippet(text, sign * many + end)[1]
    assert not snippet(sign * 200_000 + "a", sign * 499 + end)[1]
    assert snippet((sign + " . ") * 50_000, f"{sign} a " * 90)[1]
"""


def test_signs_in_a_row_do_not_take_for_ever():
    # A process of its own: a search that does not end could not be stopped in this one.
    subprocess.run([sys.executable, "-c", HOSTILE], check=True, timeout=300)


def test_only_the_owners_things_are_found(store):
    with store.writing() as tx:
        person(tx, "other")
    put(store, "秘密の話")
    put(store, "秘密の話", "秘密", owner="other")
    assert found(store, "秘密") == ["0"]
    assert found(store, "秘密", "other") == ["1", "0"]
    assert found(store, "local") == []
    assert found(store, "other", "other") == []


def test_the_newest_come_first_and_go_on(store):
    put(store, *["同じ言葉 again"] * 10)
    with store.reading() as tx:
        first = search.find(tx, LOCAL, "again", kinds=["message"], limit=4)
        assert [one.ref for one in first] == [f"local{n}" for n in (9, 8, 7, 6)]
        rest = search.find(tx, LOCAL, "again", kinds=["message"], limit=100, before=first[-1].key)
        assert [one.ref for one in rest] == [f"local{n}" for n in (5, 4, 3, 2, 1, 0)]
        assert search.find(tx, LOCAL, "again", kinds=["title"], limit=4) == []


def test_changed_and_removed_words(store):
    put(store, "古い言葉 alpha", "別の言葉 beta")
    with store.writing() as tx:
        search.reindex(tx, "message", "local0", "古い言葉 alpha", "新しい gamma")
        search.unindex(tx, "message", "local1", "別の言葉 beta")
        search.unindex(tx, "message", "local1", "別の言葉 beta")  # it is gone already
        with pytest.raises(NotFoundError):
            search.reindex(tx, "message", "local1", "", "x")
    assert found(store, "言葉") == found(store, "alpha") == found(store, "beta") == []
    assert found(store, "新し") == found(store, "gamma") == ["0"]
    with store.writing() as tx:
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")


def test_a_query_that_is_too_long_is_refused(store):
    with pytest.raises(InputError, match=r"501 characters.*500"):
        found(store, "あ" * 501)
    assert found(store, "あ" * 500) == []


@pytest.mark.parametrize(
    "text",
    ["\u0301\u0323" * 500_000, "a" * 5_000_000, "東" * 1_000_000, " " * 5_000_000, "ﷺ" * 100_000],
    ids=["marks", "one word", "one run", "spaces", "long forms"],
)
def test_texts_made_to_be_slow_end(store, text):
    put(store, f"{text} 目印")
    assert found(store, "目印") == ["0"]
    assert search.snippet(f"{text} 目印", "目印", 20)[1] != []


def test_marks_that_are_letters_before_they_are_normalised_are_few():
    # What is folded shows how many of them were sorted: in quadratic time.
    assert len(fold("a" + "\uff9e\u0316" * 2_000)) < 50
    assert len(fold("a" + "\uff9f" * 2_000)) < 50
    assert fold("ﾊﾟｰﾃｨｰ" * 50) == "パーティー" * 50
    assert cut("☆ﾟ+" * 50 + "語").split().count("+") == cut("☆a+" * 50 + "語").split().count("+")


def test_a_search_looks_through_no_more_than_its_budget(store, monkeypatch):
    long, short = "あ" * 400_000 + " 目印", "短い 目印"
    with store.writing() as tx:
        for text in (short, long, long, long, long, long, long):
            talk(tx, text)
    folded = 0

    def counting(text: str) -> str:
        nonlocal folded
        folded += len(text)
        return fold(text)

    monkeypatch.setattr("kataribe.store.cutting.fold", counting)
    with store.reading() as tx:
        found, more = hits(tx, LOCAL, "目印", limit=50)
    assert (len(found), more) == (7, False)
    marks = [[hit.snippet[start:end] for start, end in hit.marks] for hit in found]
    assert (marks[0], marks[-1]) == (["目印"], ["目印"])  # the one after long ones has its turn
    assert marks[-2] == []
    assert found[-2].snippet == "あ" * 160 + "…"  # the beginning, where the place is too far
    assert folded < LOOKED_THROUGH * 1.5


def test_folding_keeps_what_it_folded():
    for text in ("ﾃﾞﾊﾟｰﾄ", "Ångström", "㍿", "ſ", "İ", "か\u3099", "\u1112\u1161\u11ab"):
        assert fold(fold(text)) == fold(text)
        assert not re.search("[\u0300-\u036f]", fold(text))


def test_a_folder_is_found_once_under_the_name_that_it_has(store):
    with store.writing() as tx:
        old, new, other = new_id(), new_id(), new_id()
        for id_ in (old, new):
            conversations.create(tx, LOCAL, id_, folder="京都旅行")
        conversations.create(tx, LOCAL, other, title="京都の話")
        person(tx, "hana")
        conversations.create(tx, "hana", new_id(), folder="京都旅行")

    def found(query: str) -> list[tuple[str, str]]:
        with store.reading() as tx:
            return [(hit.kind, hit.conversation) for hit in hits(tx, LOCAL, query, limit=9)[0]]

    assert found("京都") == [("title", other), ("folder", new)]
    with store.writing() as tx:
        conversations.delete(tx, LOCAL, new)
    assert found("旅行") == [("folder", old)]
    with store.writing() as tx:
        conversations.rename_folder(tx, LOCAL, "京都旅行", "奈良")
    assert (found("旅行"), found("奈良")) == ([], [("folder", old)])
    with store.writing() as tx:
        conversations.restore(tx, LOCAL, new)  # it went into the new folder with the others
        conversations.change(tx, LOCAL, old, folder="")
    assert found("奈良") == [("folder", new)]
    for id_ in (old, new, other):
        delete_for_good(store, LOCAL, id_)
    assert found("奈良") == found("京都") == []
    check_index(store)


def test_thoughts_before_a_reply_are_found_at_its_end_and_forgotten(store):
    with store.writing() as tx:
        id_, said = talk(tx, "なぜ")
        reply = Message(new_id(), id_, said[0], "assistant", "writing", reasoning="沈思")
        messages.add(tx, LOCAL, reply)
        assert hits(tx, LOCAL, "沈思", limit=5) == ([], False)
        messages.finish(tx, LOCAL, reply, state="done", reasoning="沈思黙考", text="だから")
        ((hit,), _) = hits(tx, LOCAL, "黙考", limit=5)
    assert (hit.kind, hit.message, hit.role) == ("thought", reply.id, "assistant")
    assert (hit.snippet, hit.marks) == ("沈思黙考", [(2, 4)])
    delete_for_good(store, LOCAL, id_)
    with store.reading() as tx:
        assert hits(tx, LOCAL, "黙考", limit=5) == ([], False)
    check_index(store)


def check_index(store: Store) -> None:
    """Nobody has anything in it any more but hana her folder."""
    with store.writing() as tx:
        left = tx.execute(sa.select(passages.c.owner).distinct()).scalars().all()
        assert LOCAL not in left
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")


def test_system_texts_are_found_as_they_are_now(store):
    with store.writing() as tx:
        id_ = new_id()
        conversations.create(tx, LOCAL, id_, system="海賊のように話す")
        person(tx, "hana")
        conversations.create(tx, "hana", new_id(), system="海賊ではない")

    def kinds(query: str) -> list[tuple[str, str, str | None, str]]:
        with store.reading() as tx:
            found, _ = hits(tx, LOCAL, query, limit=5)
        return [(hit.kind, hit.conversation, hit.message, hit.snippet) for hit in found]

    assert kinds("海賊") == [("system", id_, None, "海賊のように話す")]
    with store.writing() as tx:
        again = new_id()
        conversations.create(tx, LOCAL, again, system="海賊のように話す")
    assert kinds("海賊") == [("system", again, None, "海賊のように話す")]  # found once
    with store.writing() as tx:
        conversations.delete(tx, LOCAL, again)
    assert kinds("海賊") == [("system", id_, None, "海賊のように話す")]
    with store.writing() as tx:
        conversations.change(tx, LOCAL, id_, system="船長のように話す")
    assert kinds("海賊") == []
    assert kinds("船長") == [("system", id_, None, "船長のように話す")]
    with store.writing() as tx:
        conversations.change(tx, LOCAL, id_, system="")
    assert kinds("船長") == []
