"""Import by copy, adoption by link, removal, and names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catalog_tiny import CONFIG, make_folder, make_gguf

import kataribe
from kataribe.base.errors import (
    ArchitectureError,
    ChecksumError,
    FormatError,
    InputError,
    NotFoundError,
    StorageError,
)
from kataribe.base.workspace import Workspace
from kataribe.run.catalog.cards import Card, Terms
from kataribe.run.catalog.catalog import Catalog


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hugging_face(home: Path, *, commits: tuple[str, ...] = ("abc123",)) -> Path:
    """A cache as the hub's own tools lay it out: blobs, and snapshots of links to them."""
    folder = home / "hf" / "hub" / "models--maker--Tiny-1B"
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    for commit in commits:
        source = make_folder(home / f"made-{commit}")
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for path in source.iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            shutil.copy(path, blobs / digest)
            (snapshot / path.name).symlink_to(Path("../../blobs") / digest)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commits[-1])
    return folder


def ollama(home: Path, family: str = "library") -> Path:
    root = home / ".ollama" / "models"
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    content = make_gguf(home / "o.gguf").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs" / f"sha256-{digest}").write_bytes(content)
    manifest = root / "manifests" / "registry.ollama.ai" / family / "tiny" / "1b"
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return root / "blobs" / f"sha256-{digest}"


def lm_studio(home: Path) -> Path:
    folder = home / ".lmstudio" / "models" / "maker" / "tiny-GGUF"
    folder.mkdir(parents=True)
    make_gguf(folder / "tiny-Q4_0.gguf")
    make_gguf(folder / "mmproj-tiny.gguf")
    make_gguf(folder / "big-00001-of-00002.gguf")
    return folder / "tiny-Q4_0.gguf"


@pytest.fixture
def person(tmp_path: Path) -> Path:
    folder = tmp_path / "person"
    folder.mkdir()
    return folder


def test_a_gguf_file_is_copied_in(catalog: Catalog, tmp_path: Path) -> None:
    path = make_gguf(tmp_path / "Tiny.Q4.gguf")
    steps: list[object] = []
    found = catalog.import_(path, steps.append)
    assert found.name == "Tiny.Q4"
    assert found.path.read_bytes() == path.read_bytes()
    assert found.card.files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert steps
    path.unlink()
    assert catalog.path_of("tiny.q4").exists()
    assert [model.name for model in catalog.installed()] == ["Tiny.Q4"]
    assert catalog.pull("tiny.q4").path == found.path


@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_is_copied_in_without_what_could_run(
    catalog: Catalog, tmp_path: Path, shards: int
) -> None:
    folder = make_folder(tmp_path / "my-model", shards=shards)
    (folder / "pytorch_model.bin").write_bytes(b"evil")
    (folder / "modeling.py").write_text("evil")
    (folder / "checkpoint").mkdir()
    found = catalog.pull(f"file:{folder}")
    assert found.path == catalog.workspace.models / "my-model"
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= set(names(found.path))
    assert not {"pytorch_model.bin", "modeling.py", "checkpoint"} & set(names(found.path))
    assert len(found.card.files) == shards


def test_a_link_instead_of_a_copy(catalog: Catalog, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "linked")
    found = catalog.import_(folder, link=True, as_name="here")
    assert (found.path / "model.safetensors").is_symlink()
    assert (found.path / "config.json").read_text() == json.dumps(CONFIG)
    catalog.remove("here")
    assert (folder / "model.safetensors").exists()


def test_what_is_no_model_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    pickle = tmp_path / "pytorch_model.bin"
    pickle.write_bytes(b"\x80\x04")
    with pytest.raises(FormatError, match="can run code"):
        catalog.import_(pickle)
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(pickle, old)
    with pytest.raises(FormatError, match="can run code"):
        catalog.import_(old)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no model"):
        catalog.import_(tmp_path / "empty")
    with pytest.raises(NotFoundError):
        catalog.import_(tmp_path / "nowhere.gguf")
    with pytest.raises(FormatError, match="piece of a split"):
        catalog.import_(make_gguf(tmp_path / "big-00001-of-00002.gguf"))
    bare = make_folder(tmp_path / "bare")
    (bare / "config.json").unlink()
    with pytest.raises(FormatError, match="no config"):
        catalog.import_(bare)
    assert catalog.installed() == ()


