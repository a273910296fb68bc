"""What is said before a run: how hard the text is, the law, a pilot, earlier runs, and the time."""

from __future__ import annotations

import collections
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kataribe.base.errors import InputError
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.families import config_to_hf
from kataribe.make.training import runs
from kataribe.make.training.config import LoopConfig, Watching
from kataribe.make.training.dial import Given, choose, shape, training_flops
from kataribe.make.training.earlier import Reached, Recipe, earlier_runs
from kataribe.make.training.machine import Cost, measure, random_batch
from kataribe.make.training.memory import decoder_memory, held_bytes, peak_bytes
from kataribe.make.training.pilot import LEAST_TOKENS, MOST_FLOPS, MOST_SHARE, pilot_choice
from kataribe.make.training.prediction import seconds_of
from kataribe.make.training.scaling import LAW, Law, Point, Run, effective, fit
from kataribe.make.training.text_level import (
    DISCOUNT,
    Look,
    TextLevel,
    judged_rows,
    mean_bits,
    ngram_chances,
    recalled,
    spread_rows,
)
from tests.make.training.toys import loop, tiny_config

LEVEL = TextLevel((100_000, 1_000_000), (2.4, 2.0), 1.8, 2.6, 4.0, 10**9)


def slow_bits(train: np.ndarray, judged: np.ndarray, vocab_size: int, order: int) -> float:
    """Bits of `ngram_chances` once more, word for word, with dictionaries."""
    counts: dict[tuple[int, ...], collections.Counter[int]] = {}
    for row in train.tolist():
        for at in range(1, len(row)):
            for back in range(min(order, at + 1)):
                before = tuple(row[at - back : at])
                counts.setdefault(before, collections.Counter())[row[at]] += 1

    def chance(before: tuple[int, ...], token: int) -> float:
        lower = 1 / vocab_size if not before else chance(before[1:], token)
        seen = counts.get(before)
        if not seen:
            return lower
        kept = max(seen[token] - DISCOUNT, 0) + DISCOUNT * len(seen) * lower
        return kept / seen.total()

    bits = [
        -math.log2(chance(tuple(row[max(0, at - order + 1) : at]), row[at]))
        for row in judged.tolist()
        for at in range(1, len(row))
    ]
    return sum(bits) / len(bits)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_counting_n_grams_is_what_the_slow_way_gives(order: int) -> None:
    dice = np.random.default_rng(3)
    # Each token follows from the one before, but for chance: there is something to count.
    stream = [0]
    for _ in range(1500):
        stream.append(int((stream[-1] * 3 + dice.integers(0, 3)) % 11))
    rows = np.array(stream[:1500], np.uint64).reshape(-1, 25)
    train, judged = rows[:40], rows[40:]
    found = mean_bits(ngram_chances(train, judged, 11, order))
    assert found == pytest.approx(slow_bits(train, judged, 11, order), rel=1e-9)
    assert found < math.log2(11) if order > 1 else found < math.log2(11) + 0.1


def test_a_row_is_remembered_as_far_as_it_repeats_itself() -> None:
    dice = np.random.default_rng(5)
    drawn = dice.integers(0, 50, (20, 64)).astype(np.uint64)
    even = np.full((20, 127), 1 / 50)
    again = np.concatenate([drawn, drawn], axis=1)
    saved = mean_bits(recalled(even, again))
    # The second half is known by heart but for places where two tokens have two followers.
    assert 0.5 < saved / math.log2(50) < 0.56
    other = np.concatenate([drawn, dice.integers(0, 50, (20, 64)).astype(np.uint64)], axis=1)
    assert mean_bits(recalled(even, other)) == pytest.approx(math.log2(50), rel=0.03)
    # What stands in another row is not remembered.
    apart = np.concatenate([drawn[:10], drawn[:10]])
    assert mean_bits(recalled(even[:, :63], apart)) == pytest.approx(math.log2(50), rel=0.03)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_rows_shorter_than_the_longest_n_grams_are_counted_as_far_as_they_go(length: int) -> None:
    rows = np.random.default_rng(7).integers(0, 5, (12, length)).astype(np.uint64)
    found = ngram_chances(rows, rows, 5, 5)
    assert mean_bits(found) == pytest.approx(slow_bits(rows, rows, 5, length), rel=1e-9)
    assert 0 < mean_bits(recalled(found, rows)) < 1.01 * mean_bits(found)


