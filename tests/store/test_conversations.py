"""What counts as a change of a conversation: pages that come back read it anew by the number."""

from __future__ import annotations

import pytest

from kataribe.store import conversations, messages, votes
from kataribe.store.ids import new_id
from kataribe.store.queue import Item, merged
from kataribe.store.tables import LOCAL
from kataribe.store.votes import Vote
from tests.store.conftest import talk


def _rate(tx, id_, said):
    messages.rate(tx, LOCAL, id_, said[1], 1, "clear")


def _restore(tx, id_, said):
    messages.restore(tx, id_, said[3])


def _tie(tx, id_, said):
    votes.keep(tx, LOCAL, id_, Vote(new_id(), "g", None, said[5:7], blind=False))


def _delete(tx, id_, said):
    conversations.delete(tx, LOCAL, id_)


def _bring_back(tx, id_, said):
    conversations.delete(tx, LOCAL, id_)
    before = conversations.get(tx, LOCAL, id_, deleted=True).version
    conversations.restore(tx, LOCAL, id_)
    assert conversations.get(tx, LOCAL, id_).version > before


@pytest.mark.parametrize("change", [_rate, _restore, _tie, _delete, _bring_back])
def test_every_change_counts_and_these_move_nothing_in_the_list(store, change):
    with store.writing() as tx:
        id_, said = talk(tx, "a", "b", "c", "d", "e", "f")
        beside = messages.get(tx, id_, said[5])
        messages.update(tx, said[5], group="g")
        other = messages.Message(new_id(), id_, beside.parent, "assistant", "done", "F", group="g")
        said.append(messages.add(tx, LOCAL, other).id)
        newer, _ = talk(tx, "x", "y")
        if change is _restore:
            messages.delete(tx, id_, said[3])
        before = conversations.get(tx, LOCAL, id_).version
        change(tx, id_, said)
        assert conversations.get(tx, LOCAL, id_, deleted=True).version > before
        listed = conversations.listed(tx, LOCAL).conversations
        assert listed[0].id == newer


@pytest.mark.parametrize(
    ("later", "blind"),
    [({"models": ["a", "b"]}, False), ({"models": ["a", "b"], "blind": True}, True), ({}, True)],
)
def test_names_are_hidden_as_the_models_asked_for_last_were(later, blind):
    first = Item("m1", "One", {"models": ["c", "d"], "blind": True})
    asked = merged([first, Item("m2", "Two", later)]).asked
    assert asked.get("blind", False) is blind
    assert asked["models"] == later.get("models", ["c", "d"])
