"""Encoders against `transformers`: every family, head, padding and setting; and proof of bite.

Each field of `EncoderConfig` has a wrong value here, tried on a model that uses it. Being caught
means that the numbers leave the tolerance by far, or that the files are refused. A field without
an entry fails, so a new one cannot come in untested.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder, FullAttend, PackedAttend
from kataribe.make.model.weights import encoder_folder
from kataribe.make.model.weights.encoder_folder import open_encoder
from kataribe.make.model.weights.encoder_loading import load_encoder, save_encoder
from tests.parity.tiny import TOLERANCE, VOCAB, padding, randomise, relative_error

FAR = 3 * TOLERANCE
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6,
    "intermediate_size": 80, "max_position_embeddings": 70, "layer_norm_eps": 1e-2,
    "type_vocab_size": 3, "num_labels": 5,
}  # fmt: skip
DISTIL: dict[str, Any] = {
    "vocab_size": VOCAB, "dim": 48, "n_layers": 3, "n_heads": 6, "hidden_dim": 80,
    "max_position_embeddings": 70, "num_labels": 5,
}  # fmt: skip
DISTIL_NAMES = {"num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
                "hidden_size": "dim", "intermediate_size": "hidden_dim",
                "hidden_act": "activation"}  # fmt: skip
HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
PREFIXES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta",
            "distilbert": "DistilBert"}  # fmt: skip
FAMILIES = tuple(PREFIXES)


def build(family: str, head: str, seed: int, **changes: Any) -> Any:
    model_class = getattr(transformers, PREFIXES[family] + head)
    sizes = DISTIL if family == "distilbert" else SIZES
    config = model_class.config_class(**{**sizes, **changes})
    config._attn_implementation = "eager"
    model = model_class(config).eval().float()
    randomise(model, seed)
    if head == "ForMaskedLM":  # the head's bias is tied, and its own randomising may be undone
        model.tie_weights()
    return model


def draw(seed: int, side: str, family: str, pad: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCAB, (2, 40), generator=generator)
    mask, positions = padding(side, *ids.shape)
    ids[~mask] = pad
    types = torch.randint(0, 3, ids.shape, generator=generator)
    if family == "distilbert":
        types = torch.zeros_like(ids)
    return {"ids": ids, "mask": mask, "positions": positions, "types": types}


def reference(model: Any, data: dict[str, torch.Tensor], family: str) -> torch.Tensor:
    """Logits, or for a bare model its vectors and, in the last row, what its pooler makes."""
    given = {"input_ids": data["ids"], "attention_mask": data["mask"].long()}
    offset = model.config.pad_token_id + 1 if "roberta" in family else 0
    given["position_ids"] = data["positions"] + offset
    if family != "distilbert":
        given["token_type_ids"] = data["types"]
    with torch.inference_mode():
        out = model(**given)
    found = out.logits if "logits" in out else out.last_hidden_state
    assert found.std() >= 0.2, "a model this quiet proves nothing"
    return found


def ours(model: Encoder, data: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        hidden = model(
            data["ids"], data["positions"], FullAttend(model.config, data["mask"]), data["types"]
        )
        if model.config.head == "none":
            return hidden
        if model.config.head == "classify":
            first = data["mask"].int().argmax(1)
            return model.logits(hidden[torch.arange(len(hidden)), first])
        return model.logits(hidden)


def error(model: Encoder, wanted: torch.Tensor, data: dict[str, torch.Tensor]) -> float:
    found = ours(model, data)
    mask = data["mask"] if wanted.ndim == 3 else torch.ones(len(wanted), dtype=torch.bool)
    return relative_error(found, wanted, mask)


# With padding on the left, transformers classifies by the vector of a padding token.
SIDES = [(head, side) for head in HEADS for side in ("", "left", "right")
         if (head, side) != ("ForSequenceClassification", "left")]  # fmt: skip


@pytest.mark.parametrize(("head", "side"), SIDES)
@pytest.mark.parametrize("family", FAMILIES)
def test_encoder(tmp_path: Path, family: str, head: str, side: str) -> None:
    model = build(family, head, seed=31)
    model.save_pretrained(tmp_path)
    data = draw(32, side, family, model.config.pad_token_id)
    wanted = reference(model, data, family)
    assert error(load_encoder(open_encoder(tmp_path)), wanted, data) <= TOLERANCE


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_pooler(tmp_path: Path, family: str) -> None:
    model = build(family, "Model", seed=33)
    model.save_pretrained(tmp_path)
    data = draw(34, "right", family, model.config.pad_token_id)
    with torch.inference_mode():
        wanted = model(input_ids=data["ids"], attention_mask=data["mask"].long()).pooler_output
        loaded = load_encoder(open_encoder(tmp_path))
        hidden = loaded(data["ids"], data["positions"], FullAttend(loaded.config, data["mask"]))
        found = loaded.pooled(hidden[:, 0])
    assert relative_error(found, wanted, torch.ones(2, dtype=torch.bool)) <= TOLERANCE


def test_default_positions_and_types_are_those_of_transformers(tmp_path: Path) -> None:
    """What RoBERTa makes of ids alone: it counts positions past its padding by itself."""
    model = build("xlm-roberta", "Model", seed=35)
    model.save_pretrained(tmp_path)
    data = draw(36, "left", "xlm-roberta", 1)
    with torch.inference_mode():
        out = model(input_ids=data["ids"], attention_mask=data["mask"].long())
        loaded = load_encoder(open_encoder(tmp_path))
        found = loaded(data["ids"], data["positions"], FullAttend(loaded.config, data["mask"]))
    assert relative_error(found, out.last_hidden_state, data["mask"]) <= TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_position(tmp_path: Path, family: str) -> None:
    model = build(family, "Model", seed=37)
    model.save_pretrained(tmp_path)
    checkpoint = open_encoder(tmp_path)
    length = checkpoint.config.context_length
    assert length == (68 if "roberta" in family else 70)
    ids = torch.randint(3, VOCAB, (1, length), generator=torch.Generator().manual_seed(38))
    with torch.inference_mode():
        wanted = model(input_ids=ids).last_hidden_state
        loaded = load_encoder(checkpoint)
        found = loaded(ids, torch.arange(length)[None], FullAttend(loaded.config))
    assert relative_error(found, wanted, torch.ones(1, length, dtype=torch.bool)) <= TOLERANCE


def test_random_sizes(tmp_path: Path) -> None:
    for seed in range(12):
        draw_ = random.Random(f"encoder {seed}")
        family, head = draw_.choice(FAMILIES), draw_.choice(HEADS)
        heads = draw_.choice([1, 2, 3, 5])
        changes: dict[str, Any] = {
            "num_hidden_layers": draw_.randint(1, 3),
            "num_attention_heads": heads,
            "hidden_size": heads * draw_.choice([7, 16]),
            "intermediate_size": draw_.randint(20, 90),
            "max_position_embeddings": draw_.randint(60, 90),
            "num_labels": draw_.randint(2, 7),
            "tie_word_embeddings": draw_.random() < 0.5,
        }
        changes["hidden_act"] = draw_.choice(["gelu", "relu"])
        if family == "distilbert":
            changes = {DISTIL_NAMES.get(name, name): value for name, value in changes.items()}
        print(f"seed {seed}: {family} {head} {changes}")
        folder = tmp_path / str(seed)
        model = build(family, head, seed, **changes)
        model.save_pretrained(folder)
        data = draw(seed, "right", family, model.config.pad_token_id)
        loaded = load_encoder(open_encoder(folder))
        assert error(loaded, reference(model, data, family), data) <= TOLERANCE


@pytest.mark.parametrize("lengths", [(40,), (3, 3, 3, 9, 1, 1, 20)])
def test_packed_texts_are_as_alone(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    model = build("bert", "ForMaskedLM", seed=39)
    model.save_pretrained(tmp_path)
    loaded = load_encoder(open_encoder(tmp_path))
    ids = torch.randint(3, VOCAB, (sum(lengths),), generator=torch.Generator().manual_seed(40))
    positions = torch.cat([torch.arange(length) for length in lengths])
    with torch.inference_mode():
        packed = loaded(ids, positions, PackedAttend(loaded.config, lengths))
        start = 0
        for length in lengths:
            text = slice(start, start + length)
            alone = model.bert(input_ids=ids[None, text]).last_hidden_state[0]
            assert relative_error(packed[text], alone, torch.ones(length).bool()) <= TOLERANCE
            start += length


MUTATIONS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "family": ("bert", "ForMaskedLM", lambda _: "roberta"),
    "vocab_size": ("bert", "Model", lambda size: size + 1),
    "hidden_size": ("bert", "Model", lambda size: size + 6),
    "layers": ("bert", "Model", lambda layers: layers - 1),
    "heads": ("bert", "Model", lambda heads: heads // 2),
    "intermediate_size": ("bert", "Model", lambda size: size - 1),
    "context_length": ("bert", "Model", lambda length: length - 1),
    "position_offset": ("roberta", "Model", lambda offset: offset - 1),
    "token_types": ("bert", "Model", lambda types: types - 1),
    "norm_eps": ("bert", "Model", lambda eps: 2 * eps),
    "activation": ("bert", "Model", lambda _: "gelu_tanh"),
    "head": ("bert", "ForTokenClassification", lambda _: "classify"),
    "head_activation": ("bert", "ForSequenceClassification", lambda _: "relu"),
    "pooler": ("bert", "Model", lambda _: False),
    "labels": ("bert", "ForSequenceClassification", lambda labels: labels[:-1]),
    "tied": ("bert", "ForMaskedLM", lambda _: False),
}
NOT_IN_LOGITS = {"problem", "padding_id"}
"""What becomes of the logits, and what fills up batches: held by the tests of those who use it."""


def test_every_field_is_mutated() -> None:
    fields = {field.name for field in dataclasses.fields(EncoderConfig)}
    assert fields == set(MUTATIONS) | NOT_IN_LOGITS


@pytest.mark.parametrize("field", MUTATIONS)
def test_a_wrong_setting_is_caught(
    tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, head, change = MUTATIONS[field]
    model = build(family, head, seed=41)
    model.save_pretrained(tmp_path)
    data = draw(42, "right", family, model.config.pad_token_id)
    wanted = reference(model, data, family)
    assert error(load_encoder(open_encoder(tmp_path)), wanted, data) <= TOLERANCE
    right = encoder_folder.encoder_from_hf

    def wrong(raw: Any) -> EncoderConfig:
        config = right(raw)
        value = change(getattr(config, field))
        assert value != getattr(config, field)
        changed: dict[str, Any] = {field: value}
        if field == "position_offset":  # the table stays as long as it is
            changed["context_length"] = config.context_length + 1
        if field == "head":
            changed["pooler"] = True
        return dataclasses.replace(config, **changed)

    monkeypatch.setattr(encoder_folder, "encoder_from_hf", wrong)
    try:
        far = error(load_encoder(open_encoder(tmp_path)), wanted, data)
    except FormatError:
        return
    assert far > FAR, f"only {far:.2e} off: the comparison would miss it"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_opens_in_transformers(
    tmp_path: Path, family: str, head: str, tied: bool
) -> None:
    model = build(family, head, seed=43, tie_word_embeddings=tied)
    model.save_pretrained(tmp_path / "theirs")
    loaded = load_encoder(open_encoder(tmp_path / "theirs"))
    save_encoder(loaded, tmp_path / "ours")
    again = open_encoder(tmp_path / "ours")
    assert again.config == loaded.config
    model_class = getattr(transformers, PREFIXES[family] + head)
    opened, report = model_class.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    data = draw(44, "right", family, model.config.pad_token_id)
    wanted = reference(model, data, family)
    assert torch.equal(reference(opened.eval(), data, family), wanted) or (
        (reference(opened.eval(), data, family) - wanted).abs().max() < 1e-5
    )


def test_old_names_and_leftovers_of_training_are_read(tmp_path: Path) -> None:
    """Files of 2018: gamma and beta, position ids, and the head of the next-sentence task."""
    from safetensors.torch import load_file, save_file

    model = build("bert", "ForPreTraining", seed=45)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value.clone()
        for name, value in tensors.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(70)[None]
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    data = draw(46, "right", "bert", 0)
    with torch.inference_mode():
        wanted = model(
            input_ids=data["ids"],
            attention_mask=data["mask"].long(),
            token_type_ids=data["types"],
        ).prediction_logits
    assert error(load_encoder(open_encoder(tmp_path)), wanted, data) <= TOLERANCE


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_a_classifier_may_have_a_pooler_that_it_does_not_use(tmp_path: Path, family: str) -> None:
    from safetensors.torch import load_file, save_file

    model = build(family, "ForSequenceClassification", seed=48)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    width = model.config.hidden_size
    tensors["roberta.pooler.dense.weight"] = torch.ones(width, width)
    tensors["roberta.pooler.dense.bias"] = torch.ones(width)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    data = draw(49, "right", family, model.config.pad_token_id)
    wanted = reference(model, data, family)
    assert error(load_encoder(open_encoder(tmp_path)), wanted, data) <= TOLERANCE


def test_a_distilbert_as_published_opens(tmp_path: Path) -> None:
    model = build("distilbert", "ForSequenceClassification", seed=50)
    model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text()) | {"tie_weights_": True}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert open_encoder(tmp_path).config.head == "classify"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "deberta"}, "deberta"),
        ({"architectures": ["BertForQuestionAnswering"]}, "QuestionAnswering"),
        ({"is_decoder": True}, "is_decoder"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_act": "mish"}, "mish"),
        ({"num_hidden_layers": 5000}, "5000"),
        ({"num_attention_heads": 7}, "7 heads"),
        ({"surprise": 3}, "surprise"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "code of its own"),
        ({"id2label": {"0": "a", "2": "b"}, "architectures": ["BertForTokenClassification"]},
         "id2label"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    model = build("bert", "Model", seed=47)
    model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | change))
    with pytest.raises((ArchitectureError, FormatError), match=message):
        open_encoder(tmp_path)
