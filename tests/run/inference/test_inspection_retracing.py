"""From kept text back to tokens: offsets, thoughts, calls, and what cannot be known."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kataribe.base.errors import UnsupportedError
from kataribe.base.inside import Said
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    text_message,
)
from kataribe.make.tokens.load import load_tokenizer
from kataribe.run.inference.conversation import chat_ids
from kataribe.run.inference.retracing import _places, lay_out

QUESTION = (text_message("user", "Hello"),)


@pytest.fixture(scope="module", params=["smollm2", "gemma", "qwen"])
def tokenizer(request):
    """Byte pieces, SentencePiece with single bytes, byte pieces with many Japanese words."""
    return load_tokenizer(request.getfixturevalue(f"{request.param}_path"))


def prompt_of(tokenizer, begun: str = "") -> list[int]:
    if tokenizer.chat_template is None:  # a base model
        return tokenizer.encode_prompt(f"Q: Hello\nA: {begun}")
    if not begun:
        return chat_ids(tokenizer, QUESTION)
    asked = (*QUESTION, text_message("assistant", begun))
    return chat_ids(tokenizer, asked, continue_last=True)


def words(text: str, **changes) -> Said:
    return Said(text_message("assistant", text), **changes)


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world",
        " leading blank",
        "語り部は聞いたことを語り、語られたことはまた語られる。",
        "👩\u200d👩\u200d👧\u200d👦 family 🇯🇵 🌏",
        "𠮷野家で鰻を食う 𩸽",
        "e\u0301 combining Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A",
        "def f(x):\n\treturn x  # 返す\n\n\n",
        "<|im_end|> written out, <think>too",
        "",
    ],
)
def test_tokens_spell_the_text_and_know_where_they_stand(tokenizer, text):
    laid = lay_out(tokenizer, prompt_of(tokenizer), words(text))
    assert laid.text == text
    assert laid.exact
    assert laid.words_from == 0
    assert "".join(laid.shown[laid.prompt :]) == text
    assert "".join(laid.shown[: laid.prompt]) == laid.given
    ids = laid.ids[laid.prompt :]
    assert len(laid.starts) == len(laid.whole) == len(ids)
    for place, token in enumerate(ids):
        piece = laid.pieces[laid.prompt + place]
        assert piece.id == token
        start = laid.starts[place]
        said = piece.text
        if place == 0 and tokenizer.strips_leading_space and not text.startswith(said):
            said = said.removeprefix(" ")
        if piece.kind == "text":
            assert laid.whole[place]
            assert laid.text[start : start + len(said)] == said
        assert piece.kind != "text" or laid.shown[laid.prompt + place] == said
        assert not tokenizer.is_special(token), "what people read holds no control tokens"
    whole = [place for place, begins in enumerate(laid.whole) if begins]
    for place in whole:  # what stands before a whole one is whole text
        before = tokenizer.decode(ids[:place]) if place else ""
        assert laid.text[: laid.starts[place]] == before


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60), data=st.data())
def test_offsets_are_those_of_the_slow_way(text, data):
    raw = text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore").encode()
    cuts = data.draw(st.lists(st.integers(0, max(0, len(raw) - 1)), max_size=20).map(sorted))
    cuts = cuts if raw else []
    starts, whole = _places(raw, cuts)
    for cut, start, begins in zip(cuts, starts, whole, strict=True):
        try:
            before = raw[:cut].decode()
            assert (start, begins) == (len(before), True)
        except UnicodeDecodeError:
            assert (start, begins) == (len(raw[:cut].decode("utf-8", "ignore")), False)


def test_as_many_tokens_as_were_counted_or_it_is_not_exact(tokenizer):
    prompt = prompt_of(tokenizer)
    laid = lay_out(tokenizer, prompt, words("Hello, world", ended=True))
    drawn = laid.places
    assert laid.exact
    assert lay_out(tokenizer, prompt, words("Hello, world", ended=True, tokens=drawn)).exact
    other = lay_out(tokenizer, prompt, words("Hello, world", ended=True, tokens=drawn + 1))
    assert not other.exact
    assert other.ids == laid.ids


def test_a_reply_that_goes_on_has_only_its_own_tokens(tokenizer):
    begun = "The capital of Japan is"
    for rest in (" Tokyo, of course.", "n't what 東京 was"):
        said = words(begun + rest, begun=begun)
        laid = lay_out(tokenizer, prompt_of(tokenizer, begun), said)
        assert laid.text == rest
        assert laid.exact
        assert tokenizer.decode(laid.ids[laid.prompt :], continues=True) == rest


def thinking(thought: str, text: str, **changes) -> Said:
    return Said(Message("assistant", (ReasoningPart(thought), TextPart(text))), **changes)


@pytest.mark.parametrize("opened", [False, True])
def test_a_thought_stands_before_the_words(tokenizer, opened):
    prompt = prompt_of(tokenizer)
    laid = lay_out(tokenizer, prompt, thinking("Easy.", "東京です。", ended=True), opened=opened)
    head = "" if opened else "<think>\n"
    assert laid.text == f"{head}Easy.\n</think>\n\n東京です。"
    assert laid.text[laid.words_from :] == "東京です。"
    assert not laid.exact, "blanks around a thought are not kept, and nothing was counted"
    counted = thinking("Easy.", "東京です。", ended=True, tokens=laid.places)
    assert lay_out(tokenizer, prompt, counted, opened=opened).exact


def test_a_thought_that_was_cut_has_no_end(tokenizer):
    laid = lay_out(tokenizer, prompt_of(tokenizer), thinking("Let me s", ""))
    assert laid.text == "<think>\nLet me s"
    assert laid.words_from == len(laid.text)
    opened = lay_out(tokenizer, prompt_of(tokenizer), thinking("Let", ""), opened=True)
    assert opened.text == "Let"


def test_calls_are_as_the_template_writes_them(qwen_path):
    tokenizer = load_tokenizer(qwen_path)
    tools = (ToolSpec("get_weather", "Weather", {"type": "object", "properties": {}}),)
    prompt = chat_ids(tokenizer, QUESTION, tools=tools)
    calls = Message("assistant", (ToolCallPart("c1", "get_weather", '{"city": "東京"}'),))

    def whole():
        return chat_ids(tokenizer, (*QUESTION, calls), tools=tools, add_generation_prompt=False)

    laid = lay_out(tokenizer, prompt, Said(calls, ended=True), with_calls=whole)
    assert '"get_weather"' in laid.text
    assert "東京" in laid.text
    assert not laid.exact
    assert laid.words_from == len(laid.text), "there are no words to go on from"
    assert laid.ids[: laid.prompt] == tuple(prompt)
    with pytest.raises(UnsupportedError, match="template"):
        lay_out(tokenizer, prompt, Said(calls), with_calls=lambda: [1, 2, 3])


def test_an_end_is_shown_only_where_there_is_a_token_for_it(tokenizer):
    prompt = prompt_of(tokenizer)
    laid = lay_out(tokenizer, prompt, words("", ended=True, tokens=1))
    assert (laid.places, laid.exact) == (1, True)
    endless = dataclasses.replace(tokenizer._file, eos_ids=frozenset())
    laid = lay_out(type(tokenizer)(endless), prompt, words("", ended=True))
    assert laid.places == 0
