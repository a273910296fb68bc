"""Settings: flag > environment > kataribe.toml > default; what is wrong is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kataribe.base.errors import SettingsError
from kataribe.base.settings import BESIDE, DEFAULT_MODEL, Settings, load_settings
from kataribe.base.workspace import Workspace


def test_defaults_need_nothing(kataribe_home):
    settings = load_settings()
    assert (settings.host, settings.port, settings.key) == ("127.0.0.1", 8720, None)
    assert settings.model == DEFAULT_MODEL


def test_flag_before_environment_before_file_before_default(kataribe_home, monkeypatch):
    assert load_settings().port == 8720
    (kataribe_home / "kataribe.toml").write_text("port = 1001\nthreads = 3\n")
    assert load_settings().port == 1001
    monkeypatch.setenv("KATARIBE_PORT", "1002")
    assert load_settings().port == 1002
    assert load_settings(port=1003).port == 1003
    assert load_settings(port=None).port == 1002, "a flag of None counts as not given"
    assert load_settings().threads == 3, "each source fills what the one before leaves open"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"port": 70000}, "port"),
        ({"port": "eighty"}, "port"),
        ({"ctx": 1}, "ctx"),
        ({"threads": 0}, "threads"),
        ({"memory": -1.0}, "memory"),
        ({"memory": float("inf")}, "memory"),
        ({"memory": float("nan")}, "memory"),
        ({"memory": 1e300}, "memory"),
        ({"precision": "int3"}, "precision"),
        ({"device": "abacus"}, "device"),
        ({"queue": 0}, "queue"),
        ({"log_level": "loud"}, "log_level"),
        ({"prot": 8720}, "prot"),
    ],
)
def test_a_bad_flag_is_named_with_its_value(kataribe_home, flags, name):
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings(**flags)
    assert repr(flags[name]) in caught.value.message
    assert caught.value.param == name


@pytest.mark.parametrize("name", ["key", "kye", "api_key"])
def test_a_key_that_is_refused_is_not_shown(kataribe_home, monkeypatch, name):
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings(**{name: "s3cr3t"})
    assert "s3cr3t" not in caught.value.message
    (kataribe_home / "kataribe.toml").write_text(f'{name} = "s3cr3t"')
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert "s3cr3t" not in caught.value.message


def test_a_misspelt_name_in_the_file_is_told_with_the_near_one(kataribe_home):
    config = kataribe_home / "kataribe.toml"
    config.write_text("prot = 1\n")
    with pytest.raises(SettingsError, match=r"Did you mean port\?") as caught:
        load_settings()
    assert str(config) in caught.value.message
    config.write_text("zzzz = 1\n")
    with pytest.raises(SettingsError, match=r"There are ctx, device, .*threads\."):
        load_settings()


@pytest.mark.parametrize(
    ("flags", "choices"),
    [
        ({"precision": "foo"}, ["auto", "float32", "bfloat16", "int8", "int4"]),
        ({"device": "abacus"}, ["auto", "cpu", "cuda", "cuda:1", "mps"]),
        ({"device": "cuda:x"}, ["auto", "cpu", "cuda", "cuda:1", "mps"]),
        ({"log_level": "loud"}, ["debug", "info", "warning", "error"]),
    ],
)
def test_choices_are_said_in_words(kataribe_home, flags, choices):
    with pytest.raises(SettingsError) as caught:
        load_settings(**flags)
    assert not set(caught.value.message) & set("^$|\\[")
    assert [choice for choice in choices if choice not in caught.value.message] == []


def test_the_place_of_a_bad_value_is_named(kataribe_home, monkeypatch):
    config = kataribe_home / "kataribe.toml"
    config.write_text("threads = 0\n")
    with pytest.raises(SettingsError, match=re.escape(f"Setting threads ({config}) is 0: ")):
        load_settings()
    monkeypatch.setenv("KATARIBE_THREADS", "-1")
    with pytest.raises(SettingsError, match=r"Setting threads \(KATARIBE_THREADS\) is '-1': "):
        load_settings()
    with pytest.raises(SettingsError, match=r"Setting threads \(flag\) is -2: "):
        load_settings(threads=-2)
    with pytest.raises(SettingsError) as caught:
        load_settings(threads="9" * 10_000)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(kataribe_home, device):
    assert load_settings(device=device).device == device


def test_a_bad_environment_variable_is_named(kataribe_home, monkeypatch):
    monkeypatch.setenv("KATARIBE_PORT", "http")
    with pytest.raises(SettingsError, match="KATARIBE_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"port = ", "not valid TOML"),
        (b"port = 99999", "99999"),
        (b"prot = 8720", "prot"),
        (b"\xff\xfe", "not valid TOML"),
    ],
)
def test_a_bad_file_is_an_error_not_a_default(kataribe_home, text, complaint):
    (kataribe_home / "kataribe.toml").write_bytes(text)
    with pytest.raises(SettingsError, match=complaint):
        load_settings()


def test_a_folder_in_the_files_place_is_an_error(kataribe_home):
    (kataribe_home / "kataribe.toml").mkdir()
    with pytest.raises(SettingsError, match=r"kataribe\.toml cannot be read"):
        load_settings()


def test_every_setting_is_documented_or_plain():
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []


def test_the_workspace_is_where_the_environment_says(kataribe_home, monkeypatch):
    assert Workspace.locate().root == kataribe_home
    monkeypatch.setenv("KATARIBE_HOME", "~/elsewhere")
    assert Workspace.locate().root == Path.home() / "elsewhere"
    monkeypatch.setenv("KATARIBE_HOME", "")
    assert Workspace.locate().root == Path.home() / ".kataribe"
    monkeypatch.delenv("KATARIBE_HOME")
    assert Workspace.locate().root == Path.home() / ".kataribe"


def test_asking_for_paths_creates_nothing(tmp_path):
    workspace = Workspace(tmp_path / "new")
    paths = [workspace.config, workspace.models, workspace.downloads, workspace.running]
    assert all(workspace.root in path.parents for path in paths)
    assert len(set(paths)) == len(paths)
    assert not workspace.root.exists()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("KATARIBE_MODLE", "KATARIBE_MODEL"), ("KATARIBE_PRT", "KATARIBE_PORT")],
)
def test_a_misspelt_environment_variable_is_refused(kataribe_home, monkeypatch, name, hint):
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"{name}, which is no setting. Did you mean {hint}"):
        load_settings()


def test_variables_beside_the_settings_are_known(kataribe_home, monkeypatch):
    for name in BESIDE:
        monkeypatch.setenv(name, str(kataribe_home))
    monkeypatch.setenv("KATARIBE_LOG_LEVEL", "debug")
    assert load_settings().log_level == "debug"


def test_every_variable_that_the_house_uses_is_known():
    house = Path(__file__).parents[2]
    known = {*BESIDE, *(f"KATARIBE_{name.upper()}" for name in Settings.model_fields)}
    for path in (*house.glob("Makefile"), *house.glob("Containerfile"), *house.glob("scripts/*")):
        if path.is_file():
            used = set(re.findall(r"KATARIBE_[A-Z_]+", path.read_text("utf-8")))
            assert used <= known, path


def test_hosts_and_origins_are_lists(kataribe_home, monkeypatch):
    (kataribe_home / "kataribe.toml").write_text('hosts = ["a.example.org"]\norigins = []\n')
    assert load_settings().hosts == ("a.example.org",)
    monkeypatch.setenv("KATARIBE_HOSTS", "b.example.org, [fd00::1],")
    monkeypatch.setenv("KATARIBE_ORIGINS", "https://b.example.org:8443")
    settings = load_settings()
    assert settings.hosts == ("b.example.org", "[fd00::1]")
    assert settings.origins == ("https://b.example.org:8443",)
    assert load_settings(hosts=("c",)).hosts == ("c",)


@pytest.mark.parametrize(
    "flags",
    [
        {"hosts": "http://a.org"},
        {"hosts": "a.org:80"},
        {"hosts": "a/b"},
        {"origins": "a.org"},
        {"origins": "https://a.org/"},
        {"origins": "https://"},
    ],
)
def test_what_is_no_host_or_origin_is_refused(kataribe_home, flags):
    with pytest.raises(SettingsError, match="write it"):
        load_settings(**flags)
