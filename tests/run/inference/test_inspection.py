"""Looking inside replies: the engine's own distributions, whichever runner computes them."""

from __future__ import annotations

import asyncio
import dataclasses
import math

import numpy as np
import pytest
import torch
from pico_model import NATIVE, build

from kataribe.base.errors import ContextLengthError, InputError, UnavailableError
from kataribe.base.events import Finished
from kataribe.base.inside import Inspectable, Said
from kataribe.base.lm import Request, Sampling, reply
from kataribe.base.messages import Message, text_message, text_of
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.run.inference import inspection
from kataribe.run.inference.inspection import KeptRows
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.native.library import native_library
from kataribe.run.inference.sampler_reference import probabilities_reference

ASKED = Request(
    (text_message("system", "短く答える。"), text_message("user", "Recite 🌏")),
    sampling=Sampling(temperature=1.0, max_tokens=40),
    seed=7,
    logprobs=10,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("pico") / "pico", changes=NATIVE)


@pytest.fixture(params=["native", "torch"])
def model(request, folder):
    """The same small model over either runner."""
    if request.param == "native" and native_library() is None:
        pytest.skip("the native library is not built here")
    precision = "auto" if request.param == "native" else "float32"
    loaded = load_local("pico", folder, LoadOptions(512, 2048, precision, "cpu", 1))
    yield loaded
    loaded.close(0.0)


def said(finished: Finished, **changes) -> Said:
    ended = finished.reason == "stop"
    whole = Said(finished.message, ended=ended, tokens=finished.usage.completion_tokens)
    return dataclasses.replace(whole, **changes)


async def test_what_is_shown_is_what_the_reply_was_drawn_from(model):
    assert isinstance(model.lm, Inspectable)
    finished = await reply(model.lm, ASKED)
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, said(finished))
    assert laid.prompt == finished.usage.prompt_tokens
    shown = await inspector.look(laid, 0, 1000)
    assert len(shown) == laid.places
    prompt = model.tokenizer.decode(laid.ids[: laid.prompt])
    assert prompt.startswith(
        "<|start|>system\n短く答える。<|end|>\n<|start|>user\nRecite 🌏<|end|>"
    )
    drawn = [token.token_id for token in finished.logprobs]
    same = drawn == list(laid.ids[laid.prompt :])
    assert same or not laid.exact  # a babbling model may cut its text in another way
    for token, known in zip(shown, finished.logprobs, strict=False):
        if token.piece.id != known.token_id:
            break
        # The prompt was read in other chunks; a runner may round otherwise then.
        assert token.logprob == pytest.approx(known.logprob, abs=1e-3)
        assert [other.piece.id for other in token.top] == [other.token_id for other in known.top]
    else:
        assert same


async def test_figures_are_those_of_the_plain_decoder(model, folder):
    """Log-probability, rank, entropy and alternatives, from a whole pass in float32."""
    inspector = await model.lm.inspector()
    words = "語り部は聞いたことを語り 🌏"
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", words), ended=True))
    shown = await inspector.look(laid, 0, 1000)
    assert laid.exact
    assert shown[-1].piece.kind == "control"
    assert shown[-1].piece.id in model.tokenizer.eos_ids
    decoder = load_model(open_checkpoint(folder))
    ids = torch.tensor([laid.ids])
    with torch.inference_mode():
        hidden = decoder(ids, torch.arange(len(laid.ids))[None], CausalAttend(decoder.config))
        logits = decoder.logits(hidden)[0].double().log_softmax(-1).numpy()
    for place, token in enumerate(shown):
        row = logits[laid.prompt + place - 1]
        order = np.argsort(-row, kind="stable")
        # The native runner holds weights in fewer bits; PyTorch's is exact to rounding.
        near = 1e-4 if type(model.engine._runner).__name__ == "TorchRunner" else 0.25
        assert token.logprob == pytest.approx(row[token.piece.id], abs=near)
        bits = -(np.exp(row) * row).sum() / math.log(2)
        assert token.entropy == pytest.approx(bits, abs=near * 4)
        chances = [other.logprob for other in token.top]
        assert chances == sorted(chances, reverse=True)
        if near < 0.01:
            assert token.rank == list(order).index(token.piece.id) + 1
            assert token.top[0].piece.id == order[0]
        if token.rank <= len(token.top):
            assert token.top[token.rank - 1].piece.id == token.piece.id


async def test_many_small_requests_show_what_one_does(model, monkeypatch):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2 3 4 語られた")))
    whole = await inspector.look(laid, 0, 1000)
    monkeypatch.setattr(inspection, "AT_A_TIME", 4 * model.tokenizer.vocab_size * 3)
    parts = await inspector.look(laid, 0, 4) + await inspector.look(laid, 4, 1000)
    assert [token.piece for token in parts] == [token.piece for token in whole]
    for one, other in zip(parts, whole, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert one.start == other.start


async def test_a_running_reply_is_not_touched(model):
    alone = await reply(model.lm, ASKED)
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "9 8 7 " * 60)))
    beside, _ = await asyncio.gather(reply(model.lm, ASKED), inspector.look(laid, 0, 1000))
    assert text_of(beside.message) == text_of(alone.message)


