"""Prompts: each person's own, versions that never change, and what they were answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import conversations, messages, people, prompt_answers, prompts, purge
from kataribe.store.conversations import RETURNS_SECONDS
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.prompt_answers import Answer
from kataribe.store.prompts import Wording
from kataribe.store.tables import LOCAL
from kataribe.store.tables import prompt_answers as answers_table
from kataribe.store.tables import prompt_versions as versions_table
from tests.store.conftest import person, talk


def wording(text: str = "Say {{x}}.", note: str = "") -> Wording:
    return Wording(text, ("x",), note)


def test_versions_are_added_and_never_changed(store: Store):
    with store.writing() as tx:
        made = prompts.create(tx, LOCAL, "greet", wording())
        second = prompts.add_version(tx, LOCAL, made.id, wording("Shout {{x}}!", "louder"))
        same = prompts.add_version(tx, LOCAL, made.id, wording("Shout {{x}}!", "again"))
    assert second == same
    with store.reading() as tx:
        kept = prompts.versions(tx, LOCAL, made.id)
        assert [(v.number, v.text, v.note) for v in kept] == [
            (1, "Say {{x}}.", ""),
            (2, "Shout {{x}}!", "louder"),
        ]
        assert prompts.version(tx, LOCAL, made.id) == kept[1]
        assert prompts.version(tx, LOCAL, made.id, 1) == kept[0]
        assert prompts.get(tx, LOCAL, made.id).latest == 2
        for number in (0, 3, -1):
            with pytest.raises(NotFoundError, match=f"no version {number}.*versions 1 to 2"):
                prompts.version(tx, LOCAL, made.id, number)


@pytest.mark.parametrize(
    ("text", "words"),
    [(" \n", "is empty"), ("x" * 200_001, "200,001"), ("a\0b", "NUL")],
)
def test_a_text_that_is_none_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        Wording(text, ())


@pytest.mark.parametrize("name", ["", " ", "a b", "a@1", "@", "-a", "x" * 65, "a/b", "../a"])
def test_a_name_that_cannot_be_one_is_refused(store: Store, name):
    with store.writing() as tx, pytest.raises(InputError, match="cannot name a prompt"):
        prompts.create(tx, LOCAL, name, wording())


def test_names_are_each_persons_own(store: Store):
    with store.writing() as tx:
        ann, bob = person(tx, "ann"), person(tx, "bob")
        hers = prompts.create(tx, ann, "挨拶", wording())
        his = prompts.create(tx, bob, "挨拶", wording("His"))
        with pytest.raises(InputError, match="挨拶 already") as raised:
            prompts.create(tx, ann, " 挨拶 ", wording())
        assert raised.value.code == "name_taken"
        assert prompts.named(tx, ann, "挨拶") == hers
        assert prompts.named(tx, bob, "挨拶") == his
        assert [each.id for each in prompts.listing(tx, ann)] == [hers.id]


def test_nobody_sees_or_changes_another_s(store: Store):
    with store.writing() as tx:
        ann, bob = person(tx, "ann"), person(tx, "bob")
        made = prompts.create(tx, ann, "secret", wording())
        prompt_answers.keep(tx, ann, made.id, 1, Answer("m", "t", "stop"))
        for act in (
            lambda: prompts.get(tx, bob, made.id),
            lambda: prompts.versions(tx, bob, made.id),
            lambda: prompts.version(tx, bob, made.id),
            lambda: prompts.add_version(tx, bob, made.id, wording("Bob's")),
            lambda: prompts.rename(tx, bob, made.id, "his"),
            lambda: prompts.delete(tx, bob, made.id),
            lambda: prompts.restore(tx, bob, made.id),
            lambda: prompt_answers.listing(tx, bob, made.id),
            lambda: prompt_answers.keep(tx, bob, made.id, 1, Answer("m", "t", "stop")),
        ):
            with pytest.raises(NotFoundError, match=made.id):
                act()
        assert prompts.listing(tx, bob) == []
        assert prompts.get(tx, ann, made.id) == made
        assert len(prompt_answers.listing(tx, ann, made.id)) == 1


def test_what_is_deleted_comes_back_with_everything(store: Store):
    with store.writing() as tx:
        made = prompts.create(tx, LOCAL, "greet", wording())
        prompt_answers.keep(tx, LOCAL, made.id, 1, Answer("m", "hello", "stop"))
        prompts.delete(tx, LOCAL, made.id)
        assert prompts.named(tx, LOCAL, "greet") is None
        assert [each.id for each in prompts.listing(tx, LOCAL, deleted=True)] == [made.id]
        other = prompts.create(tx, LOCAL, "greet", wording("Other"))
        with pytest.raises(InputError, match="greet already"):
            prompts.restore(tx, LOCAL, made.id)
        prompts.rename(tx, LOCAL, other.id, "other")
        back = prompts.restore(tx, LOCAL, made.id)
        assert (back.name, back.deleted_at) == ("greet", None)
        assert [each.text for each in prompt_answers.listing(tx, LOCAL, made.id)] == ["hello"]


def test_what_was_deleted_long_ago_is_purged_with_its_traces(store: Store, tmp_path: Path):
    secret = "wasabimochi"
    with store.writing() as tx:
        gone = prompts.create(tx, LOCAL, "gone", wording(f"{secret} {{{{x}}}}"))
        prompt_answers.keep(tx, LOCAL, gone.id, 1, Answer("m", secret, "stop", given={"x": secret}))
        kept = prompts.create(tx, LOCAL, "kept", wording())
        prompts.delete(tx, LOCAL, gone.id)
    purge.sweep(store, at=now() + RETURNS_SECONDS / 2)
    with store.writing() as tx:
        assert len(prompts.listing(tx, LOCAL, deleted=True)) == 1
    purge.sweep(store, at=now() + RETURNS_SECONDS + 5)
    with store.reading() as tx:
        assert prompts.listing(tx, LOCAL, deleted=True) == []
        assert [each.id for each in prompts.listing(tx, LOCAL)] == [kept.id]
        assert tx.execute(sa.select(answers_table)).all() == []
        assert len(tx.execute(sa.select(versions_table)).all()) == 1
    store.close()
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_prompts_go_with_their_person(store: Store):
    with store.writing() as tx:
        made = prompts.create(tx, person(tx, "ann"), "x", wording())
        prompt_answers.keep(tx, "ann", made.id, 1, Answer("m", "t", "stop"))
        assert people.remove(tx, "ann")
        assert tx.execute(sa.select(versions_table)).all() == []
        assert tx.execute(sa.select(answers_table)).all() == []


def test_answers_name_their_version_newest_first(store: Store):
    answer = Answer(
        "pico",
        "Hello.",
        "length",
        "cut",
        {"x": "hello"},
        {"name": "zero-shot", "options": {"instruction": "Be kind."}},
        7,
        2,
        5,
        0.25,
    )
    with store.writing() as tx:
        made = prompts.create(tx, LOCAL, "greet", wording())
        prompts.add_version(tx, LOCAL, made.id, wording("Shout"))
        first = prompt_answers.keep(tx, LOCAL, made.id, 1, answer)
        prompt_answers.keep(tx, LOCAL, made.id, 2, Answer("other", "HELLO", "stop"))
        found = prompt_answers.listing(tx, LOCAL, made.id)
        assert [(each.number, each.text) for each in found] == [(2, "HELLO"), (1, "Hello.")]
        assert dict(found[1].given) == {"x": "hello"}
        same = ("model", "detail", "technique", "prompt_tokens", "took", "id", "created_at")
        assert [getattr(found[1], n) for n in same] == [getattr(first, n) for n in same]
        assert [v.answers for v in prompts.versions(tx, LOCAL, made.id)] == [1, 1]
        assert [a.number for a in prompt_answers.listing(tx, LOCAL, made.id, number=1)] == [1]
        older = prompt_answers.listing(tx, LOCAL, made.id, before=found[0].key)
        assert [each.number for each in older] == [1]
        with pytest.raises(NotFoundError, match="no version 3"):
            prompt_answers.listing(tx, LOCAL, made.id, number=3)


def test_only_the_newest_answers_are_kept(store: Store, monkeypatch):
    monkeypatch.setattr(prompt_answers, "MOST", 3)
    with store.writing() as tx:
        made = prompts.create(tx, LOCAL, "greet", wording())
        other = prompts.create(tx, LOCAL, "other", wording())
        prompt_answers.keep(tx, LOCAL, other.id, 1, Answer("m", "stays", "stop"))
        for number in range(5):
            prompt_answers.keep(tx, LOCAL, made.id, 1, Answer("m", str(number), "stop"))
        found = prompt_answers.listing(tx, LOCAL, made.id)
        assert [each.text for each in found] == ["4", "3", "2"]
        assert len(prompt_answers.listing(tx, LOCAL, other.id)) == 1


def test_a_reply_of_a_conversation_is_linked_and_goes_with_it(store: Store):
    with store.writing() as tx:
        made = prompts.create(tx, LOCAL, "greet", wording())
        conversation, said = talk(tx, "Say hello.", "Hello.")
        linked = prompt_answers.link(tx, LOCAL, made.id, 1, said[1])
        assert (linked.text, linked.model, linked.message) == ("Hello.", "pico", said[1])
        assert prompt_answers.link(tx, LOCAL, made.id, 1, said[1]) == linked
        # Its words are in the conversation only.
        assert tx.scalar(sa.select(answers_table.c.text)) == ""
        with pytest.raises(InputError, match="a person's"):
            prompt_answers.link(tx, LOCAL, made.id, 1, said[0])
        bob = person(tx, "bob")
        his = prompts.create(tx, bob, "his", wording())
        with pytest.raises(NotFoundError, match="no reply"):
            prompt_answers.link(tx, bob, his.id, 1, said[1])
        conversations.delete(tx, LOCAL, conversation)
        assert prompt_answers.listing(tx, LOCAL, made.id) == []
        conversations.restore(tx, LOCAL, conversation)
        assert len(prompt_answers.listing(tx, LOCAL, made.id)) == 1
        tx.execute(sa.delete(messages.messages).where(messages.messages.c.id == said[1]))
        assert tx.execute(sa.select(answers_table)).all() == []
