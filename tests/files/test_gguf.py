"""GGUF files written here and read by the `gguf` package, and the other way round."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import gguf
import numpy as np
import pytest

from kataribe.base.errors import InputError, NotFoundError, StorageError
from kataribe.files.ggml_blocks import quantize
from kataribe.files.gguf import metadata_summary, open_gguf
from kataribe.files.gguf_writer import PackedTensor, write_gguf

METADATA = {
    "general.architecture": "llama",
    "general.name": "語り部",
    "llama.block_count": 2,
    "negative": -3,
    "big": 1 << 40,
    "rate": 0.5,
    "yes": True,
    "tokens": ["a", "", "日本", "🙂"],
    "types": [1, 2, -3],
    "scores": [0.5, -1.0, 2],
    "flags": [True, False],
    "bytes": np.arange(5, dtype=np.uint8),
    "exact": np.float64(1 / 3),
    "nested": [[1, 2], [3]],
    "empty": np.zeros(0, dtype=np.int16),
}


def small_tensors() -> dict[str, object]:
    values = np.random.default_rng(7).standard_normal((5, 64)).astype(np.float32)
    return {
        "plain": values,
        "half": values.astype(np.float16),
        "vector": values[0],
        "q8": PackedTensor("Q8_0", values.shape, quantize(values, "Q8_0")),
        "q4": PackedTensor("Q4_0", values.shape, quantize(values, "Q4_0")),
        "cube": values.reshape(5, 2, 32),
    }


@pytest.mark.parametrize(("version", "alignment"), [(3, 32), (2, 32), (3, 64), (3, 8)])
def test_what_is_written_is_read_back(tmp_path: Path, version: int, alignment: int) -> None:
    path = tmp_path / "m.gguf"
    tensors = small_tensors()
    write_gguf(path, METADATA, tensors, alignment=alignment, version=version)
    found = open_gguf(path)
    assert found.version == version
    assert found.alignment == alignment
    for key, value in METADATA.items():
        got = found.metadata[key]
        if key == "nested":
            assert [part.tolist() for part in got] == value
        elif isinstance(got, np.ndarray):
            assert got.tolist() == list(value)
        else:
            assert got == value
    assert type(found.metadata["yes"]) is bool
    assert found.metadata["bytes"].dtype == np.uint8
    assert list(found.tensors) == list(tensors)
    for name, source in tensors.items():
        tensor = found.tensors[name]
        assert tensor.shape == source.shape
        assert tensor.offset % alignment == 0
        raw = source.raw if isinstance(source, PackedTensor) else source.view(np.uint8)
        assert np.array_equal(tensor.raw().reshape(-1), np.asarray(raw).reshape(-1))
        assert not tensor.raw().flags.writeable


def test_the_gguf_package_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    tensors = small_tensors()
    write_gguf(path, {k: v for k, v in METADATA.items() if k != "nested"}, tensors)
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.name"].contents() == "語り部"
    assert reader.fields["tokens"].contents() == METADATA["tokens"]
    assert reader.fields["types"].contents() == METADATA["types"]
    assert reader.fields["big"].contents() == 1 << 40
    assert reader.fields["exact"].contents() == 1 / 3
    for tensor in reader.tensors:
        assert tuple(int(n) for n in reversed(tensor.shape)) == tensors[tensor.name].shape


def test_we_read_what_the_gguf_package_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_token_list([b"a", "語".encode()])
    writer.add_token_scores([0.25, -1.5])
    values = np.random.default_rng(3).standard_normal((6, 32)).astype(np.float32)
    writer.add_tensor("w", values)
    writer.add_tensor("h", values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = open_gguf(path)
    assert found.metadata["llama.context_length"] == 2048
    assert found.metadata["tokenizer.ggml.tokens"] == ["a", "語"]
    assert found.metadata["tokenizer.ggml.scores"].tolist() == [0.25, -1.5]
    assert np.array_equal(found.tensors["w"].float32(), values)
    assert np.array_equal(found.tensors["h"].float32(), values.astype(np.float16))


def test_a_tensor_outlives_its_file_object(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, {}, {"w": np.arange(32, dtype=np.float32)})
    tensor = open_gguf(path).tensors["w"]
    path.unlink()
    assert tensor.float32().tolist() == list(range(32))


def test_a_vocabulary_of_300_000_opens_without_delay(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    tokens = [f"token-{number}" for number in range(300_000)]
    write_gguf(path, {"tokens": tokens, "scores": np.zeros(300_000, dtype=np.float32)}, {})
    start = time.process_time()
    found = open_gguf(path)
    print("seconds of processor time:", time.process_time() - start)
    assert found.metadata["tokens"] == tokens


def test_the_real_file_opens(smollm2_path: Path) -> None:
    found = open_gguf(smollm2_path)
    assert found.metadata["general.architecture"] == "llama"
    assert len(found.metadata["tokenizer.ggml.tokens"]) == 49_152
    assert found.tensors["token_embd.weight"].shape == (49_152, 576)
    summary = metadata_summary(found.metadata)
    assert summary["llama.context_length"] == 8192
    assert "tokenizer.ggml.tokens" not in summary


@pytest.mark.parametrize(
    ("metadata", "tensors", "word"),
    [
        ({"k": object()}, {}, "object"),
        ({"k": [1, "a"]}, {}, "mixes"),
        ({"k": 1 << 64}, {}, "64 bits"),
        ({"k": np.zeros((2, 2), np.float32)}, {}, "2-d"),
        ({"k": np.complex64(1)}, {}, "complex64"),
        ({}, {"w": np.zeros(3)}, "float64"),
        ({}, {"w": np.zeros((1, 1, 1, 1, 1), np.float32)}, "dimensions"),
        ({}, {"w": np.zeros((0, 3), np.float32)}, "dimensions"),
    ],
)
def test_what_gguf_cannot_hold_is_refused(
    tmp_path: Path, metadata: dict, tensors: dict, word: str
) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(InputError, match=word):
        write_gguf(path, metadata, tensors)
    assert not path.exists()


def test_wrong_version_and_alignment_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="version 4"):
        write_gguf(tmp_path / "m.gguf", {}, {}, version=4)
    with pytest.raises(InputError, match="power of two"):
        write_gguf(tmp_path / "m.gguf", {}, {}, alignment=24)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_gguf(tmp_path / "no.gguf")
    with pytest.raises(StorageError) as caught:
        open_gguf(tmp_path)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EISDIR
