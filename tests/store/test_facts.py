"""Facts: each person's own, kept once, found by words of both languages, gone when deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import facts, people, purge
from kataribe.store.conversations import RETURNS_SECONDS
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.tables import LOCAL
from kataribe.store.tables import facts as table
from tests.store.conftest import person


def test_facts_are_kept_listed_edited_and_deleted(store: Store):
    with store.writing() as tx:
        tea = facts.add(tx, LOCAL, "  Drinks\n tea. ", "talk1")
        facts.add(tx, LOCAL, "東京に住んでいる。")
    with store.reading() as tx:
        assert [fact.text for fact in facts.listing(tx, LOCAL)] == [
            "東京に住んでいる。",
            "Drinks tea.",
        ]
        assert facts.listing(tx, LOCAL)[1] == tea
        assert tea.source == "talk1"
    with store.writing() as tx:
        edited = facts.edit(tx, LOCAL, tea.id, "Drinks coffee.")
        assert (edited.text, edited.id, edited.created_at) == (
            "Drinks coffee.",
            tea.id,
            tea.created_at,
        )
        assert edited.changed_at >= tea.changed_at
        facts.delete(tx, LOCAL, tea.id)
    with store.reading() as tx:
        assert [fact.text for fact in facts.listing(tx, LOCAL)] == ["東京に住んでいる。"]


def test_the_same_fact_is_kept_once(store: Store):
    with store.writing() as tx:
        first = facts.add(tx, LOCAL, "Likes ＫＡＴＡＲＩＢＥ.")
        assert facts.add(tx, LOCAL, "likes Kataribe.") == first
        assert len(facts.listing(tx, LOCAL)) == 1


def test_nobody_sees_or_changes_another_s(store: Store):
    with store.writing() as tx:
        ann, bob = person(tx, "ann"), person(tx, "bob")
        fact = facts.add(tx, ann, "Ann's secret garden")
        assert facts.listing(tx, bob) == []
        assert facts.find(tx, bob, "garden") == []
        with pytest.raises(NotFoundError):
            facts.edit(tx, bob, fact.id, "Bob's")
        with pytest.raises(NotFoundError, match=fact.id):
            facts.delete(tx, bob, fact.id)
        assert facts.clear(tx, bob) == 0
        assert facts.listing(tx, ann) == [fact]
        assert facts.clear(tx, ann) == 1


def test_facts_go_with_their_person(store: Store):
    with store.writing() as tx:
        facts.add(tx, person(tx, "ann"), "x")
        assert people.remove(tx, "ann")
        assert tx.execute(sa.select(table)).all() == []


def test_words_of_both_languages_are_found_the_rarest_first(store: Store):
    with store.writing() as tx:
        for text in ("The cat is Tama.", "The dog is Pochi.", "猫の名前はタマ", "The car is red."):
            facts.add(tx, LOCAL, text)
        best = facts.find(tx, LOCAL, "what is the cat's name")[0]
        assert best.text == "The cat is Tama."
        assert [fact.text for fact in facts.find(tx, LOCAL, "猫は何という名前か")] == [
            "猫の名前はタマ"
        ]
        assert len(facts.find(tx, LOCAL, "the", most=2)) == 2
        assert facts.find(tx, LOCAL, "zebra") == []
        assert facts.find(tx, LOCAL, "") == []


@pytest.mark.parametrize(
    ("text", "words"), [("", "needs words"), (" \n", "needs words"), ("x" * 1001, "1,001")]
)
def test_what_is_no_fact_is_refused(text, words, store: Store):
    with store.writing() as tx:
        with pytest.raises(InputError, match=words):
            facts.add(tx, LOCAL, text)
        kept = facts.add(tx, LOCAL, "x" * 1000)
        with pytest.raises(InputError, match=words):
            facts.edit(tx, LOCAL, kept.id, text)


def test_one_too_many_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(facts, "MOST", 3)
    with store.writing() as tx:
        for number in range(3):
            facts.add(tx, LOCAL, f"fact {number}")
        with pytest.raises(InputError, match=r"There are 3 facts.*Delete some"):
            facts.add(tx, LOCAL, "fact 3")
        facts.add(tx, LOCAL, "fact 2")  # it is there already


def test_what_was_deleted_is_gone_from_the_file(store: Store):
    secret = "zq" * 40
    with store.writing() as tx:
        fact = facts.add(tx, LOCAL, secret)
    with store.writing() as tx:
        facts.delete(tx, LOCAL, fact.id)
    purge.sweep(store, at=now() + RETURNS_SECONDS + 1)
    path = store.path
    store.close()
    assert all(secret.encode() not in file.read_bytes() for file in Path(path).parent.iterdir())


def test_what_was_deleted_can_come_back_for_a_while(store: Store):
    with store.writing() as tx:
        tea, dog = (facts.add(tx, LOCAL, text) for text in ("Likes tea.", "Has a dog."))
        facts.delete(tx, LOCAL, tea.id)
        assert facts.listing(tx, LOCAL) == [dog]
        with pytest.raises(NotFoundError):
            facts.edit(tx, LOCAL, tea.id, "Likes coffee.")
        with pytest.raises(NotFoundError):
            facts.restore(tx, "somebody", tea.id)
        assert facts.restore(tx, LOCAL, tea.id) == tea
        assert facts.listing(tx, LOCAL) == [dog, tea]
        facts.delete(tx, LOCAL, tea.id)
    purge.sweep(store, at=now() + RETURNS_SECONDS + 1)
    with store.writing() as tx, pytest.raises(NotFoundError):
        facts.restore(tx, LOCAL, tea.id)


def test_the_same_fact_is_not_there_twice_after_an_undo(store: Store):
    with store.writing() as tx:
        old = facts.add(tx, LOCAL, "Likes tea.")
        facts.delete(tx, LOCAL, old.id)
        new = facts.add(tx, LOCAL, "likes TEA.", assistant="tutor")
        assert facts.restore(tx, LOCAL, old.id) == new
        assert facts.listing(tx, LOCAL) == [new]
    assert new.assistant == "tutor"
