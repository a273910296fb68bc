"""Long texts: others go on meanwhile, and one that cannot fit is refused before it is encoded."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from kataribe.base.aside import LONG, aside
from kataribe.base.errors import ContextLengthError
from kataribe.base.messages import text_message
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.bounds import LeastTokens
from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS, a_seed, random_texts

MEGABYTE = ("The teller of tales recites 語り部は聞いたこと 1234 <|im_start|> " * 20_000)[
    :1_000_000
]


@pytest.fixture(scope="module")
def tokenizer(smollm2_path: Path):
    return load_tokenizer(smollm2_path)


@pytest.mark.parametrize("special", [True, False])
async def test_the_event_loop_turns_while_a_megabyte_is_encoded(tokenizer, special):
    turns = 0
    encoding = asyncio.create_task(
        aside(len(MEGABYTE), tokenizer.encode, MEGABYTE, special=special)
    )
    while not encoding.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert len(await encoding) > 100_000
    assert turns > 20  # a lock held all the time leaves two


async def test_short_texts_do_not_wait_for_long_ones(tokenizer):
    encoding = asyncio.create_task(aside(len(MEGABYTE), tokenizer.encode, MEGABYTE))
    await asyncio.sleep(0.01)
    for special in (True, False):
        await aside(5, tokenizer.encode, "Hello <|im_end|>", special=special)
    chat = [text_message("user", "Say <|im_end|> twice.")]  # needs aliases, made anew
    await aside(5, tokenizer.encode_chat, chat)
    assert not encoding.done()
    await encoding


async def test_long_texts_wait_for_each_other():
    running = threading.Semaphore(1)

    def work() -> bool:
        alone = running.acquire(blocking=False)
        threading.Event().wait(0.02)
        running.release()
        return alone

    assert all(await asyncio.gather(*[aside(LONG, work) for _ in range(4)]))


def test_long_texts_give_the_same_ids_as_the_library_alone(tokenizer):
    for text in (MEGABYTE[:50_000], "あ\x01<|im_end|>" * 2_000, " " * 9_000):
        plain = tokenizer._inner.encode(text, add_special_tokens=False).ids
        plain = [each for each in plain if each < tokenizer.vocab_size]
        assert tokenizer.encode(text, add_bos=False) == plain


def _adversarial(inner: Tokenizer) -> list[str]:
    """Texts made of the longest pieces, and of characters that a vocabulary may lack."""
    longest = sorted(inner.get_vocab(with_added_tokens=True), key=lambda each: -len(each.encode()))
    decoder = inner.decoder or decoders.Fuse()
    texts = [decoder.decode([piece]) * 50 for piece in longest[:20]]
    codes = [*range(256), 0x2581, 0x1F600, 0x301, 0x3099, 0xAC00, 0x10FFFF]
    return [*texts, *longest[:20], *[chr(code) * 300 for code in codes]]


def _trained(kind: str) -> Tokenizer:
    inner = Tokenizer.from_str(vocabularies.byte_level().to_str())
    if kind == "nfc":
        inner.normalizer = normalizers.NFC()
    elif kind == "strips":
        inner.normalizer = normalizers.Strip()
    elif kind == "shrinks":
        inner.normalizer = normalizers.Replace("語り部", "a")
    elif kind == "blanks":
        inner.add_special_tokens([AddedToken("<x>", lstrip=True, rstrip=True)])
    elif kind == "removes":
        cut = [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.ByteLevel(use_regex=False)]
        inner.pre_tokenizer = pre_tokenizers.Sequence(cut)
    elif kind == "lacks":
        vocabulary = {"a": 0, "b": 1, "ab": 2}
        inner = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif kind == "unknown":
        vocabulary = {"a": 0, "b": 1, "?": 2}
        inner = Tokenizer(models.BPE(vocabulary, [], unk_token="?", fuse_unk=True))
    return inner


KINDS = ("plain", "nfc", "strips", "shrinks", "blanks", "removes", "lacks", "unknown")


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_has_fewer_tokens_than_its_bound(kind):
    seed = a_seed()
    print("seed", seed)
    inner = _trained(kind)
    bound = LeastTokens(inner, {})
    odd = ["  " * 900 + "<x>" + " " * 900, "語り部" * 300, "\u30ab\u3099" * 300, "a" + "?" * 900]
    for text in [*TEXTS, *random_texts(seed, 200), *_adversarial(inner), *odd]:
        assert bound.of(text) <= len(inner.encode(text, add_special_tokens=False).ids), text[:40]
    assert (bound.of("ab " * 5000) > 10) == (kind in ("plain", "nfc", "lacks"))


@pytest.mark.parametrize(
    "which",
    [
        "smollm2_path",
        pytest.param("gemma_path", marks=pytest.mark.slow),
        pytest.param("qwen_path", marks=pytest.mark.slow),
    ],
)
def test_the_bound_holds_for_real_models(which, request):
    seed = a_seed()
    print("seed", seed)
    model = load_tokenizer(request.getfixturevalue(which))
    bound = LeastTokens(model._inner, model._file.inner_ids)
    assert bound.of("word " * 10_000) > 50
    for text in [*TEXTS, *random_texts(seed, 100), *_adversarial(model._inner)]:
        assert bound.of(text) <= len(model.encode(text, add_bos=False)), text[:40]


def test_what_cannot_fit_is_refused_before_it_is_encoded(tokenizer, monkeypatch):
    monkeypatch.setattr("kataribe.make.tokens.tokenizer._ids", None)
    chat = [text_message("user", MEGABYTE)]
    for encode in (
        lambda: tokenizer.encode_prompt(MEGABYTE, limit=8192),
        lambda: tokenizer.encode_chat(chat, limit=8192),
        lambda: tokenizer.encode_chat([text_message("user", "x" * 10**6)], limit=8192),
    ):
        with pytest.raises(ContextLengthError, match=r"at least \d+ tokens, but .* 8192") as told:
            encode()
        assert told.value.prompt_tokens > 8192


def test_what_may_fit_is_encoded(tokenizer):
    longest = max(tokenizer.vocabulary_bytes(), key=len).decode()
    ids = tokenizer.encode(longest * 200)
    assert tokenizer.encode_prompt(longest * 200, limit=len(ids)) == ids
