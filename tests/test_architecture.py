"""The plan of the house holds, and the check of it can fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import architecture, docs
from scripts.imports import read_modules

ROOT = Path(__file__).resolve().parents[1]


def test_the_house_stands_as_planned():
    assert architecture.check(ROOT) == []


def test_the_readme_maps_the_house():
    assert docs.map_complaints() == []


def test_torch_free_modules_leave_torch_alone_when_they_are_imported():
    modules = read_modules(ROOT / "src" / "kataribe")
    free = [f"kataribe.{name}" for name in modules if architecture.is_torch_free(name)]
    assert len(free) > 10
    lines = [*(f"import {name}" for name in free), "import sys", "print('torch' in sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_the_documentation_says_torch_where_the_plan_does():
    table = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    told = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[3] in ("yes", "no"):
            names = re.findall(r"`([\w/]+)\.py`", cells[2])
            told |= dict.fromkeys((name.replace("/", ".") for name in names), cells[3])
    assert len(told) > 15
    for name, torch in told.items():
        assert (torch == "no") == architecture.is_torch_free(f"run.inference.{name}"), name
    mentioned = {f"run.inference.{name}" for name, torch in told.items() if torch == "yes"}
    assert mentioned == architecture.WITH_TORCH


@pytest.mark.parametrize("inside", [True, False])
def test_only_an_import_inside_a_function_may_wait_for_torch(tmp_path, inside):
    line = "from kataribe.run.inference.torch_load import x"
    files = {
        "run/inference/torch_load.py": "import torch",
        "run/inference/load.py": f"def f():\n    {line}" if inside else line,
    }
    found = [each for each in plant(tmp_path, files) if "leads to torch" in each]
    assert bool(found) != inside


def plant(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """The complaints about a house of these files (below src/kataribe unless they say so)."""
    for name, text in files.items():
        path = tmp_path / (
            name if "/" in name and name.startswith("./") else f"src/kataribe/{name}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if folder == tmp_path / "src":
                break
            if (tmp_path / "src" / "kataribe") in (folder, *folder.parents):
                (folder / "__init__.py").touch()
                (folder / "__init__.py").write_text('"""A room."""\n')
        path.write_text(text if text.startswith('"""') else f'"""A module."""\n{text}\n')
    return architecture.check(tmp_path)


