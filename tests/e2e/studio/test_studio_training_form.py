"""A run from the form to its end: what to expect, live numbers, stop, go on; and one that died."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def test_a_run_is_planned_begun_watched_stopped_found_dead_and_ended(
    studio: Studio, workspace: Workspace
) -> None:
    page = studio.open("/training")
    fill(page, "tiny", "0.2")
    page.get_by_role("button", name="See what to expect").click()
    expect(page.get_by_text("measuring this machine").first).to_be_visible(timeout=SLOW)
    begin = page.get_by_role("button", name="Begin training")
    expect(begin).to_be_visible(timeout=SLOW)
    run = only_run(workspace)
    foreseen = run.plan["prediction"]
    table = page.locator("table.outcome")
    expect(table).to_contain_text(f"{foreseen['bits_per_byte']:.3f} (")
    assert not run.checkpoints(), "nothing is trained before somebody says so"
    assert not serious(page)
    page.reload()  # what was planned is still there
    expect(begin).to_be_visible()

    begin.click()
    expect(page).to_have_url(f"{studio.stage.address}/training/{run.id}")
    loss = page.locator("figure.chart").nth(1)
    expect(loss.get_by_text("Table")).to_be_visible(timeout=SLOW)
    loss.get_by_text("Table").click()
    expect(loss.locator("tbody tr").first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    go_on = page.get_by_role("button", name="Go on")
    expect(go_on).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("Stopped").first).to_be_visible()
    stopped = run.checkpoints()[-1][0]
    assert 0 < stopped < run.plan["loop"]["steps"]

    go_on.click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.wait_for_function("() => document.querySelector('progress')?.value > 0", timeout=SLOW)
    pid = run.written_info().pid
    while run.written_info().state != "running" or pid == 0:
        page.wait_for_timeout(100)
        pid = run.written_info().pid
    psutil.Process(run.written_info().pid).kill()
    expect(page.get_by_role("alert")).to_contain_text("signal 9", timeout=SLOW)
    expect(page.get_by_text("Failed").first).to_be_visible()

    go_on.click()
    expect(page.get_by_role("button", name="Chat with tiny")).to_be_visible(timeout=SLOW)
    expect(table.locator("tr").filter(has_text="Bits per byte")).not_to_contain_text("–\n–")
    assert run.info.state == "done"
    assert not serious(page)


def test_what_to_expect_can_be_cancelled_and_what_was_typed_stays(
    studio: Studio, workspace: Workspace
) -> None:
    page = studio.open("/training")
    fill(page, "never", "5")
    page.get_by_role("button", name="See what to expect").click()
    page.get_by_role("button", name="Cancel").click(timeout=SLOW)
    expect(page.get_by_label("Name", exact=True)).to_have_value("never")
    expect(page.get_by_label("Batch")).to_have_value("128")
    for _ in range(300):
        if not list_runs(workspace.runs):
            break
        page.wait_for_timeout(100)
    assert list_runs(workspace.runs) == []


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
    page.get_by_label("Parameters").fill("ten")
    expect(page.get_by_text("A number such as 500K")).to_be_visible()
    assert not serious(page)