def test_a_damaged_or_unknown_model_never_takes_its_place(catalog: Catalog, tmp_path: Path) -> None:
    path = make_gguf(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(FormatError, match="cut short"):
        catalog.import_(path)
    with pytest.raises(ArchitectureError, match="'bert'"):
        catalog.import_(make_gguf(tmp_path / "bert.gguf", family="bert"))
    folder = make_folder(tmp_path / "other", {**CONFIG, "model_type": ["x"]})
    with pytest.raises(ArchitectureError):
        catalog.import_(folder)
    folder = make_folder(tmp_path / "zero", {**CONFIG, "num_hidden_layers": 0})
    with pytest.raises(FormatError, match="num_hidden_layers = 0"):
        catalog.import_(folder)
    assert catalog.installed() == ()
    make_gguf(path)
    assert catalog.import_(path).name == "cut"


def test_everything_adoptable_is_listed_and_linked(catalog: Catalog, person: Path) -> None:
    hugging_face(person, commits=("old111", "new222"))
    blob = ollama(person)
    lm_studio(person)
    found = {model.reference: model for model in catalog.adoptable()}
    assert sorted(found) == [
        "huggingface:maker/Tiny-1B", "lmstudio:maker/tiny-GGUF/tiny-Q4_0", "ollama:tiny:1b",
    ]  # fmt: skip
    assert found["ollama:tiny:1b"].size == blob.stat().st_size
    assert "new222" in str(found["huggingface:maker/Tiny-1B"].files[0])
    for reference, name in [
        ("ollama:tiny:1b", "tiny-1b"),
        ("Tiny-Q4_0", "tiny-Q4_0"),
        ("huggingface:maker/Tiny-1B", "hf-tiny"),
    ]:
        model = catalog.adopt(reference, as_name="hf-tiny" if name == "hf-tiny" else None)
        assert model.name == name
        weights = [path for path in model.folder.iterdir() if path.is_symlink()]
        assert weights
        assert all(path.exists() for path in weights)
        assert model.card.family == "llama"
        assert model.card.files[0].sha256
    assert catalog.path_of("tiny-1b").name == "tiny-1b.gguf"
    assert catalog.path_of("hf-tiny").is_dir()
    assert catalog.facts("tiny-1b") is not None


def test_an_original_that_goes_away_says_so(catalog: Catalog, person: Path) -> None:
    blob = ollama(person)
    catalog.adopt("ollama:tiny:1b")
    content = blob.read_bytes()
    blob.unlink()
    with pytest.raises(NotFoundError, match=r"linked from .*blobs.*, which is gone.*models rm"):
        catalog.path_of("tiny-1b")
    (entry,) = [entry for entry in catalog.entries() if entry.name == "tiny-1b"]
    assert "which is gone" in entry.problem
    assert catalog.installed() == ()
    blob.write_bytes(content)
    assert catalog.path_of("tiny-1b").exists()
    catalog.remove("tiny-1b")
    assert blob.read_bytes() == content


def test_a_blob_that_is_not_what_its_name_says(catalog: Catalog, person: Path) -> None:
    blob = ollama(person)
    blob.write_bytes(blob.read_bytes() + b"x")
    with pytest.raises(ChecksumError):
        catalog.adopt("tiny-1b")
    assert catalog.installed() == ()


def test_half_downloads_and_hostile_manifests_are_not_listed(
    catalog: Catalog, person: Path
) -> None:
    folder = hugging_face(person)
    (folder / "snapshots" / "abc123" / "model.safetensors").unlink()
    ollama(person)
    manifests = person / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library"
    evil = "sha256:../../../../etc/passwd"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": evil}
    for number, content in enumerate(
        [
            "",
            "[" * 100_000,
            "[]",
            '{"layers": 7}',
            '{"layers": [7]}',
            json.dumps({"layers": [layer]}),
        ]
    ):
        path = manifests / "evil" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert [model.reference for model in catalog.adoptable()] == ["ollama:tiny:1b"]
    with pytest.raises(NotFoundError, match="there is: ollama:tiny:1b"):
        catalog.adopt("ollama:none")


def test_names_whatever_their_case_and_the_nearest_ones(catalog: Catalog, tmp_path: Path) -> None:
    assert catalog.resolve("SMOLLM2-135M") == "smollm2-135m"
    with pytest.raises(NotFoundError, match="Did you mean smollm2-135m"):
        catalog.resolve("smollm2-135")
    with pytest.raises(NotFoundError, match=r"qwen3-0\.6b"):
        catalog.resolve("qwen3")
    with pytest.raises(NotFoundError, match="models pull smollm2-135m"):
        catalog.path_of("smollm2-135m")
    with pytest.raises(NotFoundError, match="is not here"):
        catalog.remove("smollm2-135m")
    catalog.import_(make_gguf(tmp_path / "Mine.gguf"))
    assert catalog.resolve("mine") == "Mine"
    assert catalog.show("MINE").installed is not None
    assert [entry.name for entry in catalog.entries()][-1] == "Mine"
    with pytest.raises(InputError, match="already a model Mine"):
        catalog.import_(make_gguf(tmp_path / "other.gguf"), as_name="mine")
    for bad in ("../x", "", ".hidden", "a/b", "x" * 200):
        with pytest.raises(InputError):
            catalog.import_(tmp_path / "other.gguf", as_name=bad)
    assert catalog.remove("MINE").name == "Mine"
    assert not catalog.is_installed("mine")


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:one", "hf:a/b/c", "hf:../x", "hf:a/b@../c", "hf:a/b:../x.gguf", "pypi:x",
     "pypi:x==1 --index-url=http://evil", "pypi:-r==1", "pypi:../x==1", "ftp:x", "file:", "s3:x"],
)  # fmt: skip
def test_sources_that_are_none(catalog: Catalog, text: str) -> None:
    with pytest.raises(InputError):
        catalog.pull(text)