def test_a_sound_tree_has_no_complaints(tmp_path):
    files = {
        "base/errors.py": "import json\nfrom kataribe import __version__",
        "files/gguf.py": "from kataribe.base import errors\nfrom . import other",
        "files/other.py": "from ..base.errors import json",
        "make/model/decoder.py": "import torch\nfrom kataribe.files.gguf import errors",
        "serve/app.py": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from kataribe.make.model.decoder import torch",
        "cli/app.py": "def go():\n    from kataribe.make.model import decoder",
        "__main__.py": "from kataribe.cli import app",
    }
    assert plant(tmp_path, files) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("base/x.py", "from kataribe.files import gguf", "base may not import files"),
        ("base/x.py", "from ..files import gguf", "base may not import files"),
        ("base/x.py", "import kataribe.serve.app", "base may not import serve"),
        ("base/x.py", "def f():\n    def g():\n        import kataribe.files.gguf", ":4: base may"),
        (
            "base/x.py",
            "try:\n    import kataribe.files\nexcept ImportError:\n    pass",
            "not import files",
        ),
        (
            "base/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import kataribe.files.gguf",
            "base may not import files",
        ),
        (
            "base/x.py",
            "import importlib\nimportlib.import_module('kataribe.files')",
            "may not import files",
        ),
        (
            "base/x.py",
            "import importlib\nimportlib.import_module('kata' + 'ribe')",
            "a computed name",
        ),
        *[
            ("base/x.py", text, "a computed name")
            for text in (
                "from importlib import import_module as load\nload('kataribe.files')",
                "import importlib\nf = importlib.import_module\nf('kataribe.files')",
                "from importlib import import_module\nf = [import_module]",
                "from importlib import import_module\nimport_module('.files', 'kataribe')",
                "import importlib\nimportlib.import_module(name='kataribe.files')",
                "__import__('kata' + 'ribe.files')",
                "f = __import__",
                "def f():\n    exec('import kataribe.files')",
                "def f():\n    eval('__imp' + 'ort__')('kataribe.files')",
                "import runpy\nrunpy.run_module('kataribe.files')",
                "from runpy import run_module\nrun_module('kataribe.files')",
                "import pkgutil\npkgutil.resolve_name('kataribe.files')",
                "from pkgutil import resolve_name\nresolve_name('kataribe.files')",
                "import sys\na = sys.modules['kataribe.files']",
                "from sys import modules\na = modules['kataribe.files']",
            )
        ],
        ("base/x.py", "import importlib\na = importlib.import_module('json')", None),
        ("base/x.py", "from importlib import import_module\na = import_module('json')", None),
        ("base/x.py", "import re\na = re.modules\nb = a.exec('x')", None),
        (
            "serve/x.py",
            "from kataribe.make.model import decoder",
            "serve may not import make.model",
        ),
        (
            "make/training/x.py",
            "from kataribe.run.inference import engine",
            "may not import run.inference",
        ),
        ("serve/x.py", "import kataribe.cli.app", "only __main__ may import cli"),
        (
            "serve/x.py",
            "import typing\nif typing.TYPE_CHECKING:\n    import kataribe.cli.app",
            "only __main__ may import cli",
        ),
        ("__main__.py", "import kataribe.base.x", "__main__ may not import base"),
        ("attic/x.py", "", "attic is no room of the plan"),
        ("make/x.py", "", "make.x is no room of the plan"),
        ("make/tokens/x.py", "import torch", "leads to torch: make.tokens.x -> torch"),
        ("base/x.py", "def f():\n    from torch import nn", "leads to torch: base.x -> torch.nn"),
        ("run/catalog/x.py", "from safetensors import torch", "leads to torch"),
        ("run/inference/x.py", "import torch", "leads to torch: run.inference.x -> torch"),
        ("run/inference/native/x.py", "import torch", "run.inference.native.x -> torch"),
        ("run/inference/runner.py", "import torch", None),
        (
            "run/inference/x.py",
            "def f():\n    import kataribe.run.inference.runner\n    import torch",
            "leads to torch",
        ),
        ("base/utils.py", "", "the name says nothing"),
        ("base/model_manager/x.py", "", "the name says nothing"),
        ("base/management/x.py", "", None),
        ("base/manager/x.py", "", "the name says nothing"),
        ("base/x.py", "try:\n    pass\nexcept Exception:\n    pass", ":4: catches everything"),
        (
            "base/x.py",
            "try:\n    pass\nexcept (OSError, BaseException):\n    pass",
            "catches everything",
        ),
        ("base/x.py", "try:\n    pass\nexcept:\n    pass", "catches everything"),
        ("base/x.py", "try:\n    pass\nexcept BaseException:\n    a = 1\n    raise", None),
        ("base/x.py", "try:\n    pass\nexcept OSError:\n    pass", None),
        ("cli/x.py", "try:\n    pass\nexcept Exception:\n    pass", None),
        (
            "base/x.py",
            "import contextlib\na = contextlib.suppress(Exception)",
            "suppresses everything",
        ),
        ("base/x.py", "a = 1  # TO" + "DO: more", "leaves work undone"),
        ("base/x.py", "a = 'TO" + "DO'", None),
        ("base/x.py", "def f():\n    raise NotImplementedError", ":3: leaves work undone"),
        ("base/x.py", "try:\n    pass\nexcept NotImplementedError:\n    pass", None),
        ("base/x.py", "a = 1  # type: " + "ignore", "ignores everything"),
        ("base/x.py", "a = 1  # type: " + "ignore[assignment]", None),
        ("base/x.py", "a = 1  # no" + "qa", "ignores everything"),
        ("base/x.py", "print('hello')", ":2: works at import: print"),
        ("base/x.py", "for a in range(3):\n    pass", "works at import: for"),
        ("base/x.py", "def f():\n" + "    a = 1\n" * 60, "f has 61 lines; at most 60"),
        ("base/x.py", "a = 1\n" * 400, "402 lines; at most 400"),
        ("base/x.py", "def f(a, b, c, d, e, *, g, h, i): ...", "f takes 8 parameters"),
        ("base/x.py", "class A:\n    def f(self, a, b, c, d, e, g, h): ...", None),
        ("cli/x.py", "def f(a, b, c, d, e, g, h, i): ...", "f takes 8 parameters"),
        (
            "cli/x.py",
            "def f(" + ", ".join(f"a{i}: Annotated[str, Option()]" for i in range(9)) + "): ...",
            None,
        ),
        (
            "cli/x.py",
            "def f(" + ", ".join(f"a{i}: options.Model" for i in range(9)) + ", b: int = 1): ...",
            "f takes 10 parameters",
        ),
        ("./examples/x.py", "a = 1\n" * 40, "42 lines; at most 40"),
        ("./scripts/x.py", "def f():\n" + "    a = 1\n" * 60, "f has 61 lines"),
    ],
)
def test_a_bad_tree_is_complained_about(tmp_path, name, text, complaint):
    complaints = plant(tmp_path, {name: text})
    if complaint is None:
        assert complaints == []
    else:
        assert any(complaint in each for each in complaints), complaints


