"""Scores against figures worked out by hand, intervals against theory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from kataribe.base.errors import InputError
from kataribe.prove.evals.intervals import (
    LEAST_ITEMS,
    LEAST_PAIRS,
    Interval,
    interval,
    paired_difference,
    paired_share_difference,
    share,
)
from kataribe.prove.evals.scores import SCORES, chrf, exact, token_f1


def test_exact_looks_past_case_width_and_space() -> None:
    assert exact("  The  Answer\n", "the answer") == 1
    assert exact("ＡＢＣ", "abc") == 1
    assert exact("the answer.", "the answer") == 0


@pytest.mark.parametrize(
    ("answer", "wanted", "score"),
    [
        ("a b c", "a b d", 2 / 3),
        ("a a a", "a", 2 / 4),
        ("It takes `x`.", "It takes `x`.", 1),
        ("", "", 1),
        ("", "a", 0),
        ("吾輩は猫", "吾輩は犬", 3 / 4),
        ("引数はabcです。", "引数はabcです", 2 * 6 / 13),
    ],
)
def test_words_in_common(answer: str, wanted: str, score: float) -> None:
    assert token_f1(answer, wanted) == pytest.approx(score)
    assert token_f1(wanted, answer) == pytest.approx(score)


def test_characters_in_common() -> None:
    # Runs of 1: 2 of 3 either way; of 2: 1 of 2; of 3: none. Longer ones there are not.
    assert chrf("abc", "abd") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # Precision 1; recall of runs of 1: 2 of 4, of 2: 1 of 3, of 3 and 4: none of theirs.
    precision, recall = (1 + 1 + 0 + 0) / 4, (1 / 2 + 1 / 3 + 0 + 0) / 4
    wanted = 5 * precision * recall / (4 * precision + recall)
    assert chrf("ab", "abcd") == pytest.approx(wanted)
    assert chrf("a b", "ab") == 1
    assert chrf("", "") == 1
    assert chrf("", "x") == chrf("x", "") == chrf("x", "y") == 0
    assert all(score("同じ。", "同じ。") == 1 for score in SCORES.values())


def test_intervals_are_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(2.0, 3.0, 400).tolist()
    found = interval(values)
    half = 1.96 * np.std(values) / math.sqrt(len(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(found.mean - half, abs=0.1 * half)
    assert found.high == pytest.approx(found.mean + half, abs=0.1 * half)
    assert interval(values) == found


def test_pairs_see_what_their_items_hide() -> None:
    draw = np.random.default_rng(2)
    hard = draw.normal(0, 5, 200)
    base, changed = hard, hard + draw.normal(0.3, 0.5, 200)
    paired = paired_difference(changed.tolist(), base.tolist())
    assert paired.low > 0
    assert interval(changed.tolist()).low < interval(base.tolist()).high  # apart they overlap
    level = paired_difference(base.tolist(), base.tolist())
    assert (level.low, level.high) == (0, 0)


def test_questions_about_one_thing_are_one_draw() -> None:
    draw = np.random.default_rng(3)
    per_item = draw.normal(0, 1, 60)
    values = np.repeat(per_item, 5).tolist()  # five questions about each say all the same
    items = [str(at // 5) for at in range(300)]
    alone, together = interval(values), interval(values, items)
    one = interval(per_item.tolist())  # they say no more than one of them does
    assert (together.low, together.high) == pytest.approx((one.low, one.high))
    assert together.mean == pytest.approx(alone.mean)
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.1)
    # Ten items of three ones, ten of one zero: of 20 draws 6 to 14 are of the first ones (the
    # quantiles of Bin(20, 1/2)), and k of them make 3 k of 20 + 2 k questions.
    uneven = interval([1.0] * 30 + [0.0] * 10, [at // 3 if at < 30 else at for at in range(40)])
    assert (uneven.mean, uneven.low, uneven.high) == (0.75, 18 / 32, 42 / 48)
    lead = np.repeat(per_item + 0.1, 5) + draw.normal(0, 2, 300)
    paired = paired_difference(lead.tolist(), values, items)
    assert paired.low < 0.1 < paired.high


def test_all_of_a_few_is_not_all() -> None:
    # Wilson by hand: 6 of 6 is at least 1 / (1 + 1.96^2 / 6) = 0.6097.
    always = share([1.0] * 6)
    assert (always.mean, always.high) == (1, 1)
    assert always.low == pytest.approx(0.6097, abs=1e-4)
    never = share([0.0] * 6)
    assert (never.mean, never.low) == (0, 0)
    assert never.high == pytest.approx(1 - 0.6097, abs=1e-4)
    half = share([0.0, 1.0] * 50)
    assert (half.low, half.high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    by_item = share([1.0] * 6, ["a", "a", "a", "b", "b", "b"])
    assert by_item.low == share([1.0] * 2).low < always.low


@pytest.mark.parametrize("of", [paired_difference, paired_share_difference])
def test_a_handful_of_items_says_nothing_of_a_difference(of: Callable[..., Interval]) -> None:
    least = LEAST_PAIRS if of is paired_share_difference else LEAST_ITEMS
    for size in range(1, least):
        found = of([1.0] * size * 3, [0.0] * size * 3, [at % size for at in range(size * 3)])
        assert (found.mean, found.low, found.high) == (1, -math.inf, math.inf)
        assert not found.has_bounds
    enough = of([1.0] * least, [0.0] * least)
    assert enough.has_bounds
    assert enough.low > 0


def test_shares_differ_where_mcnemars_test_says_so() -> None:
    def found(rises: int, falls: int, size: int) -> Interval:
        level = size - rises - falls
        changed = [1.0] * rises + [0.0] * falls + [1.0] * level
        return paired_share_difference(changed, [0.0] * rises + [1.0] * falls + [1.0] * level)

    for size in (5, 17, 60):
        for rises in range(size + 1):
            for falls in range(size + 1 - rises):
                each = found(rises, falls, size)
                test = (rises - falls) ** 2 / max(1, rises + falls)
                assert (each.low > 0 or each.high < 0) == (test > 1.959964**2)
                assert each.low <= each.mean <= each.high
                other = found(falls, rises, size)
                assert (other.low, other.high) == pytest.approx((-each.high, -each.low))
    # Nothing differs: the root of n d^2 / (d (1 - d)) = z^2, Wilson's bound of none of n.
    assert found(0, 0, 30).high == pytest.approx(share([0.0] * 30).high)
    # Far from the ends it is the normal one: sqrt((rises + falls - mean^2) / n).
    wide = found(1600, 1200, 4000)
    half = 1.96 * math.sqrt((0.7 - 0.1**2) / 4000)
    assert (wide.low, wide.high) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-4)


def test_shares_of_items_are_as_many_draws_as_there_are_items() -> None:
    changed, base = [1.0, 1.0, 0.0, 1.0] * 10, [0.0, 1.0, 0.0, 1.0] * 10
    alone = paired_share_difference(changed, base)
    items = [at // 4 for at in range(40)]
    repeated = paired_share_difference(
        [each for each in changed for _ in range(3)],
        [each for each in base for _ in range(3)],
        [at // 3 for at in range(120)],
    )
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))
    together = paired_share_difference(changed, base, items)
    assert together.low < 0 < alone.low
    with pytest.raises(InputError, match=r"not of 0\.5"):
        paired_share_difference([0.5], [1.0])


def test_what_cannot_be_averaged() -> None:
    with pytest.raises(InputError, match="nothing to average"):
        interval([])
    with pytest.raises(InputError, match="2 values cannot be paired with 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="2 values are about 1 items"):
        interval([1.0, 2.0], ["a"])
