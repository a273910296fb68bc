"""Names that were meant, for errors about names that nothing has."""

from __future__ import annotations

import pytest

from kataribe.base.nearness import LONGEST_LIST, LONGEST_NAME, listed, meant, near

TOOLS = ("calculator", "clock", "files", "fetch")
MANY = tuple(f"model-{number:04}" for number in range(1000))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("calcultor", ["calculator"]),
        ("CALCULATOR", ["calculator"]),
        ("Calculater", ["calculator"]),
        ("clok", ["clock"]),
        ("fil", ["files"]),
        ("weather", []),
        ("", []),
        ("c", []),
    ],
)
def test_near_names_are_found_whatever_their_case(name, names):
    assert near(name, TOOLS) == names


def test_names_are_given_as_they_are_known_the_nearest_first():
    assert near("tokio", ["Kyoto", "TOKYO", "Tokio"])[:2] == ["Tokio", "TOKYO"]
    assert near("tokio", ["Kyoto", "TOKYO", "Tokio"], most=1) == ["Tokio"]
    assert near("ask", ["Ask", "ASK"], most=5) != []


def test_a_name_within_longer_ones_is_near_to_them():
    known = ["qwen3-0.6b-instruct", "qwen2.5-coder-1.5b", "smollm2-135m"]
    assert near("qwen3", known) == ["qwen3-0.6b-instruct"]
    assert near("qw", known) == [], "two letters are within too much"


def test_another_word_for_a_name_gives_that_name_once():
    aliases = {"cot": "chain-of-thought", "tot": "tree-of-thoughts"}
    known = ["chain-of-thought", "tree-of-thoughts", "react"]
    assert near("COT", known, most=1, aliases=aliases) == ["chain-of-thought"]
    found = near("chain-of-thougt", known, aliases={"chain-of-thouhgt": "chain-of-thought"})
    assert found.count("chain-of-thought") == 1


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("clok", {}, "Did you mean clock?"),
        ("zzz", {}, "There are calculator, clock, files, fetch."),
        ("zzz", {"there": "It has"}, "It has calculator, clock, files, fetch."),
        ("clok", {"there": "It has"}, "Did you mean clock?"),
        ("zzz", {"otherwise": "See the list."}, "See the list."),
        ("clok", {"otherwise": "See the list."}, "Did you mean clock?"),
        ("clok", {"otherwise": "See it.", "also": True}, "Did you mean clock? See it."),
        ("zzz", {"otherwise": "See it.", "also": True}, "See it."),
        ("c1ock", {"aliases": {"c1ocks": "watch"}, "most": 2}, "Did you mean watch or clock?"),
    ],
)
def test_the_sentence_tells_near_names_or_all(name, more, words):
    assert meant(name, TOOLS, **more) == words


def test_where_there_is_nothing_that_is_said():
    assert meant("x", ()) == "There are none."
    assert meant("x", (), there="It has") == "It has none."


def test_a_thousand_names_do_not_flood_a_message():
    said = meant("zzz", MANY)
    assert len(said) < LONGEST_LIST + 50
    shown = said.removeprefix("There are ").partition(" and ")[0].split(", ")
    assert shown == list(MANY[: len(shown)])
    assert said.endswith(f" and {1000 - len(shown)} more.")
    assert listed(MANY[:3]) == ", ".join(MANY[:3])
    assert len(meant("model-00001", MANY, most=3)) < 60


def test_names_of_strangers_are_cut():
    long = "x" * 100_000
    assert len(meant(long, [long, "y" * 100_000])) < LONGEST_NAME + 20
    assert len(listed(["y" * 100_000, long])) < 2 * LONGEST_NAME + 5
    assert near(long, TOOLS) == []
