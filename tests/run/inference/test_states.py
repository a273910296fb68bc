"""Recurrent models in the runner and the engine, against the slow reference."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from engine_harness import Harness, check_pool
from fake_runner import EOS
from recurrent_models import CONFIGS, build, config_of
from test_runner import expected_logits, random_run

from kataribe.base.errors import KataribeError
from kataribe.base.lm import Sampling
from kataribe.make.model.configs.counting import state_bytes
from kataribe.make.model.reference import generate_reference
from kataribe.run.inference.requests import Ended, GenerationRequest
from kataribe.run.inference.runner import TorchRunner
from kataribe.run.inference.step import Slice, StepBatch


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_recurrent_models_equal_those_of_whole_sequences(name, seed):
    model = build(name)
    runner = TorchRunner(model, blocks=64, block_size=4)
    assert not runner.reuses_prefixes
    random_run(model, runner, seed, longest=40)


def greedy(model, ids, count, known={}):  # noqa: B006 - replies are dear
    key = id(model), tuple(ids), count
    if key not in known:
        known[key] = generate_reference(model, list(ids), count)
    return known[key]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("seed", "blocks"), [(1, 24), (2, 200)], ids=["tight", "roomy"])
def test_replies_of_the_engine_are_those_of_the_reference(name, seed, blocks):
    print(f"seed {seed}")
    rng = random.Random(seed)
    model = build(name)
    runner = TorchRunner(model, blocks=blocks, block_size=4, sequences=5)
    harness = Harness(runner, context=90, running=5, chunk=13, smallest_chunk=3)
    core = harness.core
    shared = [rng.randrange(EOS) for _ in range(20)]
    requests = []
    for _ in range(24):
        own = [rng.randrange(EOS) for _ in range(rng.randrange(1, 30))]
        sampling = Sampling(temperature=0.0, max_tokens=rng.randrange(1, 16), ignore_eos=True)
        ids = tuple(shared[: rng.choice([0, 20])] + own)
        requests.append(GenerationRequest(ids, sampling, n=rng.choice([1, 1, 1, 3])))
    live, gone = [], []
    waiting = list(requests)
    while waiting or not core.is_idle:
        for _ in range(rng.choice([0, 0, 1, 3])):
            live += [harness.submit(waiting.pop())] if waiting else []
        core.step()
        check_pool(core)
        if live and rng.random() < 0.02:
            gone.append(live.pop(rng.randrange(len(live))))
            core.give_up(gone[-1])
        assert runner._states.sequences <= 10
    for generation in live:
        request = generation.request
        assert generation.mailbox.error is None, generation.mailbox.error
        ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
        assert len(ends) == request.n
        for end in ends:
            assert list(end.ids) == greedy(model, request.ids, request.sampling.max_tokens)
            assert end.cached_tokens == 0
    metrics = core.metrics()
    assert metrics.failed == 0
    assert metrics.blocks_reusable == 0
    if blocks == 24:
        assert metrics.preempted > 0, "the scenario was meant to run out of blocks"
    # One step more, and only what is in it has states.
    harness.submit(GenerationRequest((1, 2), Sampling(max_tokens=1)))
    core.step()
    assert runner._states.sequences == 1


def test_random_replies_of_choices_go_on_from_one_state():
    model = build("all kinds")
    sampling = Sampling(temperature=1.0, max_tokens=12, ignore_eos=True)
    request = GenerationRequest((5, 6, 7, 8, 9), sampling, n=4, seed=3)
    replies = []
    for running in (8, 1):  # beside each other, forked; one after the other, each read anew
        runner = TorchRunner(model, blocks=64, block_size=4)
        harness = Harness(runner, running=running)
        generation = harness.submit(request)
        harness.run()
        ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
        replies.append({end.index: end.ids for end in ends})
    assert replies[0] == replies[1]
    assert len(set(replies[0].values())) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_of_a_recurrent_model_can_be_repeated(name):
    model = build(name)
    runner = TorchRunner(model, blocks=16, block_size=4)
    ids = (1, 2, 3, 4, 5, 6, 7, 8)
    expected = expected_logits(model, np.array(ids))

    def check(part, low, high):
        found = runner.run(StepBatch((part,)))[0]
        np.testing.assert_allclose(found, expected[low:high], rtol=1e-3, atol=1e-4)

    for _ in range(3):
        check(Slice(ids[:5], 0, (3, 5), "all"), 0, 5)
    for _ in range(3):
        check(Slice(ids[5:6], 5, (3, 5), "all"), 5, 6)
    check(Slice(ids[5:7], 5, (3, 5), "all"), 5, 7)  # with another end
    check(Slice(ids[7:], 7, (3, 5), "all"), 7, 8)


def test_a_step_that_fails_half_way_leaves_the_states_at_its_start(monkeypatch):
    model = build("mamba")
    runner = TorchRunner(model, blocks=16, block_size=4)
    ids = (1, 2, 3, 4, 5, 6, 7)
    expected = expected_logits(model, np.array(ids))
    runner.run(StepBatch((Slice(ids[:5], 0, (0, 1), "none"), Slice(ids[:2], 0, (4,), "none"))))
    last = model.blocks[2].mixer
    monkeypatch.setattr(last, "advance", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    step = StepBatch((Slice(ids[5:6], 5, (0, 1), "last"), Slice(ids[2:4], 2, (4,), "last")))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            runner.run(step)
    monkeypatch.undo()
    found = [runner.run(StepBatch((part,)))[0] for part in step.slices]
    np.testing.assert_allclose(found[0], expected[5:6], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1], expected[3:4], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_copy_goes_on_from_the_same_state_and_changes_nothing_of_the_first(name):
    model = build(name)
    runner = TorchRunner(model, blocks=8, block_size=4)
    ids = np.array([1, 2, 3, 4, 5, 6, 7])
    runner.run(StepBatch((Slice((1, 2, 3, 4, 5, 6), 0, (0, 1), "none"),)))
    runner.copy_blocks([(0, 4), (1, 6)])
    other = np.array([1, 2, 3, 4, 5, 6, 9])
    for blocks, history in (((4, 6), ids), ((0, 1), other)):
        found = runner.run(StepBatch((Slice((int(history[6]),), 6, blocks, "last"),)))[0]
        expected = expected_logits(model, history)[-1:]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_state_that_is_not_there_is_said():
    runner = TorchRunner(build("mamba"), blocks=8, block_size=4)
    with pytest.raises(KataribeError, match="at token 3 is not there; known are those at none"):
        runner.run(StepBatch((Slice((1,), 3, (0,), "last"),)))
    runner.run(StepBatch((Slice((1, 2), 0, (0,), "none"),)))
    with pytest.raises(KataribeError, match=r"at token 3 is not there; known are those at \[2\]"):
        runner.run(StepBatch((Slice((1,), 3, (0,), "last"),)))


def test_more_sequences_than_places_are_refused_and_gone_ones_make_room():
    runner = TorchRunner(build("mamba2"), blocks=16, block_size=4, sequences=2)
    parts = tuple(Slice((1, 2), 0, (block,), "none") for block in range(4))
    runner.run(StepBatch(parts))
    runner.run(StepBatch(tuple(Slice((3,), 2, (block,), "none") for block in range(4))))
    with pytest.raises(KataribeError, match="more replies at a time than the 2"):
        runner.run(StepBatch((Slice((1, 2), 0, (4,), "none"),)))
    runner.run(StepBatch((Slice((1, 2), 0, (4,), "none"),), gone=(1,)))
    with pytest.raises(KataribeError, match="is not there"):
        runner.run(StepBatch((Slice((4,), 3, (1,), "none"),)))


@pytest.mark.parametrize("name", CONFIGS)
def test_bytes_of_states_are_those_that_are_counted(name):
    config = config_of(name)
    runner = TorchRunner(build(name), blocks=32, block_size=4)
    parts = tuple(Slice((1, 2, 3, 4, 5), 0, (2 * n, 2 * n + 1), "none") for n in range(3))
    runner.run(StepBatch(parts))
    assert runner._states.size_bytes == 3 * state_bytes(config, 5)
    runner.run(StepBatch(tuple(Slice((6,), 5, part.blocks, "none") for part in parts)))
    assert runner._states.size_bytes == 3 * (state_bytes(config, 5) + state_bytes(config, 6))


def test_the_cache_holds_nothing_for_layers_that_do_not_attend():
    runner = TorchRunner(build("mamba"), blocks=64, block_size=16)
    assert runner._attention.cache.keys.nbytes == 0
    runner = TorchRunner(build("all kinds"), blocks=64, block_size=16)
    assert runner._attention.cache.keys.nbytes == 2 * 64 * 16 * 2 * 8 * 4
