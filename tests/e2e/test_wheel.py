"""The wheel, installed where nothing else of this folder is, carries the studio and serves it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from kataribe import __version__

ROOT = Path(__file__).resolve().parents[2]
STUDIO = ROOT / "src" / "kataribe" / "serve" / "studio"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if not (STUDIO / "index.html").is_file():
        pytest.skip("the studio is not built; `make test` builds it first")
    folder = tmp_path_factory.mktemp("dist")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*PIP, *build, str(ROOT)], check=True, capture_output=True, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel, which borrows the locked packages of this one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder that a .pth file names is searched; .pth files in it (our editable install) are not.
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = str(folder / "bin" / "python")
    install = ["--python", python, "install", "--no-deps", "--no-index", "--force-reinstall"]
    subprocess.run([*PIP, *install, str(wheel)], check=True, capture_output=True)
    return folder / "bin"


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, **environment},
    )
    return done.stdout


def test_the_wheel_holds_the_package_and_nothing_beside_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"kataribe", f"kataribe-{__version__}.dist-info"}
    assert f"kataribe-{__version__}.dist-info/licenses/LICENSE" in names
    assert "kataribe/run/catalog/cards.toml" in names
    assert "kataribe/py.typed" in names
    built = {path.relative_to(STUDIO).as_posix() for path in STUDIO.rglob("*") if path.is_file()}
    carried = {name.removeprefix("kataribe/serve/studio/") for name in names if "studio/" in name}
    assert carried == built


def test_the_installed_command_is_the_wheels(installed):
    assert run(str(installed / "kataribe"), "--version") == f"kataribe {__version__}\n"
    where = run(str(installed / "python"), "-c", "import kataribe; print(kataribe.__file__)")
    assert where.startswith(str(installed.parent))


def test_the_installed_server_serves_the_studio(installed, tmp_path):
    lines = [
        "from starlette.testclient import TestClient",
        "from kataribe.base.settings import load_settings",
        "from kataribe.base.workspace import Workspace",
        "from kataribe.cli import wiring",
        "with wiring.open_app(load_settings(), Workspace.locate()) as app:",
        "    page = TestClient(app, base_url='http://127.0.0.1:8720').get('/')",
        "    print(page.status_code, page.headers['content-type'])",
        "    print(page.text)",
    ]
    command = [str(installed / "python"), "-W", "ignore", "-c", "\n".join(lines)]
    status, _, page = run(*command, KATARIBE_HOME=str(tmp_path)).partition("\n")
    assert status.startswith("200 text/html")
    assert page.strip() == (STUDIO / "index.html").read_text(encoding="utf-8").strip()
