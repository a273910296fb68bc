"""The pages: links lead somewhere, what is generated is fresh, the languages keep together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import docs, lock
from scripts.architecture import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_pages_are_fresh(name):
    assert (ROOT / name).read_text(encoding="utf-8") == docs.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_the_two_commands_come_first(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    commands = [line.split()[:2] for line in lines[:6] if line.startswith("make ")]
    assert commands == [["make", "up"], ["make", "test"]]


def test_both_readmes_show_the_same_commands():
    shown = []
    for name in ("README.md", "README.ja.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        shown.append(
            set(re.findall(r"^(?:cat \S+ \| )?kataribe (\w+(?: \w+)?)", text, re.MULTILINE))
        )
    assert shown[0] == shown[1]
    assert len(shown[0]) > 4


def test_the_lock_meets_the_requirements():
    assert lock.check() == []


def test_the_lock_names_no_host_and_only_exact_versions():
    for name in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if not line.startswith(("#", "-r requirements.lock")):
                assert re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", line), line


def test_pages_name_commands_that_exist():
    from typer.main import get_command

    from kataribe.cli.app import app

    top = get_command(app).commands
    models = top["models"].commands
    for page in PAGES:
        if page.name in ("cli.md", "CHANGELOG.md"):
            continue
        for first, second in re.findall(r"kataribe (\w+)(?: (\w+))?", page.read_text("utf-8")):
            if first == "models" and second:
                assert second in models, f"{page.name}: kataribe models {second}"
            elif first in ("kataribe", "and"):
                continue
            else:
                assert first in top, f"{page.name}: kataribe {first}"


def test_every_room_has_a_page():
    package = ROOT / "src" / "kataribe"
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    folders = [room.replace(".", "/") for room in ROOMS]
    there = [folder for folder in folders if (package / folder).is_dir()]
    assert len(there) > 10
    named = [there for there in there if re.search(rf"`(src/kataribe/)?{there}/`", pages)]
    assert named == there
