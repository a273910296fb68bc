"""Who computes a model: the native runner where it can, else PyTorch."""

from __future__ import annotations

import _ctypes
import gc
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from pico_model import NATIVE, build

from kataribe.base.errors import FormatError
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.run.catalog.calibration import calibration_for
from kataribe.run.catalog.facts import read_facts
from kataribe.run.inference import load
from kataribe.run.inference.load import LoadOptions, Precision, load_local
from kataribe.run.inference.native import library as native_library_module
from kataribe.run.inference.native.library import BUILT, Library, native_library, open_library
from kataribe.run.inference.native.runner import NativeRunner, obstacle
from kataribe.run.inference.native.weights import PRECISIONS
from kataribe.run.inference.runner import TorchRunner
from scripts.native import compiler
from tests.parity import tiny


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the native runner computes."""
    return build(tmp_path_factory.mktemp("models") / "wide", changes=NATIVE)


@contextmanager
def loaded(path: Path, **settings: Any) -> Iterator[object]:
    """The runner of a loaded model."""
    options = LoadOptions(**{"context": 64, "cache_tokens": 128, "device": "cpu", **settings})
    model = load_local("under-test", path, options)
    try:
        yield model.engine._runner
    finally:
        model.close(0.0)


@pytest.fixture
def forgetful() -> Iterator[None]:
    """The library is looked for anew, now and afterwards."""
    native_library.cache_clear()
    yield
    native_library.cache_clear()


def test_it_is_built_where_it_can_run() -> None:
    """Else all other tests of it would be skipped without a word."""
    flags = Path("/proc/cpuinfo")
    if compiler() is None or not flags.is_file() or "avx512_bf16" not in flags.read_text():
        pytest.skip("This machine cannot build or run it.")
    assert native_library() is not None


@pytest.mark.parametrize(
    "family",
    [
        "gpt2",
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma2",
        "gemma3",
        "mixtral",
        "qwen2moe",
        "qwen3moe",
    ],
)
@pytest.mark.parametrize("hidden", [96, 48])
def test_the_catalogue_counts_on_the_runner_that_computes(
    tmp_path: Path, family: str, hidden: int
) -> None:
    wide = {"hidden_size": hidden, "intermediate_size": 160, "head_dim": 32}
    tiny.build(family, 1, **({} if family == "gpt2" else wide)).save_pretrained(tmp_path)
    facts, config = read_facts(tmp_path), open_checkpoint(tmp_path).config
    for precision in get_args(Precision):
        counted = calibration_for(facts, precision, native=True).native
        assert counted == (obstacle(config) is None and precision in PRECISIONS)


@pytest.mark.parametrize("precision", ["auto", "int4", "int8", "bfloat16"])
def test_reduced_precisions_are_computed_natively(
    library: Library, wide: Path, precision: str
) -> None:
    with loaded(wide, precision=precision, cache_tokens=130) as runner:
        assert isinstance(runner, NativeRunner)
        assert runner.blocks * runner.block_size >= 130


def test_float32_is_computed_by_pytorch(library: Library, wide: Path) -> None:
    with loaded(wide, precision="float32") as runner:
        assert isinstance(runner, TorchRunner)


def test_narrow_heads_are_computed_by_pytorch(library: Library, pico_path: Path) -> None:
    with loaded(pico_path) as runner:
        assert isinstance(runner, TorchRunner)


@pytest.mark.parametrize(("found", "runs"), [("cpu", NativeRunner), ("meta", TorchRunner)])
def test_where_there_may_be_an_accelerator_pytorch_decides(
    library: Library, wide: Path, monkeypatch: pytest.MonkeyPatch, found: str, runs: type
) -> None:
    monkeypatch.setattr("kataribe.run.inference.processors.has_accelerator", lambda: True)
    asked: list[str] = []

    def pick(wanted: str) -> str:
        asked.append(wanted)
        return found if len(asked) == 1 else "cpu"  # then this machine computes after all

    monkeypatch.setattr("kataribe.run.inference.torch_load.pick_device", pick)
    with loaded(wide, device="auto") as runner:
        assert isinstance(runner, runs)
    assert asked[0] == "auto"
    with loaded(wide, device="cpu") as runner:
        assert isinstance(runner, NativeRunner)


@pytest.mark.usefixtures("forgetful")
def test_without_a_build_pytorch_computes(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_library_module, "BUILT", tmp_path / "none.so")
    with loaded(wide) as runner:
        assert isinstance(runner, TorchRunner)


@pytest.mark.usefixtures("forgetful")
def test_a_build_of_another_version_is_not_used(
    library: Library, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_library_module, "VERSION", 99)
    assert open_library(BUILT) is None
    with loaded(wide) as runner:
        assert isinstance(runner, TorchRunner)


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF\x02\x01\x01" + bytes(80)])
def test_what_is_no_library_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.so"
    path.write_bytes(content)
    assert open_library(path) is None


def test_another_library_is_not_used(tmp_path: Path) -> None:
    found = getattr(_ctypes, "__file__", None)
    if found is None:
        pytest.skip("This Python has its modules built in.")
    other = tmp_path / "other.so"
    shutil.copy(found, other)
    assert open_library(other) is None


def test_a_folder_is_no_library(tmp_path: Path) -> None:
    assert open_library(tmp_path) is None


def test_threads_are_as_many_as_was_said(
    library: Library, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "usable_threads", lambda: 3)
    with loaded(wide) as runner:
        assert runner._threads == 3  # type: ignore[attr-defined]
    with loaded(wide, threads=2) as runner:
        assert runner._threads == 2  # type: ignore[attr-defined]


def test_a_load_whose_tokenizer_fails_gives_the_weights_back(
    library: Library, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[NativeRunner]] = []

    class Watched(NativeRunner):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(weakref.ref(self))

    def broken(_path: Path) -> None:
        raise FormatError("tokenizer.json is torn.")

    monkeypatch.setattr(load, "NativeRunner", Watched)
    monkeypatch.setattr(load, "load_tokenizer", broken)
    with pytest.raises(FormatError, match="is torn"), loaded(wide):
        pass
    gc.collect()
    assert len(made) == 1
    assert made[0]() is None  # and with it, what it held: see test_native_runner