def test_rows_come_from_all_over_and_are_those_of_the_last_look() -> None:
    tokens = np.arange(10_000, dtype=np.uint16)
    rows = spread_rows(tokens, 2560)
    assert rows.shape == (10, 256)
    assert rows[0, 0] == 0
    assert rows[-1, -1] == 9_999
    judged = judged_rows(tokens, Look(rows=5, length=100))
    assert judged.shape == (5, 100)
    assert judged[:, 0].tolist() == [0, 2000, 4000, 6000, 8000]
    assert judged_rows(tokens, Look(rows=0, length=100)).shape == (100, 100)
    with pytest.raises(InputError, match="1 tokens is too short"):
        spread_rows(tokens[:1], 10)


def test_levels_go_on_along_their_last_line() -> None:
    assert LEVEL.after(100_000) == pytest.approx(2.4)
    assert LEVEL.after(10_000_000) == pytest.approx(2.0 * 2.0 / 2.4)
    assert 2.0 < LEVEL.after(300_000) < 2.4
    with pytest.raises(InputError, match="2 counts of tokens and 1 of bits"):
        TextLevel((1, 2), (3.0,), 3.0, 3.0, 4.0, 5)


def _made_up(law: Law, shift: float, text: str) -> list[Run]:
    level = dataclasses.replace(LEVEL, letters=2.6 + shift, recalling=1.8 - shift)
    points = [
        Point(n, d, s)
        for n in (3e5, 1e6, 8e6) for d, s in ((1e5, 80), (1e6, 250), (9e6, 700))
    ]  # fmt: skip
    return [Run(text, level, p, law.expected(level, p) * math.exp(shift)) for p in points]


def test_the_law_is_found_again_from_its_points() -> None:
    law = Law(
        (0.05, 0.8, 0.4, -0.2, 0.25, 0.9), text=0.1, apart=0.005, noise=0.001, source="made up"
    )
    made = [run for shift in (-0.1, 0.02, 0.08) for run in _made_up(law, shift, f"t{shift}")]
    found = fit(made, "a test", law)
    assert found.factors == pytest.approx(law.factors, abs=0.15)
    # What a text adds is known after one run on it, be it small.
    aim, one = made[-1], made[-8]
    moved = found.moved(aim.point, [one], "one run")
    off = moved.expected(aim.level, aim.point) / aim.bits_per_byte - 1
    assert abs(off) < 0.04 < abs(law.expected(aim.level, aim.point) / aim.bits_per_byte - 1)
    assert moved.source.endswith("after one run")
    assert found.moved(aim.point, [], "nothing") is found
    with pytest.raises(InputError, match="5 runs cannot settle a law of 6"):
        fit(made[:5], "too few")


def test_no_run_is_expected_to_know_less_than_nothing() -> None:
    short = Point(20_000_000, 2_000, 2)
    middle, low, high = LAW.interval(LEVEL, short)
    assert low < middle < high
    capped = LAW.interval(LEVEL, short, most=middle * 0.9)
    assert capped == (middle * 0.9, pytest.approx(middle * 0.9 * low / middle), middle * 0.9)
    assert LAW.interval(LEVEL, short, most=high * 2) == (middle, low, high)


