"""The dial, the law behind it, trackers, and what runs look like to readers."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import InputError
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.training.dial import Given, by_size, by_time, parse_size, shape
from kataribe.make.training.overrides import loop_config
from kataribe.make.training.runs import RunFolder, read_object
from kataribe.make.training.session import carry_out
from kataribe.make.training.trackers import MLflow, keep_id, open_trackers
from tests.make.training.toys import loop, new_run, setup


def test_sizes_are_met_and_grow() -> None:
    given = Given(8192, 512)
    for size in (3e6, 10e6, 50e6, 200e6):
        choice = by_size(given, int(size))
        count = parameter_count(choice.model)
        assert 0.85 < count / size < 1.15
        assert choice.tokens == 20 * count
        assert choice.batch_tokens % 512 == 0
        assert choice.steps >= 50
    assert shape(given, 64).tied
    assert not shape(given, 1024).tied
    assert shape(given, 384).qk_norm


def test_looks_take_a_small_share_of_any_run() -> None:
    given = Given(8192, 512)
    for tokens in (200_000, 5_000_000, 500_000_000):
        choice = by_size(given, 3_000_000, tokens)
        rows = choice.batch_tokens // 512
        config = loop_config(choice, rows, 0, {})
        looked = config.steps // config.watching.eval_every * config.watching.eval_rows
        # A look costs a third of learning from the same row; the least look is 8 rows.
        assert looked / 3 <= max(0.1 * config.steps * rows, 80)
    assert config.watching.eval_rows == 256
    assert loop_config(choice, rows, 0, {"eval_rows": 3}).watching.eval_rows == 3


def test_more_time_makes_larger_models_that_see_more() -> None:
    given = Given(8192, 512)
    choices = [
        by_time(given, 60.0 * minutes, 2e11, unique=10**12) for minutes in (1, 10, 100, 1000)
    ]
    sizes = [parameter_count(choice.model) for choice in choices]
    tokens = [choice.tokens for choice in choices]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 4 * sizes[0]
    assert tokens == sorted(tokens)
    rates = [choice.learning_rate for choice in choices]
    assert rates == sorted(rates, reverse=True)
    little = by_time(given, 60_000.0, 2e11, unique=10**6)
    assert parameter_count(little.model) > sizes[-1]  # tokens seen again are worth less
    with pytest.raises(InputError, match="too short"):
        by_time(given, 1e-6, 2e11, unique=10**9)


@pytest.mark.parametrize(("text", "size"), [("10M", 10**7), ("1.5b", 15 * 10**8), ("2000", 2000)])
def test_sizes_as_people_say_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "10Q", "-5M", "12", "nanM"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is no size"):
        parse_size(text)


class Heard:
    """Stands in for a viewer's module and notes every call."""

    id = run_id = "known-7"

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "info":  # of MLflow's runs
            return self

        def call(*args: Any, **kwargs: Any) -> Heard:
            self.calls.append((name, args, kwargs))
            return self

        return call


def test_installed_trackers_hear_of_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    heard = {}
    for name in ("mlflow", "wandb"):
        heard[name] = Heard()
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        module.__getattr__ = heard[name].__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    config = loop(steps=3, trackers="installed", eval_every=3)
    run = new_run(tmp_path, config)
    carry_out(run, setup(config))
    seen = {name: len(each.calls) for name, each in heard.items()}
    tells_them_of_the_same_run(run, heard, seen)
    mlflow, wandb = (heard[name].calls[: seen[name]] for name in ("mlflow", "wandb"))
    assert [name for name, _, _ in mlflow] == [
        "start_run", "log_params", "log_metrics", "log_metrics", "log_metrics", "end_run",
    ]  # fmt: skip
    assert mlflow[1][1][0]["loop.steps"] == "3"
    assert {"loss", "valid_loss", "lr", "grad_norm"} <= mlflow[4][1][0].keys()
    assert [name for name, _, _ in wandb] == ["init", "log", "log", "log", "finish"]
    assert wandb[0][2]["mode"] == "offline"
    assert wandb[3][2] == {"step": 3}
    (tmp_path / "again").mkdir()
    for tracker in open_trackers(tmp_path / "again", {}, "installed"):
        tracker.figures(1, {"loss": 1.0})
        tracker.text(1, "prompt", "words")
        tracker.close()
    assert ("log_text", ("words", "samples/step-1-prompt.txt"), {}) in heard["mlflow"].calls


def tells_them_of_the_same_run(run: RunFolder, heard: dict[str, Heard], seen: Any) -> None:
    """A run that goes on is the one that they know, and its settings are not written again."""
    assert read_object(run.path / "trackers.json") == {"mlflow": "known-7", "wandb": "known-7"}
    longer = loop(steps=5, trackers="installed", eval_every=3)
    carry_out(run, setup(longer))
    again = {name: each.calls[seen[name] :] for name, each in heard.items()}
    assert again["mlflow"][0] == ("start_run", (), {"run_id": "known-7"})
    assert [name for name, _, _ in again["mlflow"][1:]] == ["log_metrics"] * 2 + ["end_run"]
    name, _, given = again["wandb"][0]
    assert (name, given["id"], given["resume"]) == ("init", "known-7", "allow")
    assert heard["wandb"].calls[0][2]["id"] is None


class MlflowException(Exception):  # noqa: N818 - as MLflow calls it
    """Stands in for MLflow's own."""


def test_a_run_that_a_viewer_forgot_begins_anew_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgot(Heard):
        exceptions = types.SimpleNamespace(MlflowException=MlflowException)

        def start_run(self, **given: Any) -> Heard:
            self.calls.append(("start_run", (), given))
            if "run_id" in given:
                raise MlflowException("no such run")
            return self

    keep_id(tmp_path, "mlflow", "gone-1")
    keep_id(tmp_path, "wandb", "w")
    module = Forgot()
    MLflow(module, tmp_path, {"a": 1})
    assert [name for name, _, _ in module.calls] == ["start_run", "start_run", "log_params"]
    assert read_object(tmp_path / "trackers.json") == {"mlflow": "known-7", "wandb": "w"}
    assert "gone-1" in caplog.text


def test_runs_and_flags_need_no_torch() -> None:
    modules = "kataribe.make.training.runs", "kataribe.make.training.asked", "kataribe.cli.app"
    program = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
