"""Encoder-decoders as language models: texts in and out, against `transformers` end to end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import (
    ArchitectureError,
    ContextLengthError,
    InputError,
    SettingsError,
    UnsupportedError,
)
from kataribe.base.events import TextDelta
from kataribe.base.lm import RegexFormat, Request, Sampling, ToolSpec, replies, reply
from kataribe.base.messages import Message, text_message, text_of
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.run.inference.load import LoadOptions, LocalModel, load_local
from kataribe.run.inference.source_lm import EncoderDecoderLM
from tests.parity.tiny_source import load_source
from tests.source_models import TEXTS, make_source_model, their_reply

SHORT = Sampling(max_tokens=12)


@pytest.fixture(scope="module", params=["t5", "bart"])
def opened(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    theirs = make_source_model(request.param, folder)
    model = load_local("tiny", folder, LoadOptions(128, 1024, precision="float32", threads=1))
    yield model, folder, theirs
    model.close(0.0)


def answer(model: LocalModel, request: Request) -> Any:
    return asyncio.run(reply(model.lm, request))


def test_replies_are_those_of_transformers(opened: Any) -> None:
    model, folder, theirs = opened
    for text in TEXTS:
        got = answer(model, Request(text, sampling=SHORT))
        assert text_of(got.message) == their_reply(folder, theirs, text, 12)
        assert got.usage.completion_tokens <= 12


def test_many_at_once_get_the_same_replies_and_stream(opened: Any) -> None:
    model, folder, theirs = opened

    async def ask(text: str) -> str:
        deltas = [
            event.text
            async for event in model.lm.stream(Request(text, sampling=SHORT))
            if isinstance(event, TextDelta)
        ]
        return "".join(deltas)

    async def all_of() -> list[str]:
        return await asyncio.gather(*(ask(text) for text in TEXTS))

    assert asyncio.run(all_of()) == [their_reply(folder, theirs, text, 12) for text in TEXTS]


def test_a_chat_of_one_message_is_a_source(opened: Any) -> None:
    model, folder, theirs = opened
    chat = (text_message("user", TEXTS[0]),)
    got = answer(model, Request(chat, sampling=SHORT))
    assert text_of(got.message) == their_reply(folder, theirs, TEXTS[0], 12)
    told = (text_message("system", "translate:"), *chat)
    got = answer(model, Request(told, sampling=SHORT))
    assert text_of(got.message) == their_reply(folder, theirs, f"translate: {TEXTS[0]}", 12)


@pytest.mark.parametrize(
    "roles", [("user", "assistant", "user"), ("user", "user"), ("system",), ("user", "system")]
)
def test_more_turns_are_an_error_that_says_the_rule(opened: Any, roles: tuple[Any, ...]) -> None:
    chat = tuple(text_message(role, "word") for role in roles)
    with pytest.raises(UnsupportedError, match="message"):
        answer(opened[0], Request(chat, sampling=SHORT))


def test_control_words_of_people_stay_words(opened: Any) -> None:
    model, *_ = opened
    lm = model.lm
    assert isinstance(lm, EncoderDecoderLM)
    end = max(model.tokenizer.eos_ids)
    raw, _ = lm._encode(Request("a</s>b"))
    said, _ = lm._encode(Request((text_message("user", "a</s>b"),)))
    extra = raw.count(end) - said.count(end)
    assert extra == 1, "a raw prompt may use control tokens, a chat may not"


def test_ids_are_a_source_as_they_are(opened: Any) -> None:
    model, folder, theirs = opened
    ids = tuple(model.tokenizer.encode(TEXTS[1]))
    got = answer(model, Request(ids, sampling=SHORT))
    assert text_of(got.message) == their_reply(folder, theirs, TEXTS[1], 12)
    start = 1
    assert got.usage.prompt_tokens == len(ids) + start


def test_choices_stops_constraints_and_log_probabilities_work(opened: Any) -> None:
    model, *_ = opened
    several = Request(TEXTS[2], sampling=Sampling(temperature=1.0, max_tokens=8), n=3, seed=5)
    first = asyncio.run(replies(model.lm, several))
    again = asyncio.run(replies(model.lm, several))
    texts = [text_of(each.message) for each in first]
    assert texts == [text_of(each.message) for each in again]
    assert len(set(texts)) > 1
    whole = text_of(answer(model, Request(TEXTS[2], sampling=SHORT, logprobs=2)).message)
    middle = whole[3:5]
    cut = answer(model, Request(TEXTS[2], sampling=SHORT, stop=(middle,)))
    assert text_of(cut.message) == whole[: whole.index(middle)]
    shaped = Request(TEXTS[2], sampling=SHORT, response_format=RegexFormat("(yes|no)"))
    assert text_of(answer(model, shaped).message) in ("yes", "no")
    scored = answer(model, Request(TEXTS[2], sampling=SHORT, logprobs=2)).logprobs
    assert len(scored) > 3
    assert all(len(token.top) == 2 for token in scored)


def test_continuations_are_scored_as_the_decoder_says(opened: Any) -> None:
    model, folder, _ = opened
    ours = load_source(folder)
    (score,) = asyncio.run(model.lm.score(TEXTS[0], ["old house"]))
    source = torch.tensor([model.tokenizer.encode(TEXTS[0])])
    target = torch.tensor([model.tokenizer.encode("old house", add_bos=False)])
    with torch.inference_mode():
        rows = ours(source, target)[0].log_softmax(-1)
    wanted = float(rows.gather(1, target[0][:, None]).sum())
    assert score.logprob == pytest.approx(wanted, abs=1e-3)
    assert score.tokens == target.shape[1]


def test_echo_says_the_source_and_has_no_scores_of_it(opened: Any) -> None:
    model, folder, theirs = opened
    got = answer(model, Request(TEXTS[1], sampling=SHORT, echo=True))
    assert text_of(got.message) == TEXTS[1] + their_reply(folder, theirs, TEXTS[1], 12)
    with pytest.raises(UnsupportedError, match="predicts none of its tokens"):
        answer(model, Request(TEXTS[1], sampling=SHORT, echo=True, logprobs=1))


def test_what_it_cannot_do_is_an_error(opened: Any) -> None:
    model, *_ = opened
    chat = (text_message("user", "word"),)
    tool = ToolSpec("f", "f", {"type": "object", "properties": {}})
    with pytest.raises(UnsupportedError, match="call tools"):
        answer(model, Request(chat, tools=(tool,)))
    with pytest.raises(UnsupportedError, match="go on with a reply"):
        answer(model, Request((*chat, Message("assistant", ())), continue_last=True))
    with pytest.raises(UnsupportedError, match="both ways"):
        asyncio.run(model.lm.inspector())
    assert not model.lm.capabilities.tools
    assert model.lm.capabilities.raw_prompt


def test_too_long_a_source_says_the_true_limit(opened: Any) -> None:
    model, folder, _ = opened
    ids = (5,) * 90
    if "bart" in folder.name:  # 64 positions each
        with pytest.raises(InputError, match=r"source has 90 tokens.*at most 64") as caught:
            answer(model, Request(ids, sampling=SHORT))
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(InputError, match="writes at most 64"):
            answer(model, Request(ids[:9], sampling=Sampling(max_tokens=80)))
    else:
        assert answer(model, Request(ids, sampling=SHORT)).usage.prompt_tokens == 91
    with pytest.raises(ContextLengthError):
        answer(model, Request("word " * 4000, sampling=SHORT))


def test_opening_says_what_does_not_go(opened: Any) -> None:
    _, folder, _ = opened
    with pytest.raises(ArchitectureError, match="an encoder-decoder"):
        open_checkpoint(folder)
    most = 128 if "bart" in folder.name else 1024
    with pytest.raises(SettingsError, match=f"was made for {most}"):
        load_local("tiny", folder, LoadOptions(most + 1, 2048))
    with pytest.raises(SettingsError, match="float32 or bfloat16"):
        load_local("tiny", folder, LoadOptions(64, 1024, precision="int8"))


def test_bfloat16_answers_too(opened: Any) -> None:
    _, folder, _ = opened
    model = load_local("tiny", folder, LoadOptions(128, 1024, precision="bfloat16", threads=1))
    try:
        assert answer(model, Request(TEXTS[0], sampling=SHORT)).usage.completion_tokens > 0
    finally:
        model.close(0.0)


def test_a_forced_beginning_is_taken_from_the_files(tmp_path: Path) -> None:
    theirs = make_source_model("bart", tmp_path)
    theirs.generation_config.forced_bos_token_id = 0
    theirs.generation_config.save_pretrained(tmp_path)
    model = load_local("tiny", tmp_path, LoadOptions(128, 512, precision="float32", threads=1))
    try:
        got = answer(model, Request(TEXTS[3], sampling=SHORT))
    finally:
        model.close(0.0)
    # One more for transformers, which counts the forced token.
    assert text_of(got.message) == their_reply(tmp_path, theirs, TEXTS[3], 13)