def test_intervals_shrink_with_what_is_known() -> None:
    aim = Point(1e7, 1e7, 800)
    far, near = Point(3e5, 7e4, 64), Point(9e6, 9e6, 800)

    def wide(*points: Point) -> float:
        found = [Run("t", LEVEL, each, LAW.expected(LEVEL, each) * 1.05) for each in points]
        middle, low, high = LAW.moved(aim, found, "some").interval(LEVEL, aim)
        assert low < middle < high
        return high / low

    assert wide() > wide(far) > wide(near) > wide(near, far)
    # As much work of the opposite shape is far: few parameters and many tokens are not this run.
    thin = Point(aim.parameters / 30, aim.tokens * 30, 3000)
    assert thin.apart(aim) == pytest.approx(math.log(30) * math.sqrt(2))
    assert wide(thin) > (wide() + wide(near)) / 2  # it says little more than nothing
    # A run that says otherwise than the others is not believed, and not passed over.
    other = Point(3e6, 3e6, 400)
    level = [LAW.expected(LEVEL, each) for each in (near, other)]
    at_odds = [Run("t", LEVEL, near, level[0]), Run("t", LEVEL, other, level[1] * 1.5)]
    _, low, high = LAW.moved(aim, at_odds, "two").interval(LEVEL, aim)
    assert high / low > 1.1 * wide(near, other)
    with pytest.raises(InputError, match="steps of a run is 0"):
        Point(1e6, 1e6, 0)


def test_what_the_law_says_of_sizes_steps_and_text() -> None:
    def said(parameters: float, tokens: float, steps: float) -> float:
        return LAW.expected(LEVEL, Point(parameters, tokens, steps))

    assert said(1e6, 1e6, 250) > said(4e6, 1e6, 250)
    assert said(1e6, 1e6, 250) > said(1e6, 4e6, 500)
    # Few steps teach little; what repeats itself is learned, but not at once.
    assert said(1e6, 1e5, 20) > 1.05 * said(1e6, 1e5, 200)
    repeating = dataclasses.replace(LEVEL, recalling=1.5)
    gains = [
        LAW.expected(LEVEL, point) / LAW.expected(repeating, point)
        for point in (Point(1e6, 1e5, 100), Point(1e6, 1e6, 250), Point(1e6, 1e7, 800))
    ]
    assert 1 < gains[0] < gains[1] < gains[2] < 2.0 / 1.5
    once = dataclasses.replace(LEVEL, unique=10**6)
    point = Point(1e6, 1e8, 2500)
    assert LAW.expected(once, point) > LAW.expected(LEVEL, point)
    assert effective(50, 100) == 50
    assert 190 < effective(200, 100) < 200
    assert effective(1e9, 100) == pytest.approx(100 * 16.4)


@pytest.mark.parametrize(("width", "tokens"), [(64, 3_000_000), (256, 2_000_000), (512, 10**8)])
def test_pilots_take_a_small_share(width: int, tokens: int) -> None:
    model = shape(Given(8192, 512), width)
    pilot = pilot_choice(model, tokens, 512)
    assert pilot is not None
    work = pilot.tokens * training_flops(pilot.model, 512)
    assert work <= MOST_SHARE * tokens * training_flops(model, 512)
    assert pilot.tokens >= LEAST_TOKENS
    assert work <= max(MOST_FLOPS, LEAST_TOKENS * training_flops(pilot.model, 512)) * 1.01
    assert pilot_choice(model, 100_000, 512) is None


