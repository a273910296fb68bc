"""The sampler against its reference, and its draws against exact probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kataribe.base.errors import ConstraintError, InputError, KataribeError
from kataribe.base.lm import Sampling
from kataribe.run.inference.sampler import TokenSampler, largest, log_normalizer
from kataribe.run.inference.sampler_reference import (
    adjusted_reference,
    probabilities_reference,
)

NO_PROMPT = np.array([0], dtype=np.int64)


def random_sampling(rng):
    return Sampling(
        temperature=rng.choice([0.3, 1.0, 1.9]) * rng.uniform(0.9, 1.05),
        top_k=int(rng.choice([0, 0, 1, 7, 40, 10_000])),
        top_p=float(rng.choice([1.0, rng.uniform(0.01, 0.999)])),
        min_p=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        repetition_penalty=float(rng.choice([1.0, rng.uniform(0.5, 2)])),
        presence_penalty=float(rng.choice([0.0, rng.uniform(-2, 2)])),
        frequency_penalty=float(rng.choice([0.0, rng.uniform(-2, 2)])),
        logit_bias={int(rng.integers(200)): float(rng.uniform(-100, 100))}
        if rng.random() < 0.3
        else {},
    )


def probabilities(sampler, logits, allowed=None):
    """What the fast sampler would draw from, as `(vocab,)`."""
    row = sampler._adjusted(logits, allowed)
    ids, weights = sampler._cut.candidates(row, float(row.max()), sampler._temperature)
    result = np.zeros(len(row))
    result[slice(None) if ids is None else ids] = weights.astype(np.float64) / weights.sum()
    return result


@pytest.mark.parametrize("seed", range(150))
def test_the_fast_sampler_draws_from_the_references_distribution(seed):
    rng = np.random.default_rng(seed)
    vocab = int(rng.choice([200, 300, 3000]))
    logits = (rng.standard_normal(vocab) * rng.choice([0.1, 2, 8])).astype(np.float32)
    if seed % 3 == 0:
        logits = np.round(logits)  # many equal ones
    sampling = random_sampling(rng)
    prompt = rng.integers(0, vocab, 30)
    sampler = TokenSampler(sampling, prompt, seed=seed, index=0)
    allowed = rng.random(vocab) < 0.3 if seed % 4 == 0 else None
    reply = []
    for _ in range(4):
        row = adjusted_reference(logits, sampling, prompt.tolist(), reply, allowed)
        np.testing.assert_allclose(sampler._adjusted(logits, allowed), row, rtol=1e-5, atol=1e-5)
        # Compared from the same float32 row, so that ties are the same ones.
        same = sampler._adjusted(logits, allowed).astype(np.float64)
        expected = probabilities_reference(same, sampling)
        got = probabilities(sampler, logits, allowed)
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-7, err_msg=f"{sampling}")
        reply.append(sampler.draw(logits, allowed))
        assert expected[reply[-1]] > 0


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.6),
        Sampling(top_k=5),
        Sampling(top_p=0.8),
        Sampling(min_p=0.2),
        Sampling(temperature=1.4, top_k=8, top_p=0.9, min_p=0.05),
    ],
    ids=str,
)
def test_draws_follow_the_exact_probabilities(sampling):
    logits = np.random.default_rng(1).standard_normal(12).astype(np.float32) * 1.5
    expected = probabilities_reference(logits.astype(np.float64), sampling)
    sampler = TokenSampler(sampling, NO_PROMPT, seed=3, index=0)
    draws = 8_000
    counts = np.bincount([sampler.draw(logits) for _ in range(draws)], minlength=12)
    assert not counts[expected == 0].any()
    kept = expected > 0
    chi = (((counts - draws * expected) ** 2)[kept] / (draws * expected)[kept]).sum()
    freedom = kept.sum() - 1
    assert chi < freedom + 4 * np.sqrt(2 * freedom) + 4


def test_choices_of_one_seed_are_independent_of_each_other():
    logits = np.zeros(4, dtype=np.float32)
    samplers = [TokenSampler(Sampling(), NO_PROMPT, seed=5, index=i) for i in range(2)]
    pairs = [samplers[0].draw(logits) * 4 + samplers[1].draw(logits) for _ in range(4000)]
    counts = np.bincount(pairs, minlength=16)
    chi = ((counts - 250) ** 2 / 250).sum()
    assert chi < 15 + 4 * np.sqrt(30)


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**80])
def test_a_seed_repeats(seed):
    logits = np.random.default_rng(2).standard_normal(50).astype(np.float32)
    runs = []
    for _ in range(2):
        sampler = TokenSampler(Sampling(), NO_PROMPT, seed=seed, index=1)
        runs.append([sampler.draw(logits) for _ in range(20)])
    assert runs[0] == runs[1]


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=60), st.integers(1, 70))
def test_the_largest_are_those_of_a_stable_sort(values, count):
    row = np.array(values, dtype=np.float32)
    expected = np.argsort(-row, kind="stable")[:count]
    assert largest(row, count).tolist() == expected.tolist()


@given(st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=50))
@settings(max_examples=50)
def test_the_normalizer_is_the_log_of_the_sum(values):
    row = np.array(values, dtype=np.float32)
    exact = np.logaddexp.reduce(row.astype(np.float64))
    assert log_normalizer(row) == pytest.approx(exact, rel=1e-5, abs=1e-5)


def test_the_first_of_equal_logits_is_the_greedy_one():
    sampler = TokenSampler(Sampling(temperature=0.0), NO_PROMPT, seed=0, index=0)
    assert sampler.draw(np.array([0, 3, 1, 3], dtype=np.float32)) == 1


@pytest.mark.parametrize("temperature", [1e-38, 1e-9, 0.001])
def test_a_tiny_temperature_is_greedy_and_raises_no_warning(temperature):
    logits = np.array([0, 3, 1, -np.inf], dtype=np.float32)
    sampler = TokenSampler(Sampling(temperature=temperature, top_p=0.9), NO_PROMPT, seed=0, index=0)
    assert {sampler.draw(logits) for _ in range(20)} == {1}


def test_penalties_count_the_reply_and_repetition_the_prompt_too():
    logits = np.array([1.0, 0.9, -1.0, 0.0], dtype=np.float32)
    prompt = np.array([0, 2])
    repeat = TokenSampler(
        Sampling(temperature=0.0, repetition_penalty=2.0), prompt, seed=0, index=0
    )
    np.testing.assert_allclose(repeat._adjusted(logits, None), [0.5, 0.9, -2.0, 0.0])
    often = TokenSampler(
        Sampling(temperature=0.0, frequency_penalty=0.06, presence_penalty=0.01),
        prompt,
        seed=0,
        index=0,
    )
    # 1.0 -> 0.93 after once, 0.87 after twice; then 0.9 wins.
    assert [often.draw(logits) for _ in range(3)] == [0, 0, 1]


def test_end_tokens_wait_for_min_tokens():
    logits = np.array([0.0, 9.0, 1.0], dtype=np.float32)
    sampler = TokenSampler(
        Sampling(temperature=0.0, min_tokens=2), NO_PROMPT, seed=0, index=0, end_ids=[1]
    )
    assert [sampler.draw(logits) for _ in range(3)] == [2, 2, 1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("extra", [{}, {"logit_bias": {0: 1.0}}, {"top_k": 2}, {"top_p": 0.5}])
def test_logits_that_are_no_numbers_are_an_error(temperature, bad, extra):
    logits = np.array([0.0, bad, 1.0], dtype=np.float32)
    sampler = TokenSampler(Sampling(temperature=temperature, **extra), NO_PROMPT, seed=0, index=0)
    with pytest.raises(KataribeError, match="finite"):
        sampler.draw(logits)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nothing_allowed_is_an_error_of_its_own(temperature):
    sampler = TokenSampler(Sampling(temperature=temperature), NO_PROMPT, seed=0, index=0)
    with pytest.raises(ConstraintError, match="No token is allowed"):
        sampler.draw(np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.bool_))


def test_logits_are_left_as_they_are():
    logits = np.random.default_rng(0).standard_normal(20).astype(np.float32)
    before = logits.copy()
    sampling = Sampling(repetition_penalty=1.5, logit_bias={3: 5.0}, top_p=0.9, top_k=4)
    TokenSampler(sampling, NO_PROMPT, seed=0, index=0).draw(logits, np.ones(20, dtype=np.bool_))
    assert (logits == before).all()


TINY = 5e-324
EXTREMES = {
    "temperature": (0.0, TINY, 2.0),
    "top_p": (TINY, 1.0),
    "top_k": (0, 1, 2**31 - 1),
    "min_p": (0.0, TINY, 1.0),
    "repetition_penalty": (0.01, 10.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "logit_bias": ({3: -100.0, 4: 100.0}, {3: -TINY}),
    "min_tokens": (0, 2**31 - 1),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in EXTREMES.items() for value in values]
)
@pytest.mark.parametrize("other", [{}, {"temperature": TINY}, {"top_k": 5}, {"top_p": 0.5}])
def test_the_extreme_values_of_every_field_draw_a_token(name, value, other):
    """With logits as large as any model has them."""
    logits = np.array([0.0, -3e4, 6e4, 5.5, -5.5, 1e-30] * 40, dtype=np.float32)
    sampling = Sampling(**{**other, name: value})
    sampler = TokenSampler(sampling, np.arange(10), seed=1, index=0, end_ids=(7,))
    with np.errstate(all="raise", under="ignore"):
        drawn = [sampler.draw(logits) for _ in range(3)]
    assert all(0 <= token < logits.size for token in drawn)


def test_a_repetition_penalty_that_makes_infinities_is_refused():
    for value in (1e-300, 0.009, 0.0):
        with pytest.raises(InputError, match="repetition_penalty"):
            Sampling(repetition_penalty=value)
