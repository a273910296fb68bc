"""The examples run as they stand, with nothing but the public API."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))
SAYS = {
    "ask_a_scripted_model": "I am the one who recites.\n(25 tokens, stop)\n",
    "vote_on_an_answer": "  (path: 1 of 5: 13. 6 + 7. Answer: 13)\n"
    "  (path: 2 of 5: 42. 6 x 7. Answer: 42)\n"
    "  (path: 3 of 5: 42. Answer: 42)\n"
    "  (path: 4 of 5: hm. Hm.)\n"
    "  (path: 5 of 5: 42. 7 x 6. Answer: 42.0)\n"
    "  (vote: 42: 3, 13: 1, hm: 1; confidence 60%)\n"
    "6 x 7.\nAnswer: 42\n730 tokens read, 66 written.\n",
    "wrap_a_model": "Once upon a time there was a teller of tales.\n"
    "45 characters passed through counted scripted.\n",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path):
    if path.stem not in SAYS:
        pytest.skip(f"{path.name} is tested with the real model")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (SAYS[path.stem], "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_uses_the_public_api_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert not any(name.startswith("_") for name in names), ast.unparse(node)
            assert node.module.split(".")[:2] != ["kataribe", "cli"]
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.startswith("__")
