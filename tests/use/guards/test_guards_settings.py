"""Guards from a recipe's values."""

from __future__ import annotations

import pytest

from kataribe.base.errors import SettingsError
from kataribe.run.providers.scripted import ScriptedLM
from kataribe.use.guards.guard import InGuard, OutGuard
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.settings import KINDS, STANDARD, described, guards_of


def test_every_guard_says_what_it_is():
    told = described()
    assert [each.name for each in told] == list(KINDS)
    for each, kind in zip(told, KINDS.values(), strict=True):
        assert each.name == kind().name
        assert each.about.endswith(".")
        assert bool(each.holds) == (each.side == "out")
        assert isinstance(kind(), InGuard) == (each.side == "in")
        assert isinstance(kind(), OutGuard) == (each.side == "out")
        assert "action" in each.options or each.name == "injection"


def test_a_recipe_in_full():
    guards, policy = guards_of(
        {
            "leak": {"letters": 80},
            "schema": False,
            "injection": {"user": "note", "sensitivity": 1, "judge": {"doubt": 2}},
            "personal": {"restore": True, "kinds": ["email"]},
            "repetition": True,
            "retries": 2,
            "refusal": "No.",
        },
        judge=ScriptedLM("harmless"),
    )
    assert [guard.name for guard in guards] == ["injection", "personal", "repetition", "leak"]
    assert guards[0].judge.doubt == 2
    assert guards[1].kinds == ("email",)
    assert guards[3].letters == 80
    assert (policy.retries, policy.refusal) == (2, "No.")
    assert Guarded(ScriptedLM(), guards, policy).name == "scripted"


def test_the_standard_is_valid():
    assert [guard.name for guard in guards_of(STANDARD)[0]] == list(STANDARD)


@pytest.mark.parametrize(
    ("said", "message", "param"),
    [
        ({"injektion": True}, "no guard 'injektion'.*Did you mean injection", "guards"),
        ({"leak": {"leters": 3}}, "no option of the guard leak 'leters'.*letters", "leak"),
        ({"leak": "yes"}, "leak is 'yes'", "leak"),
        ({"leak": {"letters": "many"}}, "letters is 'many'.*int", "letters"),
        ({"leak": {"letters": 1}}, "letters 1", "letters"),
        ({"repetition": {"action": "mask"}}, "cannot 'mask'", "action"),
        ({"injection": {"memory": 1}}, "no option", "injection"),
        ({"injection": {"sensitivity": True}}, "sensitivity is True", "sensitivity"),
        ({"injection": {"judge": True}}, "no model was given", "judge"),
        ({"leak": {"secret": 3}}, "secret 3.*must be a text", "secret"),
        ({"personal": {"kinds": 3}}, "personal cannot be made of this", "personal"),
        ({"schema": {"schema": [3]}}, "schema", "schema"),
        ({"retries": "two"}, "retries is 'two'", "retries"),
        ({"retries": 99}, "retries is 99", "retries"),
    ],
)
def test_bad_recipes(said, message, param):
    with pytest.raises(SettingsError, match=message) as caught:
        guards_of(said)
    assert caught.value.param == param


@pytest.mark.parametrize("judge", [3, "yes", ["x"], {"dout": 1}, {"hides": []}, {"lm": "x"}])
def test_a_judge_that_is_none_is_refused_with_what_it_may_be(judge):
    with pytest.raises(SettingsError, match=r"judge is .*true, false or \{doubt: NUMBER\}"):
        guards_of({"injection": {"judge": judge}}, judge=ScriptedLM())
    with pytest.raises(SettingsError, match="injection"):
        guards_of({"injection": {"judge": {"doubt": "much"}}}, judge=ScriptedLM())


def test_a_judge_is_shown_as_little_as_the_model():
    said = {"injection": {"judge": True}, "personal": {"kinds": ["email", "ip"]}}
    assert guards_of(said, judge=ScriptedLM())[0][0].judge.hides == ("email", "ip")
    said["personal"]["action"] = "note"
    assert guards_of(said, judge=ScriptedLM())[0][0].judge.hides == ()
