"""Pulls from a local server that speaks the hub's paths, and from a folder laid out like it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from catalog_tiny import CONFIG, FakeHub, make_folder, make_gguf

from kataribe.base.errors import (
    AccessError,
    ArchitectureError,
    ChecksumError,
    DownloadError,
    FormatError,
    InputError,
    NotFoundError,
)
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.sources import PullProgress


def publish(hub: FakeHub, folder: Path, repo: str = "maker/Tiny-1B") -> str:
    hub.files[repo] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return f"hf:{repo}"


@pytest.fixture
def source(hub: FakeHub, tmp_path: Path) -> str:
    return publish(hub, make_folder(tmp_path / "tiny"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fetches(hub: FakeHub, name: str) -> list[str | None]:
    return [told for path, told, _ in hub.log if path.startswith("/cdn/") and path.endswith(name)]


def test_a_repository_becomes_a_folder_with_a_card(
    catalog: Catalog, hub: FakeHub, source: str, tmp_path: Path
) -> None:
    extra = {"pytorch_model.bin": b"evil", "run.py": b"evil", "onnx/model.onnx": b"x"}
    hub.files["maker/Tiny-1B"] |= extra
    steps: list[PullProgress] = []
    found = catalog.pull(source, steps.append)
    assert found.name == "Tiny-1B"
    assert found.path == catalog.workspace.models / "Tiny-1B"
    assert names(found.path) == [
        "README.md", "card.json", "chat_template.jinja", "config.json", "model.safetensors",
        "tokenizer.json",
    ]  # fmt: skip
    original = (tmp_path / "tiny" / "model.safetensors").read_bytes()
    assert (found.path / "model.safetensors").read_bytes() == original
    assert found.card.licence == "apache-2.0"
    assert found.card.revision == hub.commit
    assert found.card.family == "llama"
    assert found.card.parameters == 96 * 64 + 64 * 64 + 32 * 64 + 128 * 64 + 2 * 64
    assert steps[-1].done == steps[-1].total
    assert catalog.pull(source).path == found.path  # nothing is fetched twice
    assert len(fetches(hub, "model.safetensors")) == 1


def test_shards_come_by_the_index(catalog: Catalog, hub: FakeHub, tmp_path: Path) -> None:
    source = publish(hub, make_folder(tmp_path / "sharded", shards=3))
    hub.files["maker/Tiny-1B"]["consolidated.safetensors"] = b"not named by the index"
    found = catalog.pull(source)
    assert len([name for name in names(found.path) if name.endswith(".safetensors")]) == 3
    assert "consolidated.safetensors" not in names(found.path)
    assert "model.safetensors.index.json" in names(found.path)
    assert len(found.card.files) == 3


def test_one_gguf_of_many(catalog: Catalog, hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    make_gguf(folder / "tiny-Q4_0.gguf")
    make_gguf(folder / "tiny-Q8_0.gguf")
    (folder / "config.json").write_text("{}")
    source = publish(hub, folder, "maker/tiny-GGUF")
    with pytest.raises(FormatError, match=r"several models; name one of: tiny-Q4_0.gguf"):
        catalog.pull(source)
    found = catalog.pull(f"{source}@v2:tiny-Q8_0.gguf")
    assert found.name == "tiny-Q8_0"
    assert found.path.name == "tiny-Q8_0.gguf"
    assert names(found.folder) == ["README.md", "card.json", "tiny-Q8_0.gguf"]
    with pytest.raises(FormatError, match="no file tiny-Q2"):
        catalog.pull(f"{source}:tiny-Q2.gguf")


def test_a_connection_that_is_cut_is_taken_up_at_the_byte(
    catalog: Catalog, hub: FakeHub, source: str
) -> None:
    hub.cut_after = [5000, 7000, 9000]
    found = catalog.pull(source)
    asked = fetches(hub, "model.safetensors")
    assert asked == [None, "bytes=5000-", "bytes=12000-", "bytes=21000-"]
    content = hub.files["maker/Tiny-1B"]["model.safetensors"]
    assert (found.path / "model.safetensors").read_bytes() == content


def test_interrupted_by_hand_it_continues_at_the_byte(
    catalog: Catalog, hub: FakeHub, source: str
) -> None:
    def stop(step: PullProgress) -> None:
        if step.what == "model.safetensors":
            raise KeyboardInterrupt

    hub.cut_after = [5000]
    with pytest.raises(KeyboardInterrupt):
        catalog.pull(source, stop)
    assert not catalog.is_installed("Tiny-1B")
    kept = catalog.workspace.downloads / "tiny-1b" / "model.safetensors.part"
    assert kept.stat().st_size == 5000
    catalog.pull(source)
    assert fetches(hub, "model.safetensors") == [None, "bytes=5000-"]
    assert len(fetches(hub, "config.json")) == 1


def test_a_new_commit_begins_anew(catalog: Catalog, hub: FakeHub, source: str) -> None:
    part = catalog.workspace.downloads / "tiny-1b" / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    (part.parent / ".source").write_text(f"{source} deadbeef")
    part.write_bytes(b"of another commit")
    catalog.pull(source)
    assert fetches(hub, "model.safetensors") == [None]


def test_a_server_without_ranges_sends_it_all_again(
    catalog: Catalog, hub: FakeHub, source: str
) -> None:
    hub.ranges = False
    hub.cut_after = [5000]
    found = catalog.pull(source)
    content = hub.files["maker/Tiny-1B"]["model.safetensors"]
    assert (found.path / "model.safetensors").read_bytes() == content


def test_a_server_that_never_delivers(catalog: Catalog, hub: FakeHub, source: str) -> None:
    hub.cut_after = [0] * 40
    with pytest.raises(DownloadError, match=r"broke off after 0 of .*what arrived is kept"):
        catalog.pull(source)


def test_a_busy_server_is_asked_again(catalog: Catalog, hub: FakeHub, source: str) -> None:
    hub.busy = 2
    assert catalog.pull(source).name == "Tiny-1B"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_wrong_checksum_is_refused(
    catalog: Catalog, hub: FakeHub, source: str, name: str
) -> None:
    def spoil(file: str, content: bytes) -> bytes:
        return content[:-1] + b"\x07" if file == name else content

    hub.spoil = spoil
    with pytest.raises(ChecksumError, match=re.escape(name)):
        catalog.pull(source)
    assert not catalog.is_installed("Tiny-1B")
    hub.spoil = None
    assert catalog.pull(source).name == "Tiny-1B"
    assert len(fetches(hub, "config.json")) == 1  # the good files stay


def test_a_file_that_never_ends(catalog: Catalog, hub: FakeHub, source: str) -> None:
    hub.spoil = lambda file, content: content + bytes(100_000)
    with pytest.raises(FormatError, match="longer than the"):
        catalog.pull(source)


def test_pickles_are_refused(catalog: Catalog, hub: FakeHub) -> None:
    hub.files["maker/old"] = {
        "config.json": json.dumps(CONFIG).encode(), "pytorch_model.bin": b"\x80\x04",
        "model.gguf.txt": b"x",
    }  # fmt: skip
    with pytest.raises(FormatError, match=r"pytorch_model\.bin.*can run code"):
        catalog.pull("hf:maker/old")
    with pytest.raises(FormatError, match="can run code"):
        catalog.pull("hf:maker/old:pytorch_model.bin")
    assert fetches(hub, ".bin") == []


def test_an_unknown_family_is_refused_before_its_weights_come(
    catalog: Catalog, hub: FakeHub, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "other", {**CONFIG, "model_type": "rwkv"})
    with pytest.raises(ArchitectureError, match="'rwkv'"):
        catalog.pull(publish(hub, folder))
    assert fetches(hub, "model.safetensors") == []


def test_an_index_that_lies(catalog: Catalog, hub: FakeHub, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "sharded", shards=2)
    source = publish(hub, folder)
    index = "model.safetensors.index.json"
    for evil, word in [
        (b"[" * 99_999, "nested|not JSON"),
        (b"{}", "no weight_map"),
        (b'{"weight_map": {"a": "../../etc/passwd"}}', "no shard"),
        (b'{"weight_map": {"a": "/etc/x.safetensors"}}', "no shard"),
        (b'{"weight_map": {"a": "model.safetensors.index.json"}}', "no shard"),
        (b'{"weight_map": {"a": "gone.safetensors"}}', "gone.safetensors is missing"),
    ]:
        hub.files["maker/Tiny-1B"][index] = evil
        hub.commit = hub.commit[:-2] + f"{len(evil) % 97:02}"
        with pytest.raises(FormatError, match=word):
            catalog.pull(source)


def test_a_hub_that_answers_nonsense(catalog: Catalog, hub: FakeHub, source: str) -> None:
    siblings = b'{"sha": "abc", "siblings": [{"rfilename": "a", "size": -5}]}'
    for answer in (b"<html>", b"[]", b"{}", siblings, b'{"sha": "../x", "siblings": []}'):
        hub.raw_answer = answer
        with pytest.raises(FormatError, match=r"nonsense|no JSON"):
            catalog.pull(source)


def test_names_that_climb_are_not_fetched(catalog: Catalog, hub: FakeHub, source: str) -> None:
    hub.files["maker/Tiny-1B"]["../evil.json"] = b"{}"
    hub.files["maker/Tiny-1B"]["..json"] = b"{}"
    found = catalog.pull(source)
    assert not list(catalog.workspace.root.glob("**/*evil*"))
    assert "..json" not in names(found.path)


def test_gated_and_absent_repositories(
    catalog: Catalog, hub: FakeHub, source: str, monkeypatch: pytest.MonkeyPatch, second_server: str
) -> None:
    with pytest.raises(NotFoundError, match="maker/none"):
        catalog.pull("hf:maker/none")
    with pytest.raises(NotFoundError):
        catalog.pull(source + "@nowhere")
    hub.token = "hf_secret"
    with pytest.raises(AccessError, match="HF_TOKEN"):
        catalog.pull(source)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.elsewhere = second_server
    assert catalog.pull(source).name == "Tiny-1B"
    sent = {bool(authorization) for path, _, authorization in hub.log if path.startswith("/cdn/")}
    assert sent == {False}  # the token never goes to another host
    assert "hf_secret" not in (catalog.path_of("Tiny-1B") / "card.json").read_text()


def test_the_token_of_the_hubs_own_tools(
    catalog: Catalog, hub: FakeHub, source: str, tmp_path: Path
) -> None:
    hub.token = "hf_kept"
    token = tmp_path / "person" / "hf" / "token"
    token.parent.mkdir(parents=True)
    token.write_text("hf_kept\n")
    assert catalog.pull(source).name == "Tiny-1B"


def test_a_circle_of_redirects(catalog: Catalog, hub: FakeHub, source: str) -> None:
    hub.circle = True
    with pytest.raises(DownloadError, match="broke off"):
        catalog.pull(source)


def test_a_licence_with_terms_asks_whoever_publishes_it(
    catalog: Catalog, hub: FakeHub, source: str
) -> None:
    hub.licence = "gemma"
    with pytest.raises(InputError, match="Gemma Terms of Use"):
        catalog.pull(source)
    assert fetches(hub, "") == []
    found = catalog.pull(source, accept_terms=True)
    assert found.card.terms == "https://ai.google.dev/gemma/terms"


def test_no_server_and_no_permission(
    catalog: Catalog, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"cannot be reached.*HF_ENDPOINT"):
        catalog.pull("hf:maker/x")
    for address in ("https://127.0.0.1:99999", "http://127.0.0.1:x"):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(DownloadError, match=r"cannot be reached"):
            catalog.pull("hf:maker/x")
    monkeypatch.setenv("HF_ENDPOINT", "ftp://x")
    with pytest.raises(DownloadError, match="ftp://x"):
        catalog.pull("hf:maker/x")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        catalog.pull("hf:maker/x")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_laid_out_like_the_hub(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    mirror = tmp_path / "mirror"
    folder = make_folder(mirror / "maker" / "Tiny-1B")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    (folder / "pytorch_model.bin").write_bytes(b"evil")
    monkeypatch.setenv("HF_ENDPOINT", f"{scheme}{mirror}")
    found = catalog.pull("hf:maker/Tiny-1B")
    assert found.card.licence == "mit"
    assert (found.path / "README.md").read_text().startswith("---\nlicense: mit")
    assert "pytorch_model.bin" not in names(found.path)
    assert len(found.card.files[0].sha256) == 64
    with pytest.raises(NotFoundError, match="maker/none"):
        catalog.pull("hf:maker/none")


def test_a_card_is_found_by_its_source_with_its_terms(
    catalog: Catalog, hub: FakeHub, tmp_path: Path
) -> None:
    publish(hub, make_folder(tmp_path / "x"), "meta-llama/Llama-3.2-1B-Instruct")
    hub.licence = None
    with pytest.raises(InputError, match=r"Llama 3.2 Community License"):
        catalog.pull("hf:meta-llama/Llama-3.2-1B-Instruct")
    with pytest.raises(InputError, match=r"Llama 3.2 Community License"):
        catalog.pull("llama-3.2-1b")
    assert catalog.pull("LLAMA-3.2-1b", accept_terms=True).name == "llama-3.2-1b"


def test_a_full_disk_keeps_what_arrived(
    catalog: Catalog, hub: FakeHub, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kataribe.base.errors import StorageError

    real = os.write
    room = [20_000]

    def write(descriptor: int, data: memoryview) -> int:
        if len(data) > 8000:
            if room[0] < 8000:
                raise OSError(28, "No space left on device")
            data = data[:8000]
            room[0] -= 8000
        return real(descriptor, data)

    monkeypatch.setattr("kataribe.run.catalog.hub.os.write", write)
    with pytest.raises(StorageError, match="Free some space"):
        catalog.pull(source)
    monkeypatch.setattr("kataribe.run.catalog.hub.os.write", real)
    kept = catalog.workspace.downloads / "tiny-1b" / "model.safetensors.part"
    assert kept.stat().st_size == 16_000
    catalog.pull(source)
    assert fetches(hub, "model.safetensors")[-1] == "bytes=16000-"