async def test_whoever_goes_away_leaves_nothing_running(model):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "9 8 7 " * 60)))
    looking = asyncio.create_task(inspector.look(laid, 0, 1000))
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    for _ in range(200):
        if not model.engine.metrics.running and not model.engine.metrics.waiting:
            break
        await asyncio.sleep(0.02)
    assert model.engine.metrics.running == model.engine.metrics.waiting == 0
    assert model.engine.metrics.blocks_used == 0


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.0),
        Sampling(temperature=0.3),
        Sampling(temperature=1.7, top_k=5),
        Sampling(top_p=0.4),
        Sampling(temperature=0.8, top_k=30, top_p=0.7, min_p=0.1),
        Sampling(min_p=1.0),
    ],
)
async def test_sliders_show_what_the_sampler_does(model, sampling):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2 3")))
    weighing = await inspector.weigh(laid, 2, sampling, 1000)
    row = inspector.kept.get(inspection._name(laid), 2).astype(np.float64)
    before = probabilities_reference(row, Sampling())
    after = probabilities_reference(row, sampling)
    assert weighing.vocabulary == row.size == len(weighing.shares)
    assert weighing.alive == np.count_nonzero(after)
    for share in weighing.shares:
        assert share.before == pytest.approx(before[share.piece.id], abs=1e-6)
        assert share.after == pytest.approx(after[share.piece.id], abs=1e-6)
    assert sum(share.after for share in weighing.shares) == pytest.approx(1.0, abs=1e-6)


async def test_a_slider_computes_a_distribution_once(model):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2 3")))
    await inspector.look(laid, 0, 1000)
    asked = model.engine.metrics.requests
    for step in range(20):
        await inspector.weigh(laid, 3, Sampling(temperature=step / 10), 20)
    assert model.engine.metrics.requests == asked
    other = await inspector.lay_out(ASKED, Said(text_message("assistant", "9 8 7")))
    await inspector.weigh(other, 0, Sampling(), 20)
    assert model.engine.metrics.requests == asked + 1


async def test_the_token_that_stands_there_is_always_among_those_weighed(model):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2 3")))
    shown = await inspector.look(laid, 0, 1000)
    for place, token in enumerate(shown):
        weighing = await inspector.weigh(laid, place, Sampling(), 1)
        assert token.piece in [share.piece for share in weighing.shares]
        assert len(weighing.shares) == (1 if token.rank == 1 else 2)


@pytest.mark.parametrize("position", [-1, 3, 10**9])
async def test_a_place_that_is_not_there_is_refused(model, position):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1"), ended=True))
    assert laid.places == 3
    with pytest.raises(InputError, match="3 places"):
        await inspector.weigh(laid, position, Sampling(), 20)


async def test_a_reply_without_a_word_shows_where_it_ended(model):
    inspector = await model.lm.inspector()
    empty = Message("assistant", ())
    laid = await inspector.lay_out(ASKED, Said(empty, ended=True, tokens=1))
    (token,) = await inspector.look(laid, 0, 10)
    assert (token.piece.kind, token.start, laid.exact) == ("control", 0, True)
    laid = await inspector.lay_out(ASKED, Said(empty))
    assert laid.places == 0
    assert await inspector.look(laid, 0, 10) == ()


async def test_a_reply_beyond_the_context_is_refused_with_both_counts(model):
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "語 " * 400)))
    with pytest.raises(ContextLengthError, match="512"):
        await inspector.look(laid, 0, 10**6)


async def test_a_model_that_is_unloaded_meanwhile_says_so(folder):
    model = load_local("pico", folder, LoadOptions(512, 2048, "float32", "cpu", 1))
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2")))
    await asyncio.to_thread(model.close, 0.0)
    with pytest.raises(UnavailableError):
        await inspector.look(laid, 0, 10)


async def test_kept_distributions_stay_within_their_bound():
    kept = KeptRows(4 * 10 * 5, seconds=60)
    rows = [np.full(10, place, np.float32) for place in range(8)]
    kept.add("a", 0, rows, only_where_room=True)
    assert kept.size == 4 * 10 * 5
    assert kept.get("a", 4) is not None
    assert kept.get("a", 5) is None
    kept.add("a", 7, rows[7:])
    assert kept.size == 4 * 10 * 5
    assert kept.get("a", 0) is None  # unused the longest
    assert kept.get("a", 7)[0] == 7
    kept.add("b", 0, rows[:1])
    assert kept.get("a", 7) is None
    assert kept.size == 4 * 10


async def test_kept_distributions_go_when_nobody_looks():
    kept = KeptRows(1000, seconds=0.02)
    kept.add("a", 0, [np.zeros(10, np.float32)])
    for _ in range(200):
        if kept.size == 0:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("they are still there")


async def test_a_kept_distribution_does_not_hold_its_step(model):
    """A row is a view of all logits of a step: 60 MB for a large vocabulary."""
    inspector = await model.lm.inspector()
    laid = await inspector.lay_out(ASKED, Said(text_message("assistant", "0 1 2 3")))
    await inspector.look(laid, 0, 10)
    row = inspector.kept.get(inspection._name(laid), 0)
    assert row.base is None
