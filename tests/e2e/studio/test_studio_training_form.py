"""A run from the form to its end: what to expect, live numbers, stop, go on; and one that died."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect
from studio_stage import Models, Studio, Watch, run_server, serious

from kataribe.base.workspace import Workspace
from kataribe.cli.runs_here import RunsHere
from kataribe.cli.training_jobs import TrainingJobs
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.make.training.runs import RunFolder, list_runs
from kataribe.serve.training import KIND

TALE = "The tale goes on and on, and the night is long. "
SLOW = 180_000  # milliseconds: a process that imports torch, on a machine that is busy


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A corpus, its tokenizer, and labelled texts."""
    workspace = Workspace(tmp_path)
    corpus = workspace.corpora / "tales"
    corpus.mkdir(parents=True)
    for split, count in (("train", 40), ("valid", 4)):
        lines = [
            json.dumps({"id": f"{split}{at}", "text": f"{split} {at} {TALE * 20}"})
            for at in range(count)
        ]
        (corpus / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (workspace.corpora / "moods.jsonl").write_text('{"text": "long", "label": "sad"}\n')
    made, training = train_tokenizer([TALE * 50], TokenizerPlan("bpe", 300))
    save_tokenizer(workspace.tokenizers / "tales", made, training)
    return workspace


@pytest.fixture
def studio(browser: Browser, models: Models, workspace: Workspace) -> Iterator[Studio]:
    kinds = {KIND: TrainingJobs(workspace)}
    with run_server(models, training=RunsHere(workspace), kinds=kinds) as stage:
        watch = Watch(stage.address)
        yield Studio(browser, stage, watch)
    assert watch.faults == []


def fill(page: Page, name: str, minutes: str) -> None:
    """What a run of a really tiny model is asked for with."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Minutes").fill(minutes)
    page.get_by_label("Parameters").fill("100K")
    page.get_by_text("More settings").click()
    page.get_by_label("Context").fill("32")
    page.get_by_label("Batch").fill("128")


def only_run(workspace: Workspace) -> RunFolder:
    (run,) = list_runs(workspace.runs)
    return run


def wait_for(page: Page, what: str, holds: Callable[[], bool]) -> None:
    """Looks until it holds, while the page goes on."""
    for _ in range(SLOW // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError(what)


@contextlib.contextmanager
def held(page: Page, run: RunFolder, step: int = 0) -> Iterator[psutil.Process]:
    """The run's process when it is beyond a step, halted: it cannot end while one looks at it."""
    wait_for(
        page,
        f"{run.id} comes beyond step {step}",
        lambda: run.info.state == "running" and any(one["step"] > step for one in run.recent()),
    )
    process = psutil.Process(run.info.pid)
    process.suspend()
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def test_a_run_is_planned_begun_watched_stopped_found_dead_and_ended(
    studio: Studio, workspace: Workspace
) -> None:
    page = studio.open("/training")
    fill(page, "tiny", "0.2")
    page.get_by_role("button", name="See what to expect").click()
    expect(page.get_by_role("heading", name="What to expect of")).to_be_focused(timeout=SLOW)
    expect(page.get_by_text("measuring this machine").first).to_be_visible(timeout=SLOW)
    begin = page.get_by_role("button", name="Begin training")
    expect(begin).to_be_visible(timeout=SLOW)
    run = only_run(workspace)
    foreseen = Decimal(repr(run.plan["prediction"]["bits_per_byte"]))
    shown = foreseen.quantize(Decimal("0.001"), ROUND_HALF_UP)  # as Intl.NumberFormat does
    table = page.locator("table.outcome")
    expect(table).to_contain_text(f"{shown} (")
    assert not run.checkpoints(), "nothing is trained before somebody says so"
    assert not serious(page)
    page.reload()  # what was planned is still there
    expect(begin).to_be_visible()

    begin.click()
    expect(page).to_have_url(f"{studio.stage.address}/training/{run.id}")
    with held(page, run):
        loss = page.locator("figure.chart").nth(1)
        expect(loss.get_by_text("Table")).to_be_visible(timeout=SLOW)
        loss.get_by_text("Table").click()
        expect(loss.locator("tbody tr").first).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        note = run.path / "process.json"
        wait_for(page, "it is asked to end", lambda: json.loads(note.read_text())["asked"])
    go_on = page.get_by_role("button", name="Go on")
    expect(go_on).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Stopped").first).to_be_visible()
    stopped = run.checkpoints()[-1][0]
    assert 0 < stopped < run.plan["loop"]["steps"]
    what_has_begun_is_not_taken_away_unasked(page, studio, run)

    go_on.click()
    with held(page, run, stopped) as process:
        reached = max(one["step"] for one in run.recent())
        expect(page.get_by_text(f"Step {reached:,} of")).to_be_visible()
        process.kill()
    expect(page.get_by_role("alert")).to_contain_text("signal 9", timeout=SLOW)
    expect(page.get_by_text("Failed").first).to_be_visible()

    go_on.click()
    expect(page.get_by_role("button", name="Chat with tiny")).to_be_visible(timeout=SLOW)
    expect(table.locator("tr").filter(has_text="Bits per byte")).not_to_contain_text("–\n–")
    assert run.info.state == "done"
    assert not serious(page)


def what_has_begun_is_not_taken_away_unasked(page: Page, studio: Studio, run: RunFolder) -> None:
    """The address of the plan stays in the history, and the list of jobs has a button to cancel."""
    page.goto(f"{studio.stage.address}/training?plan={run.id}")
    expect(page.get_by_role("link", name="Open the run")).to_be_visible()
    expect(page.get_by_role("button", name="Change it")).to_have_count(0)
    page.get_by_role("button", name="Plan another run").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("")
    page.goto(f"{studio.stage.address}/jobs")
    page.get_by_role("button", name="Cancel: tiny").click()
    expect(page.get_by_text("checkpoints of tiny will be deleted")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    assert run.checkpoints()
    page.goto(f"{studio.stage.address}/training/{run.id}")


def test_what_to_expect_can_be_cancelled_and_what_was_typed_stays(
    studio: Studio, workspace: Workspace
) -> None:
    page = studio.open("/training")
    fill(page, "never", "5")
    page.get_by_role("button", name="See what to expect").click()
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible(timeout=SLOW)
    page.reload()
    cancel.click(timeout=SLOW)
    expect(page.get_by_role("heading", name="Train a model")).to_be_focused(timeout=SLOW)
    expect(page.get_by_label("Name", exact=True)).to_have_value("never")
    expect(page.get_by_label("Batch")).to_have_value("128")
    wait_for(page, "the run's folder goes", lambda: list_runs(workspace.runs) == [])


def test_each_kind_asks_for_what_it_needs_and_says_how_to_come_by_it(studio: Studio) -> None:
    page = studio.open("/training")
    page.get_by_role("radio", name="Classification").check()
    expect(page.get_by_label("Labelled texts")).to_have_value("moods.jsonl")
    expect(page.get_by_text("There is no encoder yet")).to_be_visible()
    expect(page.get_by_label("Epochs")).to_have_value("3")
    page.get_by_role("radio", name="Masked words").check()
    expect(page.get_by_text("kataribe tokenizer train words code --kind wordpiece")).to_be_visible()
    page.get_by_role("radio", name="Distillation").check()
    expect(page.get_by_label("Teacher")).to_be_disabled()
    size = page.get_by_label("Parameters")
    size.fill("ten")
    expect(size).to_have_accessible_description(re.compile("How large.*A number such as 500K"))
    expect(page.get_by_text("A number such as 500K")).to_be_visible()
    assert not serious(page)