def test_earlier_runs_are_those_on_the_same_tokens_to_the_end(tmp_path: Path) -> None:
    model = shape(Given(8192, 512), 128)
    usual = choose(model, 99).learning_rate
    told = config_to_hf(model)

    def run(name: str, state: str = "done", owner: str = "hana", **changes: object) -> None:
        data = {"dataset": str(tmp_path / "datasets" / "code-1"), "context": 512}
        plan: dict[str, dict[str, Any]] = {
            "data": data, "model": {"base": None, "config": told},
            "loop": {"steps": 9, "optimisation": {"optimiser": "muon", "learning_rate": usual}},
        }  # fmt: skip
        for part, values in changes.items():
            plan[part] = {**plan[part], **values}  # type: ignore[dict-item]
        info = runs.RunInfo(name, "pretrain", state, owner=owner)  # type: ignore[arg-type]
        made = runs.create_run(tmp_path / "runs", info, plan)
        # A number of its own for each, so that it is seen which ones are found.
        result = {"parameters": 10 + len(name), "tokens": 99, "bits_per_byte": 2.5}
        runs.write_json(made.path / "result.json", result)

    def rate(factor: float, optimiser: str = "muon") -> dict[str, object]:
        return {"optimisation": {"optimiser": optimiser, "learning_rate": factor * usual}}

    run("one")
    run("stopped", state="stopped")
    run("other-text", data={"dataset": "/elsewhere/code-2"})
    run("went-on", model={"base": "/models/one"})
    run("no-steps", loop={"steps": None})
    run("another's", owner="taro")
    run("short-rows", data={"context": 64})
    run("other-optimiser", loop=rate(1.0, "adamw"))
    run("spoilt-by-its-rate", loop=rate(30.0))
    run("no-rate", loop={"optimisation": {"optimiser": "muon", "learning_rate": 0.0}})
    run("no-model", model={"config": {}})
    run("no-optimiser", loop={"optimisation": None})
    run("nearly-the-same-rate", loop=rate(1.5))
    place = tmp_path / "datasets" / "code-1"
    recipe = Recipe.of(shape(Given(8192, 512), 256), 512, "muon", choose(model, 9).learning_rate)
    found = earlier_runs(tmp_path / "runs", place, recipe, "hana")
    assert sorted(each.parameters for each in found) == [13, 30]
    assert Reached(13, 99, 9, 2.5) in found
    wild = dataclasses.replace(recipe, rate=30.0)  # a run with such a rate is told of by its like
    found = earlier_runs(tmp_path / "runs", place, wild, "hana")
    assert [each.parameters for each in found] == [10 + len("spoilt-by-its-rate")]
    assert earlier_runs(tmp_path / "nowhere", tmp_path, recipe, "hana") == []


def test_seconds_count_steps_looks_samples_and_checkpoints() -> None:
    watching = Watching(
        eval_every=10, eval_rows=8, sample_every=20, sample_tokens=5, checkpoint_every=10
    )
    config = LoopConfig(steps=45, batch_rows=6, watching=watching)
    nothing = Cost(rows=4, learned=0.0, changed=0.0)
    empty = seconds_of(config, nothing, held_rows=50, said_tokens=15)

    def only(**part: Any) -> float:
        speed = dataclasses.replace(nothing, **part)
        return seconds_of(config, speed, held_rows=50, said_tokens=15) - empty

    assert only(learned=1.0) == pytest.approx(45 * 6 / 4)
    assert only(changed=1.0) == pytest.approx(45)
    assert only(looked=1.0) == pytest.approx(4 * 8 + 50)  # the last takes 64 rows, or all there are
    assert only(said=1.0) == pytest.approx(3 * 15)
    assert only(saved=1.0) == pytest.approx(4)


def test_a_machine_is_measured_part_by_part(tmp_path: Path) -> None:
    config = loop(batch_rows=3, sample_every=1)
    cost = measure(tiny_config(), config, [random_batch(40, 2, 24)], tmp_path)
    assert cost.rows == 2
    seconds = {**vars(cost)}
    assert seconds.pop("memory") >= 0  # of so small a model nothing may be seen
    assert all(value > 0 for value in seconds.values())
    assert cost.step(4) > cost.step(2) > 0
    assert list(tmp_path.iterdir()) == []


def test_memory_of_a_step_is_measured(tmp_path: Path) -> None:
    model = shape(Given(2048, 128), 256)
    config = loop(batch_rows=8, micro_tokens=8 * 128)
    small, large = (
        measure(model, config, [random_batch(2048, rows, 128)], tmp_path).memory for rows in (1, 8)
    )
    # Weights, gradients and what Muon remembers.
    assert small > 3 * 4 * parameter_count(model)
    # Seven rows more keep at least the MLP's inner values of seven rows more.
    more = 4 * 7 * 128 * 3 * model.intermediate_size * model.layers
    assert large - small > more
    formula = decoder_memory(model, config, 128)
    assert large == pytest.approx(formula.total - formula.program, rel=0.5)


def test_memory_counts_what_the_process_holds_and_the_text() -> None:
    config = loop()
    usual = decoder_memory(tiny_config(), config, 24)
    more = decoder_memory(tiny_config(), config, 24, held=usual.program + 1000, text=500)
    assert more.total - usual.total == 1500
    assert 0 < held_bytes() <= peak_bytes() * 1.05
