"""`kataribe export`: what it writes is opened by others, and what is wrong is not kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pico_model import build as build_pico
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from kataribe.base.errors import InputError, StorageError
from kataribe.cli import exporting
from kataribe.cli.exporting_texts import MOST_BYTES, MOST_PROMPTS, read_texts
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_writer import write_gguf
from kataribe.files.replacing import KEY, UNMARKED, mark_gguf
from kataribe.make.adapt import same_answers, same_tensors
from kataribe.make.adapt.compare import compare_logits
from kataribe.make.adapt.same_answers import LIMITS, Limit
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights import gguf_saving
from kataribe.make.model.weights.card import read_front_matter
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.tokens import gguf_saving as vocabulary_saving
from kataribe.make.tokens import load_tokenizer
from tests.make.llama_logits import LlamaModel

CARD = """---
license: mit
language: [en, ja]
tags: [tales]
widget:
- text: "The teller of tales"
---
# Pico
"""
TEXTS = (
    "The teller of tales recites what was heard",
    "語り部は聞いたことを語り、",
    "def recite(tale",
)


@pytest.fixture
def pico(tmp_path: Path) -> Path:
    folder = build_pico(tmp_path / "pico")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def our_logits(path: Path, ids: list[int]) -> torch.Tensor:
    (logits,) = same_answers._logits(load_model(open_checkpoint(path)), [ids])
    return logits


def transformers_logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.tensor([ids])).logits[0].float()


def model_of_gguf(path: Path) -> Any:
    """What `from_pretrained(gguf_file=...)` does, without the package that it asks for first."""
    config = transformers.AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    model = transformers.AutoModelForCausalLM.from_config(config)
    found = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    lacking = model.load_state_dict(found, strict=False)
    assert lacking.missing_keys in ([], ["lm_head.weight"])
    assert not lacking.unexpected_keys
    model.tie_weights()
    return model


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_a_gguf_file_is_checked_and_llama_cpp_runs_it(cli, pico, tmp_path, kind):
    target = tmp_path / "out" / f"pico.{kind}.gguf"
    done = cli("export", str(pico), str(target), "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["kind"], told["form"], told["bytes"]) == (kind, "gguf", target.stat().st_size)
    assert told["divergence"] <= told["divergence_limit"] == LIMITS[kind.upper()].divergence
    assert told["ids_compared"] > 10_000
    assert told["pieces_compared"] == load_tokenizer(pico).vocab_size
    assert told["tensors_compared"] == len(open_checkpoint(pico).tensors)
    assert (told["rounding_used"] == 0) if kind == "f32" else (0.9 < told["rounding_used"] <= 1)
    assert "free" in done.err
    assert [path.name for path in target.parent.iterdir()] == [target.name]

    tokenizer, llama = load_tokenizer(pico), LlamaModel(target)
    model = load_model(open_checkpoint(pico))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        found = compare_logits(our_logits(pico, ids), torch.tensor(llama.logits(ids)))
        assert found.divergence < LIMITS[kind.upper()].divergence * 1.5 + 1e-6
        if kind == "f32":
            assert llama.greedy(ids, 24) == generate_reference(model, ids, 24)
    llama.close()


def test_the_card_and_the_name_come_along(cli, pico, tmp_path):
    done = cli("export", str(pico), str(tmp_path / "x.gguf"), "--kind", "f32")
    assert done.code == 0, done.err
    metadata = open_gguf(tmp_path / "x.gguf").metadata
    assert metadata["general.name"] == "pico"
    assert metadata["general.license"] == "mit"
    assert metadata["general.languages"] == ["en", "ja"]
    assert metadata["general.file_type"] == 0
    assert "mean divergence (nats)\t0" in done.out


def test_transformers_opens_the_file_and_the_folder(cli, pico, tmp_path):
    ids = load_tokenizer(pico).encode("The teller of tales recites 語り部")
    expected = our_logits(pico, ids)
    assert cli("export", str(pico), str(tmp_path / "pico.f32.gguf")).code == 0
    model = model_of_gguf(tmp_path / "pico.f32.gguf")
    assert (transformers_logits(model, ids) - expected).abs().max() < 1e-4 * expected.std()

    done = cli("export", str(tmp_path / "pico.f32.gguf"), str(tmp_path / "folder"))
    assert done.code == 0, done.err
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    assert (transformers_logits(model, ids) - expected).abs().max() < 1e-4 * expected.std()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    assert tokenizer("The teller of tales recites 語り部")["input_ids"] == ids
    assert tokenizer.eos_token_id == model.config.eos_token_id == 0
    chat = [{"role": "user", "content": "Hi"}]
    before = transformers.AutoTokenizer.from_pretrained(pico)
    assert tokenizer.apply_chat_template(chat, tokenize=False) == before.apply_chat_template(
        chat, tokenize=False
    )


def test_a_folder_of_16_bits_keeps_its_card_and_template(cli, pico, tmp_path):
    done = cli("export", str(pico), str(tmp_path / "half"), "--kind", "bf16", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "half" / "README.md").read_text(encoding="utf-8") == CARD
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert load_tokenizer(tmp_path / "half").chat_template == load_tokenizer(pico).chat_template
    assert 0 < json.loads(done.out)["divergence"] < LIMITS["BF16"].divergence


OTHER_CARD = "---\nlicense: other\nwidget:\n- text: Buy now\n---\n"


@pytest.mark.parametrize("place", ["downloads", "workspace", "layout"])
def test_documents_beside_a_file_go_along_only_from_a_folder_of_the_model(
    pico, tmp_path, kataribe_home, place
):
    def plan(source: Path, target: Path, form: exporting.Form) -> exporting.Export:
        return exporting.Export(exporting.Order(source, "pico", target, form, "F32"))

    folder = kataribe_home / "models" / "pico" if place == "workspace" else tmp_path / place
    folder.mkdir(parents=True)
    plan(pico, tmp_path / "x.gguf", "gguf")._write(folder / "x.gguf")
    (folder / "README.md").write_text(OTHER_CARD)
    (folder / "LICENSE").write_text("Somebody's.")
    if place == "layout":
        (folder / "config.json").write_text("{}")
    out = tmp_path / "out"
    out.mkdir()
    planned = plan(folder / "x.gguf", tmp_path / "y", "folder")
    planned._write(out)
    plan(folder / "x.gguf", tmp_path / "y.gguf", "gguf")._write(tmp_path / "y.gguf")
    keys = open_gguf(tmp_path / "y.gguf").metadata
    if place == "downloads":
        assert not (out / "LICENSE").exists()
        own = {"license": "mit", "language": ["en", "ja"], "tags": ["tales"]}
        assert read_front_matter(out) == own  # as the file says
        assert (keys["general.license"], keys["general.languages"]) == ("mit", ["en", "ja"])
        assert load_tokenizer(pico).encode("Buy now") not in planned._prompts()
    else:
        assert (out / "README.md").read_text() == OTHER_CARD
        assert (out / "LICENSE").read_text() == "Somebody's."
        assert keys["general.license"] == "other"
        assert load_tokenizer(pico).encode("Buy now") in planned._prompts()


def test_a_model_goes_out_by_its_name(cli, pico, tmp_path):
    assert cli("models", "import", str(pico), "--name", "teller").code == 0
    assert cli("export", "teller", str(tmp_path / "t.gguf"), "--kind", "bf16").code == 0
    assert open_gguf(tmp_path / "t.gguf").metadata["general.name"] == "teller"
    assert cli("export", "nobody", str(tmp_path / "n.gguf")).code == 3


def test_nothing_is_overwritten_unless_told_so(cli, pico, tmp_path):
    target = tmp_path / "x.gguf"
    target.write_text("mine")
    done = cli("export", str(pico), str(target))
    assert (done.code, target.read_text()) == (2, "mine")
    assert "--replace" in done.err
    done = cli("export", str(pico), str(target), "--replace")
    assert (done.code, target.read_text()) == (2, "mine")
    assert "is no export of Kataribe" in done.err
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("mine")
    assert cli("export", str(pico), str(folder)).code == 2
    assert cli("export", str(pico), str(folder), "--replace").code == 2
    assert (folder / "old").read_text() == "mine"
    (folder / "old").unlink()
    assert cli("export", str(pico), str(folder), "--replace").code == 0  # it is empty
    assert open_checkpoint(folder).config.layers == 2
    first = (folder / "model.safetensors").read_bytes()
    half = ("export", str(pico), str(folder), "--replace", "--kind", "bf16")
    assert cli(*half).code == 0  # our own
    assert (folder / "model.safetensors").read_bytes() != first
    (folder / "notes.txt").write_text("mine")
    assert "holds notes.txt" in cli(*half).err
    assert (folder / "notes.txt").read_text() == "mine"
    for inside in (pico, tmp_path):
        done = cli("export", str(pico), str(inside), "--replace")
        assert done.code == 2
        assert "where the model itself is" in done.err
    assert open_checkpoint(pico).config.layers == 2


def assert_refused(done: Any, tmp_path: Path, *words: str) -> None:
    assert done.code == 1
    assert all(word in done.err for word in words), done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pico", "x.gguf"]
    assert open_gguf(tmp_path / "x.gguf").metadata["mine"] == "mine"


@pytest.fixture
def export_over(cli, pico, tmp_path):
    """Exports over an earlier one, which must survive when the export fails."""
    earlier = {"mine": "mine", KEY: UNMARKED}
    write_gguf(tmp_path / "x.gguf", earlier, {"x": np.zeros(3, np.float32)})
    mark_gguf(tmp_path / "x.gguf")
    return lambda kind: cli(
        "export", str(pico), str(tmp_path / "x.gguf"), "--kind", kind, "--replace"
    )


def test_beyond_the_limit_nothing_is_kept(export_over, tmp_path, monkeypatch):
    monkeypatch.setattr(same_answers, "LIMITS", {**LIMITS, "Q4_0": Limit(0.001)})
    assert_refused(export_over("q4_0"), tmp_path, "nats", "at most 0.001")


def test_rows_in_the_wrong_order_are_found(export_over, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_saving, "_order", lambda rows, _heads: np.arange(rows))
    words = ("blocks.0.attention.project.q.weight", "at most 0", "Nothing was kept")
    assert_refused(export_over("f32"), tmp_path, *words)


def test_answers_are_held_where_tensors_say_nothing(export_over, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_saving, "_order", lambda rows, _heads: np.arange(rows))
    monkeypatch.setattr(same_tensors, "_hold", lambda *_: None)
    assert_refused(export_over("f32"), tmp_path, "nats", "at most 1e-06")


def drop_a_merge(metadata: dict[str, Any]) -> None:
    del metadata["tokenizer.ggml.merges"][-1]


def swap_merges(metadata: dict[str, Any]) -> None:
    merges = metadata["tokenizer.ggml.merges"]
    merges[0], merges[-1] = merges[-1], merges[0]


def swap_pieces(metadata: dict[str, Any]) -> None:
    pieces = metadata["tokenizer.ggml.tokens"]
    pieces[300], pieces[301] = pieces[301], pieces[300]


def other_template(metadata: dict[str, Any]) -> None:
    metadata["tokenizer.chat_template"] += " "


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (drop_a_merge, "tokenizer.ggml.merges "),
        (swap_merges, "tokenizer.ggml.merges[0]"),
        (swap_pieces, "tokenizer.ggml.tokens[300]"),
        (other_template, "tokenizer.chat_template"),
    ],
)
def test_a_tokenizer_that_was_written_otherwise_is_found(
    export_over, tmp_path, monkeypatch, change, key
):
    def write(path: Path, metadata: dict[str, Any], tensors: Any) -> None:
        metadata = copy.deepcopy(metadata)
        change(metadata)
        write_gguf(path, metadata, tensors)

    monkeypatch.setattr("kataribe.files.gguf_writer.write_gguf", write)
    assert_refused(export_over("f32"), tmp_path, f"says {key}", "otherwise than was meant")


@pytest.mark.parametrize("change", [drop_a_merge, swap_merges, swap_pieces])
def test_a_tokenizer_that_was_made_wrong_is_found(export_over, tmp_path, monkeypatch, change):
    made = vocabulary_saving.gguf_vocabulary

    def wrong(path: Path, rows: int) -> Any:
        found = made(path, rows)
        change(found.metadata)
        return found

    monkeypatch.setattr(vocabulary_saving, "gguf_vocabulary", wrong)
    assert_refused(export_over("f32"), tmp_path, "The gguf ", "stood")


def test_another_token_is_found_where_divergence_is_small(export_over, tmp_path, monkeypatch):
    monkeypatch.setattr(same_answers, "LIMITS", {**LIMITS, "F32": Limit(1.0, same_tokens=True)})
    monkeypatch.setattr(same_answers, "_other_tokens", lambda *_: 3)
    assert_refused(export_over("f32"), tmp_path, "likeliest token differs", "at most 0")


def test_ties_are_no_other_tokens():
    ours = torch.tensor([[1.0, 1.00005, 0.0], [2.0, 1.0, 0.0]])
    theirs = torch.tensor([[1.1, 1.0, 0.0], [1.0, 2.0, 0.0]])
    assert same_answers._other_tokens(ours, theirs) == 1


def test_other_ids_are_found(export_over, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary_saving, "pre_tokenizer_name", lambda *_, **__: "qwen2")
    assert_refused(export_over("f32"), tmp_path, "other ids for")


def test_numbers_that_are_none_are_found(cli, pico, tmp_path):
    from safetensors.numpy import load_file, save_file

    weights = load_file(pico / "model.safetensors")
    weights["model.layers.0.mlp.down_proj.weight"][3, 3] = 70_000.0  # beyond float16
    save_file(weights, pico / "model.safetensors", metadata={"format": "pt"})
    done = cli("export", str(pico), str(tmp_path / "x.gguf"), "--kind", "f16")
    assert done.code == 1
    assert "1 numbers of blocks.0.mlp.down.weight" in done.err
    assert "inf stands where 70000 was" in done.err
    assert not (tmp_path / "x.gguf").exists()


def test_a_full_disk_is_said_before_anything_is_written(cli, pico, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda _: Usage)
    done = cli("export", str(pico), str(tmp_path / "deep" / "x.gguf"))
    assert done.code == 1
    assert "0 MB free" in done.err
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--to", "onnx"], "gguf or folder"),
        (["--kind", "q5_k"], "q8_0"),
        (["--to", "folder", "--kind", "q8_0"], "f32, f16, bf16"),
    ],
)
def test_what_there_is_no_word_for(cli, pico, tmp_path, arguments, word):
    done = cli("export", str(pico), str(tmp_path / "x.gguf"), *arguments)
    assert done.code == 2
    assert word in done.err
    assert not (tmp_path / "x.gguf").exists()


def test_texts_of_ones_own(cli, pico, tmp_path):
    def tokens(*lines: str, name: str) -> Any:
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        arguments = ("--texts", str(tmp_path / name), "--json", "--replace", "--kind", "f32")
        done = cli("export", str(pico), str(tmp_path / "x.gguf"), *arguments)
        return json.loads(done.out)["tokens_compared"] if done.code == 0 else done

    one = tokens('{"text": "The teller"}', name="one.jsonl")
    two = tokens('{"text": "The teller"}', '{"text": "The teller"}', name="two.jsonl")
    assert two == 2 * one
    assert tokens("The teller", "", "The teller", name="two.txt") == two
    for name, lines in (("bad.jsonl", ["[1]"]), ("empty.txt", ["", " "])):
        refused = tokens(*lines, name=name)
        assert refused.code == 2
        assert name in refused.err


@pytest.mark.parametrize("between", ["\u2028", "\u2029", "\u0085"])
def test_only_a_line_feed_ends_a_line_of_json(tmp_path, between):
    row = json.dumps({"text": f"one{between}line"}, ensure_ascii=False)
    (tmp_path / "x.jsonl").write_bytes(f"{row}\r\n\n{row}".encode())
    assert read_texts(tmp_path / "x.jsonl") == (f"one{between}line",) * 2
    (tmp_path / "x.txt").write_bytes(f"one{between}line\nhere\r\n \r\ntwo".encode())
    assert read_texts(tmp_path / "x.txt") == (f"one{between}line\nhere", "two")


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.txt"])
def test_of_a_corpus_only_the_first_texts_are_read(tmp_path, name):
    line = '{"text": "some"}\n' if name.endswith(".jsonl") else "some\n\n"
    with (tmp_path / name).open("wb") as file:
        file.write(line.encode() * MOST_PROMPTS)
        file.write(b"\xff is no UTF-8")
        file.truncate(1 << 36)  # of which the disk holds nothing, and memory could not
    assert read_texts(tmp_path / name) == ("some",) * MOST_PROMPTS
    with (tmp_path / name).open("r+b") as file:
        file.truncate(1 << 30)
        file.write(b"\n" * len(line))  # one text less
    with pytest.raises((StorageError, InputError), match=name):
        read_texts(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('{"text": 3}', "Line 2"),
        ('{"text": null}', "Line 2"),
        ("[" * 100_000, "Line 2"),
        (json.dumps({"text": "a" * MOST_BYTES}), "Line 2 .* 1,048,576 bytes"),
    ],
)
def test_a_line_without_a_text_is_named(tmp_path, line, word):
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n' + line)
    with pytest.raises(InputError, match=word):
        read_texts(tmp_path / "x.jsonl")
    if "bytes" in word:
        (tmp_path / "x.txt").write_text("words\n" * (MOST_BYTES // 6 + 1))
        with pytest.raises(InputError, match="A paragraph"):
            read_texts(tmp_path / "x.txt")


@pytest.fixture(scope="module")
def smol(smollm2_path, tmp_path_factory) -> tuple[Path, list[tuple[int, list[int], torch.Tensor]]]:
    """The default model as a folder of float32, and for prompts with their greedy continuation:
    where it starts, ids, logits."""
    folder = tmp_path_factory.mktemp("real") / "folder"
    order = exporting.Order(smollm2_path, "smol", folder, "folder", "F32", texts=("Tokyo is",))
    exporting.Export(order).run(lambda _: None)
    tokenizer, model = load_tokenizer(folder), load_model(open_checkpoint(folder))
    found = []
    for prompt in ("The capital of Japan is", "def fibonacci(n):\n", "日本の首都は"):
        ids = tokenizer.encode(prompt)
        whole = ids + generate_reference(model, ids, 16)
        (logits,) = same_answers._logits(model, [whole])
        found.append((len(ids), whole, logits))
    return folder, found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
def test_a_real_model_in_llama_cpp(cli, smol, tmp_path, kind):
    folder, prompts = smol
    target = tmp_path / f"smol.{kind}.gguf"
    done = cli("export", str(folder), str(target), "--json")
    assert done.code == 0, done.err
    llama, total, count = LlamaModel(target, context=128), 0.0, 0
    for start, ids, ours in prompts:
        theirs = torch.tensor(llama.logits(ids))
        difference = compare_logits(ours, theirs)
        total, count = total + difference.divergence * len(ids), count + len(ids)
        if kind == "f32":  # each next token, so the whole reply too
            assert theirs[start - 1 : -1].argmax(-1).tolist() == ids[start:]
    print(kind, total / count)
    assert total / count < LIMITS[kind.upper()].divergence
    assert llama.chat_template == load_tokenizer(folder).chat_template.source
    llama.close()
