"""Folders of tiny random encoder-decoders with tokenizers trained for them, as people save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from tests.parity.tiny_source import build_source

TEXTS = [
    "The house by the river was small and old, and nobody had lived in it for years.",
    "In the evening the light came through the window and lay on the wooden table.",
    "She wrote a letter, read it twice, and put it in the drawer with the others.",
    "Translate English to German: the river runs through the old town.",
    "summarize: nobody wrote, nobody read, and the table stood by the window.",
    "語り部は川のそばの古い家で、夕方になると話を始めた。",
    "手紙は机の引き出しに入れたまま、誰も読まなかった。",
]
SENTINELS = [f"<extra_id_{number}>" for number in range(4)]


def make_source_model(kind: str, folder: Path, seed: int = 7, **changes: Any) -> Any:
    """A `t5` or `bart` in a folder; gives back the model of `transformers`."""
    inner = _unigram() if kind == "t5" else _bytes()
    size = inner.get_vocab_size()
    ids = {name: inner.token_to_id(name) for name in ("<pad>", "<s>", "</s>")}
    told = {"vocab_size": size, "pad_token_id": ids["<pad>"], "eos_token_id": ids["</s>"]}
    start = ids["<pad>"] if kind == "t5" else ids["</s>"]
    if kind == "bart":
        told["bos_token_id"] = ids["<s>"]
        changes = {"max_position_embeddings": 64} | changes
    model = build_source(kind, seed, **told, decoder_start_token_id=start, **changes)
    model.save_pretrained(folder)
    inner.save(str(folder / "tokenizer.json"))
    named = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    if kind == "bart":
        named["bos_token"] = "<s>"
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return model


def their_reply(folder: Path, model: Any, text: str, tokens: int) -> str:
    """What `transformers` makes of a text, end to end and greedily."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        out = model.generate(
            given.input_ids, attention_mask=given.attention_mask, max_new_tokens=tokens,
            do_sample=False, num_beams=1,
        )  # fmt: skip
    reply: str = tokenizer.decode(out[0], skip_special_tokens=True)
    return reply


def _unigram() -> tokenizers.Tokenizer:
    """Words and letters with fixed scores: the library's trainer gives others in each process."""
    special = ["<pad>", "</s>", "<unk>", *SENTINELS]
    words = sorted({f"▁{word}" for text in TEXTS for word in text.split()})
    letters = sorted({"▁", *"".join(TEXTS).replace(" ", "")} - set(words))
    scored = [(piece, 0.0) for piece in special]
    scored += [(word, -3.0 - at / 100) for at, word in enumerate(words)]
    scored += [(letter, -8.0 - at / 100) for at, letter in enumerate(letters)]
    inner = tokenizers.Tokenizer(models.Unigram(scored, unk_id=special.index("<unk>")))
    inner.add_special_tokens(special)
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", inner.token_to_id("</s>"))]
    )
    return inner


def _bytes() -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[(name, inner.token_to_id(name)) for name in ("<s>", "</s>")],
    )
    return inner
