"""Makes each peer's virtual environment and files once, and starts measured programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "bench"
REQUIREMENTS = {
    "llamacpp": ["xllamacpp==2026.10.11549"],
    "transformers": ["torch==2.13.0", "transformers==5.23", "accelerate", "gguf"],
}


def environment(peer: str) -> Path:
    """The Python of a peer's own virtual environment under `.cache/bench`, made when missing."""
    python = CACHE / peer / "bin" / "python"
    marker = CACHE / peer / ".complete"
    if not marker.exists():
        print(f"making an environment for {peer}: {' '.join(REQUIREMENTS[peer])}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / peer)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]]
        subprocess.run(pip, check=True)
        marker.touch()
    return python


def formats(source: Path) -> dict[str, Path]:
    """The shipped file and its conversions for the peers, written once."""
    folder = CACHE / "models"
    folder.mkdir(parents=True, exist_ok=True)
    found = {"shipped": source}
    for kind in ("q4_0", "bf16", "folder"):
        target = folder / f"{source.stem}.{kind}"
        if not target.exists():
            fresh = target.with_name(target.name + ".new")
            command = [environment("transformers"), HERE / "convert.py", kind, source, fresh]
            subprocess.run([str(part) for part in command], check=True)
            fresh.rename(target)
        found[kind] = target
    return found


@dataclass
class Worker:
    """A measured program: `ask` gives it a task and waits for the figures."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @classmethod
    def start(cls, python: Path | str, script: str, *options: object) -> Worker:
        """Starts a script of this folder, or any by its whole path, and waits until it is ready."""
        environ = {
            **os.environ,
            "OMP_NUM_THREADS": "2",
            "TRANSFORMERS_OFFLINE": "1",
            "HF_HUB_OFFLINE": "1",  # else it asks a hub that is not there, for minutes
            "TORCHINDUCTOR_CACHE_DIR": str(CACHE / "compiled"),  # compiled once, not every run
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # in the process, whose CPU time is counted
        }
        with (CACHE / f"{Path(script).name}.log").open("w") as log:
            process = subprocess.Popen(
                [str(python), str(HERE / script), *map(str, options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environ,
            )
        return cls(process, cls._answer(process, script))

    def ask(self, task: str, **values: Any) -> dict[str, Any]:
        """One task's figures."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"task": task, **values}) + "\n")
        self.process.stdin.flush()
        return self._answer(self.process, task)

    def stop(self) -> None:
        """Ends the program."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    @staticmethod
    def _answer(process: subprocess.Popen[str], what: str) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"{process.args!r} ended without an answer to {what!r}; its log is in {CACHE}."
            )
        answer: dict[str, Any] = json.loads(line)
        return answer
