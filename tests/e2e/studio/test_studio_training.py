"""Training runs in the studio: the list, one run as it goes, several beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_checks import foreign_words, walk
from playwright.sync_api import Browser, Page, expect
from studio_stage import PHONE, Models, Studio, Watch, run_server, serious

from kataribe.base.workspace import Workspace
from kataribe.cli.runs_here import RunsHere
from kataribe.make.training.runs import RunFolder, RunInfo, create_run, this_process

PLAN = {
    "loop": {"steps": 200, "seed": 7},
    "prediction": {
        "parameters": 10_059_840,
        "tokens": 1_638_400,
        "seconds": 600.0,
        "memory_bytes": 2_000_000_000,
        "bits_per_byte": 1.9,
        "bits_per_byte_low": 1.8,
        "bits_per_byte_high": 2.0,
    },
}


def line(step: int) -> dict[str, float]:
    """What a run measured at a step; every twentieth looks at held-out text."""
    found = {
        "step": step, "tokens": step * 8192, "time": step * 2.5, "loss": 9 / (1 + step / 20),
        "lr": 0.003 * min(1, step / 20), "grad_norm": 0.7, "tokens_per_second": 3276.8,
    }  # fmt: skip
    if step % 20 == 0:
        found |= {"valid_loss": found["loss"] + 0.1, "bits_per_byte": 2 + 40 / (step + 20)}
    return found


def write(folder: RunFolder, first: int, last: int) -> None:
    """Lets a run go on from one step to another."""
    with (folder.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line(step)) + "\n" for step in range(first, last + 1))


def say(folder: RunFolder, step: int, text: str) -> None:
    """Lets a run write a sample."""
    sample = {"step": step, "prompt": "def ", "text": text}
    with (folder.path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(sample) + "\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def running(workspace: Workspace) -> RunFolder:
    """A run in its middle."""
    info = RunInfo("tales", "pretrain", state="running", started_at=1.0, **this_process())
    folder = create_run(workspace.runs, info, PLAN)
    write(folder, 1, 100)
    say(folder, 50, "xq zzz")
    say(folder, 100, "tell(story):")
    return folder


@pytest.fixture
def done(workspace: Workspace) -> RunFolder:
    """A run that came to its end."""
    info = RunInfo("older", "pretrain", state="done", started_at=1.0, ended_at=9.0, model="older")
    folder = create_run(workspace.runs, info, PLAN)
    write(folder, 1, 200)
    result = {**PLAN["prediction"], "bits_per_byte": 2.18, "seconds": 512.0}
    (folder.path / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def studio(browser: Browser, models: Models, workspace: Workspace) -> Iterator[Studio]:
    with run_server(models, training=RunsHere(workspace)) as stage:
        watch = Watch(stage.address)
        yield Studio(browser, stage, watch)
        for context in browser.contexts:
            context.close()
    assert watch.faults == []


def _row(page: Page, name: str) -> str:
    return page.locator("table.runs tr").filter(has_text=name).inner_text()


def test_the_list_says_what_each_run_does(
    studio: Studio, running: RunFolder, done: RunFolder
) -> None:
    page = studio.open("/training")
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(2)
    assert "Training 50%" in _row(page, "tales")
    assert "10.1M" in _row(page, "tales")
    assert "Done" in _row(page, "older")
    assert "2.182" in _row(page, "older")
    assert not serious(page)
    page.get_by_role("link", name="tales").click()
    expect(page).to_have_url(f"{studio.stage.address}/training/{running.id}")


def test_nothing_trained_yet_is_said_with_what_to_do(studio: Studio) -> None:
    page = studio.open("/training")
    expect(page.get_by_role("heading", name="Nothing has been trained yet")).to_be_visible()
    expect(page.get_by_text("kataribe corpus make code stdlib")).to_be_visible()
    assert not serious(page)


def test_a_run_is_watched_while_it_goes(studio: Studio, running: RunFolder) -> None:
    page = studio.open(f"/training/{running.id}")
    expect(page.get_by_text("Step 100 of 200", exact=False)).to_be_visible()
    charts = page.locator("figure.chart")
    expect(charts).to_have_count(5)
    loss = page.locator("figure.chart", has=page.get_by_text("Loss", exact=True))
    loss.get_by_text("Table").click()
    expect(loss.locator("tbody tr").last).to_contain_text("819,200")
    expect(loss.locator("tbody tr").last).to_contain_text("1.500")
    samples = page.locator(".samples li")
    expect(samples).to_have_count(2)
    expect(samples.first).to_contain_text("def tell(story):")
    write(running, 101, 150)
    expect(page.get_by_text("Step 150 of 200", exact=False)).to_be_visible()
    expect(loss.locator("tbody tr").last).to_contain_text("1,228,800")
    assert not serious(page)


def test_a_curve_is_drawn_and_can_be_taken_along(studio: Studio, running: RunFolder) -> None:
    page = studio.open(f"/training/{running.id}")
    bits = page.locator("figure.chart").first
    canvas = bits.locator("canvas")
    expect(canvas).to_be_visible()
    coloured = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value, at) => at % 4 === 3 && value > 0);
    }"""
    page.wait_for_function(f"() => ({coloured})(document.querySelector('figure.chart canvas'))")
    with page.expect_download() as coming:
        bits.get_by_role("button", name="CSV").click()
    text = Path(coming.value.path()).read_text()
    assert text.splitlines()[0] == "tokens,tales"
    assert text.splitlines()[1] == "163840,3"
    with page.expect_download() as coming:
        bits.get_by_role("button", name="PNG").click()
    assert Path(coming.value.path()).read_bytes().startswith(b"\x89PNG")


