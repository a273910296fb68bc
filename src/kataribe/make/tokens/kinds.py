"""The three kinds of tokenizers that can be trained, before they have seen a text.

- `bpe`: byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2). Words are cut by the rule that
  llama.cpp calls `qwen2`: letters with one sign before them, every digit alone, signs, line ends,
  and runs of blanks as one. Nothing is lost of any text.
- `unigram`: the likeliest pieces (Kudo 2018), words cut by the same rule. Spaces stay spaces inside
  the pieces, and what no piece holds becomes its bytes, so nothing is lost either: with
  SentencePiece's mark for spaces (U+2581) texts that contain the mark would come back changed.
- `wordpiece`: BERT's (Schuster and Nakajima 2012), cut and cleaned as BERT does, case kept.
  White space, control characters and unknown words do not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from kataribe.base.errors import InputError
from kataribe.make.tokens.pretokenizers import pre_tokenizer

Kind = Literal["bpe", "wordpiece", "unigram"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BPE_RULE = "qwen2"
"""`tokenizer.ggml.pre` of the byte-level tokenizers that are trained here."""

PAD, END_OF_TEXT, TURN_START, TURN_END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MASK, UNKNOWN = "<|mask|>", "<|unk|>"
BERT_UNKNOWN, BERT_BEGIN, BERT_END, BERT_MASK = "[UNK]", "[CLS]", "[SEP]", "[MASK]"
MOST_SENTINELS = 1000

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The chat template of the kinds that lose nothing."""


@dataclass(frozen=True)
class TokenizerPlan:
    """What tokenizer to train.

    Attributes:
        kind: One of `KINDS`.
        vocab_size: Pieces, special tokens and single bytes included.
        mask: A token that hides others (`<|mask|>`; a WordPiece has `[MASK]` in any case).
        sentinels: Tokens `<extra_id_0>`, ... for denoising; T5 has 100.
    """

    kind: Kind
    vocab_size: int
    mask: bool = False
    sentinels: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"{self.kind!r} is no kind of tokenizer; take one of {', '.join(KINDS)}.",
                param="kind",
            )
        if not 0 <= self.sentinels <= MOST_SENTINELS:
            raise InputError(
                f"{self.sentinels} sentinels are out of range; take 0 to {MOST_SENTINELS}.",
                param="sentinels",
            )
        least = len(self.special_tokens) + 256 + 1
        if not least <= self.vocab_size <= 1 << 20:
            raise InputError(
                f"A vocabulary of {self.vocab_size:,} pieces cannot be; take {least:,} (special "
                f"tokens, 256 bytes and a piece) to {1 << 20:,}.",
                param="vocab_size",
            )

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """In the order of their ids, which count from 0."""
        tokens = [PAD, END_OF_TEXT, TURN_START, TURN_END]
        if self.kind == "wordpiece":
            tokens += [BERT_UNKNOWN, BERT_BEGIN, BERT_END, BERT_MASK]
        if self.kind == "unigram":
            tokens.append(UNKNOWN)
        if self.mask and self.kind != "wordpiece":
            tokens.append(MASK)
        return (*tokens, *(f"<extra_id_{index}>" for index in range(self.sentinels)))

    @property
    def names(self) -> dict[str, str]:
        """What `tokenizer_config.json` calls the special tokens."""
        if self.kind == "wordpiece":
            return {
                "cls_token": BERT_BEGIN,
                "sep_token": BERT_END,
                "pad_token": PAD,
                "unk_token": BERT_UNKNOWN,
                "mask_token": BERT_MASK,
            }
        names = {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT, "pad_token": PAD}
        if self.kind == "unigram":
            names["unk_token"] = UNKNOWN
        if self.mask:
            names["mask_token"] = MASK
        return names

    @property
    def chat_template(self) -> str | None:
        """How a chat is written; a WordPiece cannot hold one."""
        return None if self.kind == "wordpiece" else CHATML


def untrained(plan: TokenizerPlan) -> tokenizers.Tokenizer:
    """The library's tokenizer with the rules of its kind and no pieces."""
    rule = pre_tokenizer(BPE_RULE)
    if plan.kind == "bpe":
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = rule.build()
        inner.decoder = decoders.ByteLevel()
    elif plan.kind == "unigram":
        inner = tokenizers.Tokenizer(models.Unigram())
        splits: list[Any] = [pre_tokenizers.Split(Regex(p), "isolated") for p in rule.patterns]
        inner.pre_tokenizer = pre_tokenizers.Sequence(splits)
        inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    else:
        inner = tokenizers.Tokenizer(models.WordPiece(unk_token=BERT_UNKNOWN))
        inner.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        inner.decoder = decoders.WordPiece(cleanup=False)
    return inner