def test_one_long_function_in_ten_is_too_many(tmp_path):
    short = "".join(f"def s{i}():\n    return {i}\n" for i in range(8))
    long = "".join(f"def l{i}():\n{'    a = 1' * 1}\n" + "    a = 1\n" * 38 for i in range(2))
    assert any(
        "one function in ten" in each for each in plant(tmp_path, {"base/x.py": short + long})
    )


def test_only_the_program_behind_walls_may_run_code(tmp_path):
    files = {"sandbox/interpreter.py": "def run(text):\n    exec(text)"}
    assert plant(tmp_path, files) == []
    files |= {
        "sandbox/x.py": "from kataribe.sandbox.interpreter import run\ndef f():\n    exec('1')"
    }
    complaints = plant(tmp_path, files)
    assert len(complaints) == 2
    assert any("sandbox.interpreter is a program" in each for each in complaints)
    assert any("x.py:4: imports a computed name" in each for each in complaints)


def test_circles_are_found_through_hidden_imports(tmp_path):
    files = {
        "base/a.py": "from kataribe.base import b",
        "base/b.py": "def f():\n    from kataribe.base.c import x",
        "base/c.py": "from . import a\nx = 1",
        "base/d.py": "from kataribe.base import a",
    }
    complaints = plant(tmp_path, files)
    assert ["in a circle: base.a, base.b, base.c" in each for each in complaints] == [True]


def test_torch_is_found_through_other_modules_and_their_packages(tmp_path):
    files = {
        "run/inference/scheduler.py": "from kataribe.run.inference.fast import x",
        "run/inference/fast.py": "def f():\n    import torch",
    }
    chain = "run.inference.scheduler -> run.inference.fast -> torch"
    assert any(chain in each for each in plant(tmp_path, files))
    (tmp_path / "src/kataribe/run/inference/fast.py").write_text('"""A."""\n')
    (tmp_path / "src/kataribe/run/inference/__init__.py").write_text('"""A."""\nimport torch\n')
    complaints = architecture.check(tmp_path)
    assert any("run.inference.scheduler -> run.inference -> torch" in each for each in complaints)


def test_types_alone_do_not_lead_to_torch(tmp_path):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"
    assert plant(tmp_path, {"base/x.py": text}) == []


def test_wings_keep_their_doors_empty(tmp_path):
    plant(tmp_path, {"make/model/x.py": ""})
    (tmp_path / "src/kataribe/make/__init__.py").write_text('"""A."""\nimport json\n')
    assert any("keep a wing's door empty" in each for each in architecture.check(tmp_path))
