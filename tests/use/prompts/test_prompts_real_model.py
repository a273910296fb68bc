"""Techniques over a real model: SmolLM2-135M, seldom right, but never scripted."""

from __future__ import annotations

import asyncio

import pytest
from technique_events import Metered, Multiply, end, events_of, question, steps, until, words

from kataribe.base.lm import Sampling
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.use.prompts.chain_of_thought import ChainOfThought
from kataribe.use.prompts.react import ReAct, ReActOptions
from kataribe.use.prompts.self_consistency import SelfConsistency, SelfConsistencyOptions
from kataribe.use.prompts.thought_tree import tree_from_json
from kataribe.use.prompts.tree_of_thoughts import TreeOfThoughts, TreeOfThoughtsOptions

SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def lm(smollm2_path):
    # Through PyTorch, which computes where no compiled library is, only float32 gives the same
    # tokens beside whatever company: paths run side by side, never twice in the same steps.
    options = LoadOptions(context=1024, cache_tokens=8192, precision="float32")
    model = load_local("smollm2", smollm2_path, options)
    yield model.lm
    model.close(0.0)


async def test_a_chain_of_thought_streams(lm):
    events = await events_of(ChainOfThought(lm), question(sampling=SHORT, seed=1))
    assert words(events)
    assert end(events).usage.completion_tokens <= 24


async def test_a_seeded_vote_repeats_and_its_paths_differ(lm):
    vote = SelfConsistency(lm, SelfConsistencyOptions(paths=3, temperature=1.0))
    asked = question(sampling=SHORT, seed=7)
    first, second = await events_of(vote, asked), await events_of(vote, asked)
    assert words(first) == words(second)
    assert sorted(steps(first, "path")) == sorted(steps(second, "path"))
    said = {path.partition(". ")[2] for path in steps(first, "path")}
    assert len(said) > 1


async def test_a_tree_is_counted_whole(lm):
    metered = Metered(lm)
    options = TreeOfThoughtsOptions(breadth=1, branches=2, depth=1)
    events = await events_of(TreeOfThoughts(metered, options), question(sampling=SHORT, seed=2))
    assert len(tree_from_json(steps(events, "tree")[0]).thoughts) == 2
    assert end(events).usage == metered.usage


async def test_react_ends_with_a_model_that_cannot_do_it(lm):
    tools = ReAct(lm, [Multiply()], ReActOptions(most_steps=2))
    events = await events_of(tools, question(sampling=SHORT, seed=3))
    assert end(events).reason in ("stop", "length")
    assert words(events)


async def test_stopping_frees_the_model_at_once(lm):
    metered = Metered(lm)
    vote = SelfConsistency(metered, SelfConsistencyOptions(paths=4))
    asked = question(sampling=Sampling(max_tokens=400, ignore_eos=True), seed=1)
    listening = asyncio.ensure_future(events_of(vote, asked))
    await until(lambda: metered.open == 4)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert metered.open == 0
    events = await events_of(ChainOfThought(lm), question(sampling=SHORT))
    assert end(events).usage.completion_tokens <= 24
