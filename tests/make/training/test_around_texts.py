"""A trained model is served, and opened by `transformers`, on the tokens that it learned from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from torch import nn

from kataribe.base.errors import InputError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import StackConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.tokens import Tokenizer, load_tokenizer
from kataribe.make.tokens.batches import Pick
from kataribe.make.tokens.document_marks import DocumentMarks, document_marks
from kataribe.make.tokens.encoder_texts import open_encoder_texts
from kataribe.make.tokens.kinds import KINDS, Kind
from kataribe.make.tokens.labelled import LabelledText, PairRows, class_rows, tag_rows
from kataribe.make.training.finish import PREFIXES, write_finished
from kataribe.make.training.record import Words
from kataribe.make.training.runs import RunFolder, RunInfo, create_run
from kataribe.make.training.session import Setup
from kataribe.run.inference.embedding.load import load_local_encoder
from tests.make.tokens import trained
from tests.make.training.test_training_objectives import t5_config
from tests.make.training.toys import loop

VOCAB = 1280
TEXTS = ["The cat sleeps.", "吾輩は猫である。 def f(x):", "a", "  two  spaces "]
TYPED = ["end it <|im_end|> here", "[MASK] is [CLS] <|endoftext|>", "<extra_id_0>", "<|pad|>"]
"""Control tokens that somebody typed: text in training, and text when it is served."""
HEADS: dict[str, Any] = {"masked": "masked", "classify": "classify", "tag": "tag", "embed": "none"}


def model_of(objective: str) -> nn.Module:
    torch.manual_seed(3)
    if objective == "denoise":
        stack = StackConfig(layers=1, heads=2, head_dim=8, intermediate_size=32, query_scalar=1.0)
        return EncoderDecoder(dataclasses.replace(t5_config(stack), vocab_size=VOCAB))
    labels = ("no", "yes") if objective == "classify" else ("O", "B-X", "I-X")
    return Encoder(EncoderConfig(
        family="bert", vocab_size=VOCAB, hidden_size=16, layers=1, heads=2, intermediate_size=32,
        context_length=128, head=HEADS[objective], pooler=objective == "classify",
        head_activation="gelu" if objective == "masked" else "tanh",
        labels=labels if objective in ("classify", "tag") else (),
    ))  # fmt: skip


def finished(path: Path, objective: str, source: Path) -> Path:
    """A folder as the end of a run writes it."""
    config = loop()
    info = RunInfo(name="mine", objective=objective)
    plan = {"data": {"context": 128}, "loop": dataclasses.asdict(config)}
    run: RunFolder = create_run(path / "runs", info, plan)
    model = model_of(objective)
    words = Words(load_tokenizer(source), source)
    setup = Setup(model, cast("Any", None), config, 128, words)
    write_finished(path / "mine", run, setup, model, {"parameters": 1, "tokens": 1})
    return path / "mine"


def learned(objective: str, tokenizer: Tokenizer) -> list[list[int]]:
    """The ids of `TEXTS` and `TYPED` in the rows of a training."""
    rows: Any
    texts = TEXTS + TYPED
    if objective == "masked":
        marks = document_marks(tokenizer)
        return [[marks.begin, *ids, marks.end] for ids in tokenizer.encode_texts(texts)]
    if objective == "classify":
        rows = class_rows([LabelledText(t, "a") for t in texts], ["a"], tokenizer, 128)
    elif objective == "tag":
        rows = tag_rows([LabelledText(t, "") for t in texts], ["O"], tokenizer, 128)
    else:
        rows = PairRows([(text, text) for text in texts], tokenizer, 128)
    taken = [rows.take([Pick(0, 0, index)]) for index in range(len(texts))]
    found = [getattr(each, "target", each) for each in taken]
    return [each.ids[0][each.documents[0] >= 0].tolist() for each in found]


@pytest.mark.parametrize("objective", ["classify", "tag", "embed"])
@pytest.mark.parametrize("kind", KINDS)
def test_served_tokens_are_those_of_training(tmp_path: Path, kind: Kind, objective: str) -> None:
    wanted = learned(objective, trained.tokenizer(kind))
    folder = finished(tmp_path, objective, trained.folder(kind))
    prompt = PREFIXES[1] if objective == "embed" else ""
    model = load_local_encoder("mine", folder, precision="float32", threads=1)
    try:
        asked: Any = model.embedder or model.classifier
        assert asked._texts.ids(TEXTS + TYPED, prompt) == wanted
        spans = asked._texts.spans([prompt + text for text in TEXTS + TYPED])
        assert [each.ids for each in spans] == wanted
    finally:
        model.close(0)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert [theirs(prompt + text)["input_ids"] for text in TEXTS] == wanted[: len(TEXTS)]


@pytest.mark.parametrize("kind", KINDS)
def test_typed_control_tokens_are_text_to_a_masked_model_too(tmp_path: Path, kind: Kind) -> None:
    wanted = learned("masked", trained.tokenizer(kind))
    folder = finished(tmp_path, "masked", trained.folder(kind))
    found = open_encoder_texts(folder, limit=128, vocab_size=VOCAB).ids(TEXTS + TYPED)
    assert found == wanted
    special = trained.tokenizer(kind).special_ids
    assert all(special.isdisjoint(ids[1:-1]) for ids in found[len(TEXTS) :])


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_on_from_it_sees_the_same_marks(tmp_path: Path, kind: Kind) -> None:
    """A masked model's tokenizer is an embedder's next: nothing is put around texts twice."""
    old = trained.tokenizer(kind)
    first = finished(tmp_path / "1", "masked", trained.folder(kind))
    assert document_marks(load_tokenizer(first)) == document_marks(old)
    second = finished(tmp_path / "2", "embed", first)
    assert (second / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
    assert learned("embed", load_tokenizer(second)) == learned("embed", old)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_has_an_end_alone(tmp_path: Path, kind: Kind) -> None:
    tokenizer = trained.tokenizer(kind)
    marks = document_marks(tokenizer)
    folder = finished(tmp_path, "denoise", trained.folder(kind))
    wanted = [[*ids, marks.end] for ids in tokenizer.encode_texts(TEXTS)]
    mine = load_tokenizer(folder)
    assert [mine.encode(text) for text in TEXTS] == wanted
    assert document_marks(mine).end == marks.end
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert [theirs(text)["input_ids"] for text in TEXTS] == wanted


def test_a_chat_models_turn_is_no_mark_afterwards_either(tmp_path: Path) -> None:
    """Some chat models of GPT-2's family call the beginning of a turn their BOS."""
    source = shutil.copytree(trained.folder("bpe"), tmp_path / "chat")
    config = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
    config |= {"bos_token": "<|im_start|>", "tokenizer_class": "GPT2Tokenizer"}
    config |= {"add_bos_token": True}
    (source / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    tokenizer = load_tokenizer(source)
    end = tokenizer.special_id("<|endoftext|>")
    assert end is not None
    assert document_marks(tokenizer) == DocumentMarks(end, end)
    folder = finished(tmp_path, "embed", source)
    assert document_marks(load_tokenizer(folder)) == DocumentMarks(end, end)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs("passage: a")["input_ids"] == [
        end,
        *tokenizer.encode_texts(["passage: a"])[0],
        end,
    ]


def test_places_of_tokens_stay_trimmed(tmp_path: Path) -> None:
    """Byte-level tokenizers may leave the space before a word out of its place in the text."""
    source = shutil.copytree(trained.folder("bpe"), tmp_path / "trimming")
    file = json.loads((source / "tokenizer.json").read_text("utf-8"))
    file["post_processor"] = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True,
    }  # fmt: skip
    (source / "tokenizer.json").write_text(json.dumps(file), "utf-8")
    folder = finished(tmp_path, "tag", source)
    before, after = (
        open_encoder_texts(path, limit=99, vocab_size=VOCAB).spans(["the cat and the dog"])[0]
        for path in (source, folder)
    )
    assert after.spans == [(0, 0), *before.spans, (0, 0)]
    assert all(start == 0 or "the cat and the dog"[start] != " " for start, _ in after.spans)


def test_a_text_of_no_tokens_is_refused_with_its_place() -> None:
    texts = open_encoder_texts(trained.folder("bpe"), limit=99, vocab_size=VOCAB)
    for read in (texts.ids, texts.spans):
        with pytest.raises(InputError, match="Input 2 has no tokens") as bad:
            read(["a", "", "b"])
        assert bad.value.param == "input"
    assert len(texts.ids([""], "query: ")[0]) > 0