def test_what_was_expected_stands_beside_what_came(studio: Studio, done: RunFolder) -> None:
    page = studio.open(f"/training/{done.id}")
    bits = page.locator("table.outcome tr").filter(has_text="Bits per byte")
    expect(bits).to_contain_text("1.900 (1.800–2.000)")
    expect(bits).to_contain_text("2.180")
    expect(page.get_by_role("button", name="Chat with older")).to_be_visible()


def test_a_run_begun_by_the_command_is_stopped_from_the_page(
    studio: Studio, running: RunFolder
) -> None:
    page = studio.open(f"/training/{running.id}")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("It ends at its next step")).to_be_visible()
    for _ in range(100):  # the page says so as soon as it asks
        if running.stop_file.is_file():
            break
        page.wait_for_timeout(100)
    assert running.stop_file.is_file()
    running.change(state="stopped")
    expect(page.get_by_role("button", name="Go on")).to_be_visible()


def test_runs_are_laid_over_each_other(studio: Studio, running: RunFolder, done: RunFolder) -> None:
    page = studio.open("/training")
    page.get_by_role("checkbox", name="Compare tales").check()
    page.get_by_role("checkbox", name="Compare older").check()
    legend = page.locator("figure.chart").first.locator(".legend li")
    expect(legend).to_have_count(2)
    page.reload()
    expect(page.locator("figure.chart").first.locator(".legend li")).to_have_count(2)
    assert not serious(page)


def test_removing_a_run_asks_by_its_name_and_keeps_the_rest(
    studio: Studio, running: RunFolder, done: RunFolder
) -> None:
    page = studio.open(f"/training/{done.id}")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("checkpoints of older will be deleted")).to_be_visible()
    page.get_by_role("button", name="Delete the run").click()
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    assert not done.path.exists()
    assert running.path.exists()


def test_a_folder_of_another_version_says_so_and_hides_no_other(
    studio: Studio, running: RunFolder, done: RunFolder
) -> None:
    path = done.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    page = studio.open("/training")
    expect(page.locator("table.runs tbody tr")).to_have_count(2)
    page.get_by_role("link", name=done.id).click()
    expect(page.get_by_text("newer version")).to_be_visible()


@pytest.mark.parametrize(("locale", "dark"), [("en-US", False), ("ja-JP", True)])
def test_it_fits_a_phone(studio: Studio, running: RunFolder, locale: str, dark: bool) -> None:
    for path in ("/training", f"/training/{running.id}"):
        page = studio.open(path, locale=locale, viewport=PHONE, dark=dark, touch=True)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("main button").first).to_be_visible()
        over = page.evaluate(
            "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
            "(document.querySelector('.page'))"
        )
        assert over <= 0, path
        assert not serious(page)
        assert foreign_words(page.locator("body"), locale) == [], path


def test_keys_go_through_both_pages_in_order(
    studio: Studio, running: RunFolder, done: RunFolder
) -> None:
    page = studio.open("/training")
    expect(page.locator("table.runs tbody tr")).to_have_count(2)
    assert {"tales", "older"} <= set(walk(page))
    page.goto(f"{studio.stage.address}/training/{running.id}")
    expect(page.get_by_role("button", name="Data (CSV)")).to_have_count(5)
    expect(page.locator(".samples li")).to_have_count(2)
    assert {"Stop", "Picture (PNG)", "Data (CSV)"} <= set(walk(page))