def test_a_model_that_was_put_there_by_hand(catalog: Catalog) -> None:
    folder = catalog.workspace.models / "by-hand"
    make_folder(folder)
    assert catalog.path_of("BY-HAND") == folder
    assert catalog.show("by-hand").installed is not None
    (folder / "card.json").write_text('{"name": 7, "unknown": true}')
    assert "damaged" in catalog.installed()[0].card.note
    (folder / "config.json").unlink()
    assert "no config.json" in catalog.show("by-hand").problem
    assert catalog.remove("by-hand").name == "by-hand"


def test_models_on_another_disk_than_downloads(workspace: Workspace, tmp_path: Path) -> None:
    workspace.models.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(workspace.models)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        catalog = Catalog(workspace)
        assert catalog.import_(make_gguf(tmp_path / "small.gguf")).name == "small"
        big = make_gguf(tmp_path / "big.gguf")
        with big.open("ab") as file:
            file.write(os.urandom(2 << 20))
        with pytest.raises(StorageError, match="Free some space"):
            catalog.import_(big)
        assert [model.name for model in catalog.installed()] == ["small"]
        assert names(workspace.models) == ["small"]
    finally:
        subprocess.run(["umount", str(workspace.models)], check=True)


def test_a_lock_waits_and_says_so(workspace: Workspace, tmp_path: Path) -> None:
    from kataribe.run.catalog.installed import hold

    seen: list[str] = []

    class TiredError(Exception):
        pass

    def report(step: object) -> None:
        seen.append(step.stage)
        raise TiredError

    with (
        hold(workspace, "Same", report),
        pytest.raises(TiredError),
        hold(workspace, "same", report),
    ):
        pass
    assert seen == ["waiting"]


