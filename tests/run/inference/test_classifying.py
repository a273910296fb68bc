"""Labels of texts and spans in them, against the pipelines of `transformers`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from kataribe.base.encoders import Classifier
from kataribe.base.errors import SettingsError, TextLengthError, UnsupportedError
from kataribe.run.inference.embedding.labels import spans_of, text_labels
from kataribe.run.inference.embedding.load import LoadedEncoder, load_local_encoder
from tests.parity.test_parity_encoders import build

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz",
         *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "tokyo", "in", "is", ".",
         "東", "京", "の"]  # fmt: skip
TEXTS = ["Tokyo is in Japan.", "東京の a b c", "x", "lively trains in tokyo is is"]
NAMES = ["O", "B-PLACE", "I-PLACE", "B-NAME", "THING"]


def folder_of(path: Path, head: str, **changes: Any) -> Path:
    names = changes.pop("names", NAMES)
    table = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    changes = {"num_labels": len(names), **changes, **table}
    model = build("bert", head, 51, vocab_size=len(WORDS), **changes)
    model.save_pretrained(path)
    inner = tokenizers.BertWordPieceTokenizer({word: place for place, word in enumerate(WORDS)})
    wrapped = transformers.BertTokenizer(tokenizer_object=inner._tokenizer)
    wrapped.save_pretrained(path)
    return path


def loaded(path: Path) -> LoadedEncoder:
    return load_local_encoder("mine", path, precision="float32")


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
async def test_texts_are_labelled_as_by_the_pipeline(tmp_path: Path, problem: str | None) -> None:
    names = ["bad", "so-so", "good"]
    folder = folder_of(tmp_path, "ForSequenceClassification", names=names, problem_type=problem)
    model = loaded(folder)
    try:
        assert isinstance(model.classifier, Classifier)
        assert model.embedder is None
        assert model.classifier.labels == ("bad", "so-so", "good")
        made = await model.classifier.classify(TEXTS)
        found = made.labels
        texts = model.classifier._texts
        assert made.tokens == sum(map(len, texts.ids(TEXTS))) > 2 * len(TEXTS)
    finally:
        model.close(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = transformers.pipeline("text-classification", model=str(folder), top_k=None)
        wanted = pipe(TEXTS)
    for labels, theirs in zip(found, wanted, strict=True):
        told = {entry["label"]: entry["score"] for entry in theirs}
        for label in labels:
            assert label.score == pytest.approx(told[label.name], abs=1e-4)


async def test_spans_are_those_of_the_pipeline(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "ForTokenClassification")
    model = loaded(folder)
    try:
        assert model.classifier is not None
        assert model.classifier.tags
        made = await model.classifier.classify(TEXTS)
        found = made.labels
        texts = model.classifier._texts
        assert made.tokens == sum(map(len, texts.ids(TEXTS))) > 2 * len(TEXTS)
    finally:
        model.close(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = transformers.pipeline(
            "token-classification", model=str(folder), aggregation_strategy="simple"
        )
        wanted = [pipe(text) for text in TEXTS]
    assert sum(map(len, found)) >= 6, "a tagger that finds nothing proves nothing"
    for labels, theirs in zip(found, wanted, strict=True):
        assert [(label.name, label.start, label.end) for label in labels] == [
            (entry["entity_group"], entry["start"], entry["end"]) for entry in theirs
        ]
        for label, entry in zip(labels, theirs, strict=True):
            assert label.score == pytest.approx(float(entry["score"]), abs=1e-4)


async def test_what_a_classifier_refuses(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "ForSequenceClassification")
    model = loaded(folder)
    try:
        assert model.classifier is not None
        with pytest.raises(TextLengthError, match="at most 70"):
            await model.classifier.classify(["x " * 100])
        with pytest.raises(UnsupportedError, match=r"makes labels \(/v1/classify\)"):
            _ = model.lm
    finally:
        model.close(0)
    with pytest.raises(SettingsError, match="not in 'int4'"):
        load_local_encoder("mine", folder, precision="int4")


def test_problems_make_numbers_of_logits() -> None:
    logits = np.asarray([1.0, -2.0, 0.5], np.float32)
    soft = [label.score for label in text_labels(logits, "abc", "single")]
    assert soft == pytest.approx(torch.tensor(logits).softmax(0).tolist())
    sigmoids = [label.score for label in text_labels(logits, "abc", "multi")]
    assert sigmoids == pytest.approx(torch.tensor(logits).sigmoid().tolist())
    assert [label.score for label in text_labels(logits, "abc", "regression")] == [1.0, -2.0, 0.5]


def test_spans_begin_go_on_and_end() -> None:
    tokens = ["O", "B-A", "I-A", "B-A", "I-B", "O", "X", "X", "I-B"]
    names = ["O", "B-A", "I-A", "I-B", "X"]
    logits = np.full((len(tokens), len(names)), -20, np.float32)
    for place, name in enumerate(tokens):
        logits[place, names.index(name)] = 20
    places = [(10 * place, 10 * place + 9) for place in range(len(tokens))]
    places[6] = (0, 0)  # one that the tokenizer added is passed over
    found = [(label.name, label.start, label.end) for label in spans_of(logits, places, names)]
    assert found == [("A", 10, 29), ("A", 30, 39), ("B", 40, 49), ("X", 70, 79), ("B", 80, 89)]
