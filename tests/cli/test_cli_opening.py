"""Models that can never open are refused before their weights are copied, linked or fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kataribe.cli import checks

SETTINGS = {
    "packed weights": ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "an unknown rotation": ({"rope_scaling": {"rope_type": "zzz", "factor": 2.0}}, "zzz"),
    "layers without end": ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
    "experts": ({"num_local_experts": 8}, "num_local_experts"),
    "another residual": ({"residual_multiplier": 0.2}, "residual_multiplier"),
    "an unknown setting": ({"zeta": 1}, "zeta"),
    "code of its own": ({"auto_map": {"AutoModel": "m.M"}}, "code of its own"),
    "no number": ({"rms_norm_eps": float("nan")}, "norm_eps is nan"),
    "an unknown activation": ({"hidden_act": "wobble"}, "wobble"),
}
FILES = {
    "no tokenizer": (None, "tokenizer"),
    "an empty tokenizer": ("{}", "tokenizer.json"),
    "half a tokenizer": ('{"model": ', "tokenizer.json"),
}


@pytest.fixture(params=[*SETTINGS, *FILES])
def unbuildable(request, pico_path, tmp_path) -> tuple[Path, str]:
    """A folder laid out as the hub has it, and a word that its refusal must hold."""
    folder = tmp_path / "mirror" / "maker" / "odd"
    shutil.copytree(pico_path, folder)
    if request.param in SETTINGS:
        changes, word = SETTINGS[request.param]
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))
    else:
        content, word = FILES[request.param]
        (folder / "tokenizer.json").unlink()
        if content is not None:
            (folder / "tokenizer.json").write_text(content)
    return folder, word


def left_behind(home: Path) -> list[Path]:
    """Everything but locks, that a refused model left in the workspace."""
    return [path for path in home.rglob("*") if path.is_file() and ".locks" not in path.parts]


@pytest.mark.parametrize("link", [[], ["--link"]])
def test_import_refuses_it_and_leaves_nothing(cli, kataribe_home, unbuildable, link):
    folder, word = unbuildable
    done = cli("models", "import", str(folder), *link)
    assert done.code in (1, 3)
    assert word in done.err
    assert done.err.count("\n") == 1, "it was refused before a byte was copied"
    assert left_behind(kataribe_home) == []
    assert list((kataribe_home / "downloads").glob("[!.]*")) == []


def test_pull_refuses_it_before_its_weights_come(cli, kataribe_home, unbuildable, monkeypatch):
    folder, word = unbuildable
    (folder / "model.safetensors").write_bytes(b"never read")
    monkeypatch.setenv("HF_ENDPOINT", str(folder.parents[1]))
    done = cli("models", "pull", "hf:maker/odd")
    assert done.code in (1, 3)
    assert word in done.err
    assert left_behind(kataribe_home) == []


def test_adopt_refuses_it(cli, kataribe_home, unbuildable, monkeypatch, tmp_path):
    folder, word = unbuildable
    repo = tmp_path / "hub" / "models--maker--odd"
    (repo / "snapshots").mkdir(parents=True)
    shutil.copytree(folder, repo / "snapshots" / "abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    done = cli("models", "adopt", "huggingface:maker/odd")
    assert done.code in (1, 3)
    assert word in done.err
    assert left_behind(kataribe_home) == []


def test_doctor_finds_it(cli, kataribe_home, unbuildable):
    folder, word = unbuildable
    shutil.copytree(folder, kataribe_home / "models" / "odd")
    found = [check for check in checks.all_checks() if check.name == "models"]
    assert [check.state for check in found] == ["fail"]
    assert "odd: " in found[0].found
    assert word in found[0].found


def test_a_weight_that_is_missing_is_told_with_the_path_that_was_given(
    cli, kataribe_home, pico_path, tmp_path
):
    folder = shutil.copytree(pico_path, tmp_path / "mine")
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[:-8])
    done = cli("models", "import", str(folder))
    assert done.code == 1
    assert str(folder / "model.safetensors") in done.err
    assert str(kataribe_home) not in done.err
    assert left_behind(kataribe_home) == []


def test_a_copy_that_breaks_off_leaves_nothing(cli, kataribe_home, pico_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kataribe.run.catalog.local.os.fsync", full)
    done = cli("models", "import", str(pico_path))
    assert done.code == 1
    assert "Free some space" in done.err
    assert left_behind(kataribe_home) == []


def test_what_opens_is_taken_in_from_every_side(
    cli, kataribe_home, pico_path, monkeypatch, tmp_path
):
    shutil.copytree(pico_path, tmp_path / "mirror" / "maker" / "pico")
    monkeypatch.setenv("HF_ENDPOINT", str(tmp_path / "mirror"))
    assert cli("models", "pull", "hf:maker/pico").code == 0
    assert cli("models", "import", str(pico_path), "--name", "linked", "--link").code == 0
    (found,) = [check for check in checks.all_checks() if check.name == "models"]
    assert found.state == "ok", found.found