def test_no_torch_anywhere_in_the_room() -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        "import kataribe.run.catalog as room\n"
        "for found in pkgutil.iter_modules(room.__path__):\n"
        "    importlib.import_module(f'{room.__name__}.{found.name}')\n"
        "assert 'torch' not in sys.modules\n"
        "from kataribe.run.catalog.cards import built_in_cards\n"
        "assert 'smollm2-135m' in built_in_cards()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(kataribe.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_each_quantised_file_of_a_repository_can_be_adopted(catalog: Catalog, person: Path) -> None:
    """Repositories of one model in many sizes are what most people have in their cache."""
    snapshot = person / "hf" / "hub" / "models--maker--two-GGUF" / "snapshots" / "abc"
    (snapshot / "more").mkdir(parents=True)
    for name in ("a.Q4_1.gguf", "a.Q8_0.gguf", "more/a.F16.gguf", "a.mmproj.gguf"):
        make_gguf(snapshot / name)
    make_gguf(snapshot / "big-00001-of-00002.gguf")
    (snapshot / "gone.gguf").symlink_to("nowhere")
    assert [model.reference for model in catalog.adoptable()] == [
        "huggingface:maker/two-GGUF:a.Q4_1.gguf",
        "huggingface:maker/two-GGUF:a.Q8_0.gguf",
        "huggingface:maker/two-GGUF:more/a.F16.gguf",
    ]
    found = catalog.adopt("huggingface:maker/two-GGUF:a.Q4_1.gguf")
    assert (found.name, found.path.name) == ("a.Q4_1", "a.Q4_1.gguf")
    assert catalog.adopt("a.F16").path.resolve() == snapshot / "more" / "a.F16.gguf"


def test_one_file_of_a_repository_is_listed_once(catalog: Catalog, person: Path) -> None:
    snapshot = person / "hf" / "hub" / "models--maker--one-GGUF" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    make_gguf(snapshot / "a.Q4_1.gguf")
    assert [model.reference for model in catalog.adoptable()] == ["huggingface:maker/one-GGUF"]
    make_folder(snapshot)
    assert [model.reference for model in catalog.adoptable()] == [
        "huggingface:maker/one-GGUF", "huggingface:maker/one-GGUF:a.Q4_1.gguf",
    ]  # fmt: skip


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that holds the very bytes of a built-in card, under a name of its own."""
    path = make_gguf(tmp_path / "renamed.gguf")
    card = Card(
        "famous", "Famous 1", "pypi:famous==1.0", "llama", "chat", ("en",), "MIT",
        size=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        file="famous.gguf", terms=Terms("Famous Terms", "https://example.org/terms"),
    )  # fmt: skip
    for module in ("cards", "catalog", "local"):
        name = f"kataribe.run.catalog.{module}.built_in_cards"
        monkeypatch.setattr(name, lambda: {card.name: card})
    return path


@pytest.mark.parametrize("link", [False, True])
def test_an_imported_file_with_known_bytes_is_the_known_model(
    catalog: Catalog, known: Path, link: bool
) -> None:
    """Else the default model would be fetched though it is here."""
    found = catalog.import_(known, link=link)
    assert (found.name, found.card.title, found.card.licence) == ("famous", "Famous 1", "MIT")
    assert (found.card.source, found.card.languages) == (f"file:{known}", ("en",))
    assert catalog.pull("famous", accept_terms=True).path == found.path
    assert [entry.name for entry in catalog.entries()] == ["famous"]
    named = catalog.import_(known, as_name="mine", link=link)
    assert (named.name, named.card.licence) == ("mine", "MIT")
    other = make_gguf(known.parent / "resized.gguf", name="tinyy")
    assert catalog.import_(other).card.licence is None


def test_an_adopted_file_with_known_bytes_has_the_known_card(
    catalog: Catalog, known: Path, person: Path
) -> None:
    folder = person / ".lmstudio" / "models" / "maker" / "x"
    folder.mkdir(parents=True)
    shutil.copy(known, folder)
    found = catalog.adopt("renamed")
    assert (found.name, found.card.title, found.card.kind) == ("renamed", "Famous 1", "chat")
    assert found.card.source == "lmstudio:maker/x/renamed"
