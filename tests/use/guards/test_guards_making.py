"""How the guard `injection` gets its weights: what is taught stays apart from what is measured."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks.guards import training
from benchmarks.guards.making import (
    FAMILIES,
    LANGUAGES,
    ORDINARY,
    SEALED,
    TAUGHT,
    TAUGHT_ORDINARY,
    descriptions,
    fillers,
    half,
    pools,
    samples,
)
from kataribe.use.guards import scoring
from kataribe.use.guards.lexicon import classes
from kataribe.use.guards.normalise import letters_of
from kataribe.use.guards.rules import rules


def test_descriptions_have_both_halves():
    families = descriptions(FAMILIES)
    assert len(families) >= 12
    for each in families:
        assert set(each.templates) == set(LANGUAGES)
        assert all(len(found) >= 8 for found in each.templates.values()), each.name
    train = {(each.language, each.template) for each in samples(FAMILIES, "train", 1)}
    test = {(each.language, each.template) for each in samples(FAMILIES, "test", 1)}
    assert not train & test
    names = {each.name for each in families}
    assert {rule.family for rule in rules()} - {None} <= names
    assert {family for each in classes() for family in each.families} <= names
    assert all(each.kin <= names for each in descriptions(TAUGHT))


@pytest.mark.parametrize(
    ("measured", "taught"), [(FAMILIES, TAUGHT), (ORDINARY, TAUGHT_ORDINARY), (SEALED, TAUGHT)]
)
def test_nothing_that_is_measured_is_taught(measured, taught):
    """Neither a template nor a filler (those of few letters aside, which anybody would write)."""
    asked = {
        _said(template)
        for each in descriptions(measured)
        for language in LANGUAGES
        for template in (
            each.templates[language]
            if measured == SEALED
            else half(each.templates[language], "test")
        )
    }
    own = pools(measured)
    slots = [name for name in own if name.partition(".")[0] not in ("persona", "host", "carrier")]
    asked |= {_said(each) for name in slots for each in half(own[name], "test")}
    told = {
        _said(template)
        for each in descriptions(taught)
        for found in each.templates.values()
        for template in found
    }
    told |= {_said(each) for found in pools(taught).values() for each in found}
    assert not {each for each in asked & told if len(each) > 6}


def _said(template):
    """The letters of a template, without its slots."""
    return letters_of(re.sub(r"\{\w+\}", "", template))


@pytest.mark.parametrize("slot", ["void", "goal"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_use_has_fillers_of_its_own(slot, language):
    uses = {split: dict(fillers(FAMILIES, slot, language, split)) for split in _SPLITS}
    for one in _SPLITS:
        assert len(uses[one]) >= 8
        assert all(not set(uses[one]) & set(uses[two]) for two in _SPLITS if two != one)
    assert uses["train"] == dict(fillers(TAUGHT, slot, language, "train"))


_SPLITS = ("train", "tune", "test")


def test_fillers_are_kept_out_with_their_family():
    made = samples(TAUGHT, "train", 12)
    kin = {each.kin for each in made if each.family == "direct_orders"}
    assert frozenset({"document"}) in kin
    assert frozenset({"document", "extraction"}) in kin
    assert {each.family for each in made} == {each.name for each in descriptions(TAUGHT)}


def _attacks():
    made = [*samples(FAMILIES, "train", 1)[::4], *samples(TAUGHT, "train", 1)[::8]]
    return [training.sampled(each, each.family, attack=True) for each in made]


def _ordinary():
    made = samples(ORDINARY, "train", 1)
    return [training.sampled(each, "requests", attack=False) for each in made]


def test_training_learns_and_repeats_itself(tmp_path):
    attacks, ordinary = _attacks(), _ordinary()
    one = training.fit(attacks, ordinary)
    two = training.fit(attacks, ordinary)
    assert np.array_equal(one.table, two.table)
    right = [training.score(one, each) > 0 for each in attacks]
    wrong = [training.score(one, each) > 0 for each in ordinary]
    assert sum(right) > 0.9 * len(right)
    assert sum(wrong) < 0.05 * len(wrong)
    bars = training.with_threshold(one, ordinary)
    over = [training.score(bars, each) >= bars.threshold for each in ordinary]
    assert sum(over) <= 1 + training.FALSE_ALARMS["requests"] * len(over)
    training.write(bars, tmp_path / "a.npz")
    training.write(bars, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as data:
        assert np.allclose(data["table"] * data["scale"], one.table, atol=1e-6)
        assert data["made_for"] == scoring.made_for()


def test_training_leaves_out_what_it_should():
    attacks, ordinary = _attacks(), _ordinary()
    without = training.fit(attacks, ordinary, without=("override", "document"))
    known = [each for each in attacks if not ({each.group} | each.kin) & {"override", "document"}]
    assert 0 < len(known) < len(attacks)
    again = training.fit(known, ordinary, without=("override", "document"))
    assert np.array_equal(without.table, again.table)
    weights = without.table[scoring.BUCKETS :]
    off = [bool(each.families & {"override", "document"}) for each in scoring.extras()]
    assert not weights[: len(off)][off].any()
    assert weights[: len(off)][~np.asarray(off)].any()


def test_weights_stay_within_their_bounds():
    weights = training.fit(_attacks(), _ordinary()).table[scoring.BUCKETS :]
    for each, weight in zip(scoring.extras(), weights, strict=False):
        assert each.least <= weight <= each.most, each.name


def test_requests_for_tuning_have_templates_and_fillers_of_their_own():
    from benchmarks.guards.attacks import _requests

    made, held = _requests()
    assert not {each.template for each in made} & {each.template for each in held}
    assert len({each.template for each in held}) > 60
