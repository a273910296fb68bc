"""The core against a one-sequence reference, whatever else runs beside it."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from engine_harness import Harness, check_pool, check_reply, random_request
from fake_runner import EOS, FakeRunner, logits_of

from kataribe.base.errors import ContextLengthError, InputError, KataribeError, UnavailableError
from kataribe.base.events import Progress
from kataribe.base.lm import Sampling
from kataribe.run.inference.requests import Ended, Generated, GenerationRequest, PromptScored

GREEDY = Sampling(temperature=0.0, max_tokens=8, ignore_eos=True)


@pytest.mark.parametrize("reuses", [True, False], ids=["sharing", "apart"])
@pytest.mark.parametrize(
    ("seed", "blocks", "block_size"),
    [(1, 16, 4), (2, 16, 4), (3, 40, 4), (4, 200, 16)],
    ids=["tiny", "tiny again", "tight", "roomy"],
)
def test_replies_are_those_of_the_reference(seed, blocks, block_size, reuses):
    print(f"seed {seed}")
    rng = random.Random(seed)
    context = 60
    runner = FakeRunner(blocks, block_size, reuses_prefixes=reuses)
    harness = Harness(runner, context=context, running=8, chunk=11, smallest_chunk=3)
    core = harness.core
    requests = [random_request(rng, longest=38) for _ in range(200)]
    live, whole, cut = [], [], []
    while requests or not core.is_idle:
        for _ in range(rng.choice([0, 0, 0, 1, 3])):
            live += [harness.submit(requests.pop())] if requests else []
        core.step()
        check_pool(core)
        if live and rng.random() < 0.03:
            gone = live.pop(rng.randrange(len(live)))
            core.give_up(gone)
            cut.append(gone)
            check_pool(core)
        whole += [each for each in live if not each.is_open]
        live = [each for each in live if each.is_open]
    assert len(whole) + len(cut) == 200
    for generation in whole:
        check_reply(generation, context)
    for generation in cut:
        check_reply(generation, context, whole=not generation.is_open and _is_whole(generation))
    metrics = core.metrics()
    assert core.pool.used == 0
    assert (metrics.cached_tokens > 0) == reuses
    assert metrics.failed == 0
    assert harness.engine._unstarted == 0
    assert harness.runner.copies, "no fork copied a block"
    if blocks == 16:
        assert metrics.preempted > 0, "the scenario was meant to run out of blocks"


def test_without_prefixes_nothing_is_shared_kept_or_forgotten_too_soon():
    runner = FakeRunner(64, 4, reuses_prefixes=False)
    harness = Harness(runner, chunk=16)
    request = GenerationRequest(tuple(range(20)), GREEDY, n=3)
    replies = []
    for _ in range(2):  # the same again, as the next turn of a chat would ask
        generation = harness.submit(request)
        harness.run()
        check_reply(generation, 64 * 4)
        ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
        assert [end.cached_tokens for end in ends] == [0, 0, 0]
        replies.append([end.ids for end in ends])
    assert replies[0] == replies[1]
    assert harness.core.metrics().blocks_reusable == 0
    # Two forks of 20 tokens each time, all five blocks of each copied.
    assert len(runner.copies) == 2 * 2 * 5
    harness.submit(GenerationRequest((1, 2), GREEDY))
    harness.core.step()
    assert len(runner.states) == 1, "states of sequences that have gone are kept"


def test_without_prefixes_a_step_that_failed_is_tried_again_from_the_same_state():
    runner = FakeRunner(64, 4, reuses_prefixes=False)
    run, fails = runner.run, iter([False, True] * 200)

    def fail_after_computing(batch):
        rows = run(batch)
        if len(batch.slices) > 1 and next(fails):
            raise RuntimeError("too late")
        return rows

    runner.run = fail_after_computing
    harness = Harness(runner, chunk=7)
    live = [harness.submit(GenerationRequest((each, 2, 3, 4, 5), GREEDY)) for each in range(3)]
    harness.run()
    for generation in live:
        check_reply(generation, 64 * 4)


def _is_whole(generation):
    ends = sum(isinstance(event, Ended) for event in generation.mailbox.events)
    return ends == generation.request.n


def test_the_next_turn_of_a_chat_reuses_prompt_and_reply():
    harness = Harness(FakeRunner(64, 4), chunk=16)
    first = GenerationRequest(tuple(range(20)), GREEDY)
    one = harness.submit(first)
    harness.run()
    (end,) = [event for event in one.mailbox.events if isinstance(event, Ended)]
    turn = GenerationRequest((*first.ids, *end.ids, 1, 2, 3), GREEDY)
    two = harness.submit(turn)
    harness.run()
    (end,) = [event for event in two.mailbox.events if isinstance(event, Ended)]
    # 20 + 8 tokens, the last of which was drawn but never computed: 27, so six blocks of four.
    assert end.cached_tokens == 24


def test_a_wholly_cached_prompt_still_computes_its_last_token():
    harness = Harness(FakeRunner(64, 4))
    request = GenerationRequest(tuple(range(16)), GREEDY)
    one = harness.submit(request)
    harness.run()
    two = harness.submit(request)
    harness.run()
    ends = [each.mailbox.events[-1] for each in (one, two)]
    assert ends[0].ids == ends[1].ids
    assert [end.cached_tokens for end in ends] == [0, 12]


def test_one_sequence_may_fill_the_whole_cache():
    harness = Harness(FakeRunner(8, 4))
    long = Sampling(temperature=0.0, ignore_eos=True)
    generations = [harness.submit(GenerationRequest((each, 2, 3), long)) for each in range(5)]
    harness.run()
    for generation in generations:
        end = generation.mailbox.events[-1]
        assert (end.reason, len(end.ids)) == ("length", 29)
    assert harness.core.metrics().preempted > 0


def test_each_of_64_streams_gets_its_share_while_long_prompts_are_read():
    rng = random.Random(5)
    runner = FakeRunner(blocks=3000, block_size=4)
    harness = Harness(runner, chunk=64, smallest_chunk=8)
    endless = Sampling(temperature=0.0, ignore_eos=True, max_tokens=1000)
    streams = [
        harness.submit(
            GenerationRequest(tuple(rng.choices(range(EOS), k=rng.randrange(1, 30))), endless)
        )
        for _ in range(64)
    ]
    harness.submit(GenerationRequest(tuple(rng.choices(range(EOS), k=400)), endless))
    for _ in range(120):
        harness.core.step()
    got = np.array([sum(isinstance(e, Generated) for e in s.mailbox.events) for s in streams])
    jain = got.sum() ** 2 / (len(got) * (got**2).sum())
    assert got.min() > 50
    assert jain >= 0.95, got


def test_nobody_starves_behind_a_stream_of_short_prompts():
    rng = random.Random(6)
    harness = Harness(FakeRunner(blocks=120, block_size=4), chunk=16, running=8)
    long = harness.submit(GenerationRequest(tuple(rng.choices(range(EOS), k=300)), GREEDY))
    for _ in range(400):
        short = tuple(rng.choices(range(EOS), k=40))
        harness.submit(GenerationRequest(short, GREEDY))
        harness.core.step()
        if not long.is_open:
            break
    assert not long.is_open
    # Half of each step's 16 tokens are its own, so it is done within 300 / 8 steps and a few.
    assert len(harness.runner.batches) < 60


def test_a_short_prompt_does_not_wait_behind_a_long_one():
    rng = random.Random(7)
    harness = Harness(FakeRunner(blocks=400, block_size=4), chunk=16)
    long = harness.submit(GenerationRequest(tuple(rng.choices(range(EOS), k=1000)), GREEDY))
    harness.core.step()
    short = harness.submit(GenerationRequest((1, 2, 3, 4, 5, 6), GREEDY))
    for _ in range(12):
        harness.core.step()
    assert not short.is_open
    assert long.is_open


def test_queue_places_and_reading_are_reported():
    harness = Harness(FakeRunner(), running=1, chunk=5)
    first = harness.submit(GenerationRequest(tuple(range(12)), GREEDY))
    second = harness.submit(GenerationRequest((1, 2), GREEDY))
    third = harness.submit(GenerationRequest((1, 2), GREEDY))
    harness.run()
    reading = [e for e in first.mailbox.events if isinstance(e, Progress)]
    assert reading == [Progress("reading", done, 12) for done in (5, 10, 12)]
    assert second.mailbox.events[0] == Progress("queued", 1, 2)
    assert third.mailbox.events[0] == Progress("queued", 2, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_end_only_their_own_request(bad):
    runner = FakeRunner()
    runner.change = lambda history, row: (
        np.full_like(row, bad) if history[0] == 7 and len(history) > 5 else row
    )
    harness = Harness(runner)
    sick = harness.submit(GenerationRequest((7, 1, 2, 3), GREEDY, n=2))
    well = harness.submit(GenerationRequest((1, 2, 3, 4), GREEDY))
    harness.run()
    assert sick.mailbox.error.code == "invalid_logits"
    assert well.mailbox.events[-1].reason == "length"
    assert harness.core.pool.used == 0


def test_a_failing_step_fails_only_the_request_at_fault():
    runner = FakeRunner()
    runner.fails = lambda batch: (
        RuntimeError("out of luck") if any(len(part.ids) == 9 for part in batch.slices) else None
    )
    harness = Harness(runner)
    well = [harness.submit(GenerationRequest((i, 2, 3, 4), GREEDY)) for i in range(3)]
    sick = harness.submit(GenerationRequest(tuple(range(9)), GREEDY))
    harness.run()
    assert "out of luck" in sick.mailbox.error.message
    for generation in well:
        assert generation.mailbox.error is None
        expected = GenerationRequest(generation.request.ids, GREEDY)
        assert generation.mailbox.events[-1].ids == _greedy(expected.ids, 8)
    assert harness.core.pool.used == 0
    assert harness.core.metrics().failed == 1


def test_a_dead_runner_is_told_apart_from_a_bad_request():
    runner = FakeRunner()
    runner.fails = lambda batch: UnavailableError("The runner is gone.")
    harness = Harness(runner)
    harness.submit(GenerationRequest((1, 2), GREEDY))
    with pytest.raises(UnavailableError):
        harness.core.step()


def test_too_few_rows_from_a_runner_are_an_error():
    runner = FakeRunner()
    run = runner.run
    runner.run = lambda batch: [rows[:0] for rows in run(batch)]
    harness = Harness(runner)
    generation = harness.submit(GenerationRequest((1, 2), GREEDY))
    harness.run()
    assert "rows" in generation.mailbox.error.message


def _greedy(ids, count):
    history = list(ids)
    for _ in range(count):
        history.append(int(logits_of(np.array(history)).argmax()))
    return tuple(history[len(ids) :])


def _log_softmax(row):
    row = row.astype(np.float64)
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


@pytest.mark.parametrize("score_from", [0, 1, 5, 16, 30, 31])
@pytest.mark.parametrize("warm", [False, True])
def test_prompt_scores_are_those_of_the_whole_history(score_from, warm):
    ids = tuple(int(each) for each in np.random.default_rng(3).integers(0, EOS, 31))
    harness = Harness(FakeRunner(), logits_bytes=5 * 4 * 61, chunk=8)
    if warm:
        harness.submit(GenerationRequest(ids, GREEDY))
        harness.run()
    request = GenerationRequest(ids, logprobs=2, echo=True, score_only=True, score_from=score_from)
    generation = harness.submit(request)
    harness.runner.batches.clear()
    harness.run()
    (scored,) = [e for e in generation.mailbox.events if isinstance(e, PromptScored)]
    assert [token.token_id for token in scored.logprobs] == list(ids[score_from:])
    for place, token in enumerate(scored.logprobs, start=score_from):
        if place == 0:
            assert token.logprob is None
            continue
        row = _log_softmax(logits_of(np.array(ids[:place])))
        assert token.logprob == pytest.approx(row[ids[place]], abs=1e-4)
        assert [t.token_id for t in token.top] == np.argsort(-row, kind="stable")[:2].tolist()
    rows = [
        len(part.ids) for b in harness.runner.batches for part in b.slices if part.logits == "all"
    ]
    assert all(count <= 5 for count in rows), "more logits at once than the limit allows"
    end = generation.mailbox.events[-1]
    assert (end.reason, end.ids) == ("stop", ())
    assert (end.cached_tokens > 0) == (warm and score_from > 4)


def test_scores_survive_preemption_and_a_reply_follows_them():
    rng = random.Random(9)
    harness = Harness(FakeRunner(blocks=12, block_size=4), chunk=6, running=4)
    early = [
        harness.submit(GenerationRequest((i, 1), Sampling(max_tokens=30, ignore_eos=True), seed=i))
        for i in range(3)
    ]
    ids = tuple(rng.choices(range(EOS), k=20))
    scored = harness.submit(GenerationRequest(ids, GREEDY, logprobs=0, echo=True))
    harness.run()
    assert all(not each.is_open for each in early)
    (prompt,) = [e for e in scored.mailbox.events if isinstance(e, PromptScored)]
    assert [token.token_id for token in prompt.logprobs] == list(ids)
    assert scored.mailbox.events[-1].ids == _greedy(ids, 8)


def test_log_probabilities_are_the_models_own_and_go_with_the_text():
    sampling = Sampling(
        temperature=1.7, top_k=3, frequency_penalty=1.0, logit_bias={5: 4.0}, max_tokens=12
    )
    harness = Harness(FakeRunner())
    request = GenerationRequest((1, 2, 3), sampling, logprobs=3, seed=4, stop=("zzz",))
    generation = harness.submit(request)
    harness.run()
    end = generation.mailbox.events[-1]
    events = [e for e in generation.mailbox.events if isinstance(e, Generated)]
    tokens = [token for event in events for token in event.logprobs]
    spoken = [token for token in end.ids if token != EOS]
    assert [token.token_id for token in tokens] == spoken
    history = [1, 2, 3]
    for token in tokens:
        row = _log_softmax(logits_of(np.array(history)))
        assert token.logprob == pytest.approx(row[token.token_id], abs=1e-4)
        assert len(token.top) == 3
        history.append(token.token_id)


def test_tokens_of_a_stop_string_have_no_log_probabilities():
    harness = Harness(FakeRunner())
    prompt = next((i, 2, 3) for i in range(EOS) if max(_greedy((i, 2, 3), 8)) < 50)  # plain letters
    text = "".join(chr(65 + token) for token in _greedy(prompt, 8))
    request = GenerationRequest(prompt, GREEDY, logprobs=0, stop=(text[3:6],))
    generation = harness.submit(request)
    harness.run()
    end = generation.mailbox.events[-1]
    tokens = [
        token
        for event in generation.mailbox.events
        if isinstance(event, Generated)
        for token in event.logprobs
    ]
    assert (end.text, end.stop, end.reason) == (text[:3], text[3:6], "stop")
    assert "".join(token.token for token in tokens) == text[:3]


def test_a_deadline_ends_the_reply_and_says_so():
    harness = Harness(FakeRunner())
    soon = time.monotonic() + 0.05
    endless = Sampling(temperature=0.0, ignore_eos=True, max_tokens=200)
    generation = harness.submit(GenerationRequest((1, 2), endless, deadline=soon, n=2))
    late = harness.submit(GenerationRequest((1, 2), endless, deadline=0.0, n=2))
    harness.runner.seconds = lambda batch: 0.01
    harness.run()
    for each, least in ((generation, 1), (late, 0)):
        ends = [event for event in each.mailbox.events if isinstance(event, Ended)]
        assert [end.reason for end in ends] == ["deadline", "deadline"]
        assert all(least <= len(end.ids) < 200 for end in ends)
    assert harness.core.pool.used == 0


def test_a_fork_without_a_place_waits_and_is_not_lost():
    harness = Harness(FakeRunner(blocks=10, block_size=4), running=2)
    request = GenerationRequest((1, 2, 3, 4, 5), Sampling(max_tokens=9), n=6, seed=11)
    generation = harness.submit(request)
    harness.run()
    check_reply(generation, 40)


def test_choices_draw_differently_and_repeat_with_the_seed():
    request = GenerationRequest((1, 2, 3), Sampling(max_tokens=12, ignore_eos=True), n=5, seed=-7)
    replies = []
    for beside in (0, 3):
        harness = Harness(FakeRunner())
        for each in range(beside):
            harness.submit(GenerationRequest((each,), Sampling(max_tokens=30)))
        generation = harness.submit(request)
        harness.run()
        ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
        replies.append({end.index: end.ids for end in ends})
    assert replies[0] == replies[1]
    assert len(set(replies[0].values())) == 5


def test_a_prompt_that_does_not_fit_is_refused_with_both_counts():
    harness = Harness(FakeRunner(blocks=8, block_size=4), context=20)
    with pytest.raises(ContextLengthError, match=r"20 tokens and asks for 1 more.*holds 20"):
        harness.submit(GenerationRequest((1,) * 20))
    with pytest.raises(ContextLengthError, match=r"10 tokens and asks for 11 more.*holds 20"):
        harness.submit(GenerationRequest((1,) * 10, Sampling(max_tokens=11)))
    harness.submit(GenerationRequest((1,) * 10, Sampling(max_tokens=10)))
    harness.submit(GenerationRequest((1,) * 20, logprobs=0, echo=True, score_only=True))
    harness.run()


@pytest.mark.parametrize(
    "make",
    [
        lambda: GenerationRequest(()),
        lambda: GenerationRequest((1,), n=0),
        lambda: GenerationRequest((1,), logprobs=21),
        lambda: GenerationRequest((1,), stop=("",)),
        lambda: GenerationRequest((1,), score_from=2),
        lambda: GenerationRequest((1,), score_only=True, n=2),
        lambda: Harness(FakeRunner()).submit(GenerationRequest((61,))),
        lambda: Harness(FakeRunner()).submit(GenerationRequest((-1,))),
        lambda: Harness(FakeRunner()).submit(
            GenerationRequest((1,), Sampling(logit_bias={61: 1.0}))
        ),
        # Rows of the logits that stand for no token.
        lambda: Harness(FakeRunner(vocab_size=70)).submit(GenerationRequest((65,))),
        lambda: Harness(FakeRunner(vocab_size=70)).submit(
            GenerationRequest((1,), Sampling(logit_bias={65: 1.0}))
        ),
        lambda: Harness(FakeRunner()).submit(GenerationRequest((1,), stop_ids=frozenset({99}))),
    ],
)
def test_what_cannot_be_asked_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_rows_of_the_logits_that_stand_for_no_token_are_never_drawn():
    runner = FakeRunner(vocab_size=70)
    runner.change = lambda history, row: row + np.where(np.arange(70) >= 61, 20, 0).astype("f4")
    harness = Harness(runner)
    generation = harness.submit(
        GenerationRequest((1, 2), Sampling(max_tokens=20, ignore_eos=True), n=3)
    )
    harness.run()
    ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
    assert len(ends) == 3
    assert max(token for end in ends for token in end.ids) < 61


def test_copying_that_fails_ends_its_request():
    runner = FakeRunner()

    def refuse(pairs):
        raise MemoryError

    runner.copy_blocks = refuse
    harness = Harness(runner)
    generation = harness.submit(GenerationRequest((1, 2, 3), GREEDY, n=3))
    harness.run()
    assert isinstance(generation.mailbox.error, KataribeError)
    assert harness.core.pool.used == 0
