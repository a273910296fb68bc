"""What the benchmarks of training and tokenizing count, choose and say."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch

from benchmarks import sections
from benchmarks.inference.record import Record
from benchmarks.tokenizing import __main__ as tokenizing
from benchmarks.training import law_runs, prediction, quality, report, speed
from benchmarks.training.bare import weights_of
from benchmarks.training.ours import llama, token_data
from benchmarks.training.peer_nanogpt import CHOICES, GPT, Choice, rate_at
from benchmarks.training.plot import Point, draw
from benchmarks.training.scoring import held_out, score, windows
from benchmarks.training.shapes import SHAPES
from benchmarks.training.workspace import Place
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.families import config_from_hf
from kataribe.make.tokens.token_data import META, TokenData


@pytest.mark.parametrize(
    ("first", "last", "context"),
    [(0, 100, 16), (3, 4, 16), (0, 16, 16), (0, 17, 16), (5, 200, 7), (0, 9, 1), (4, 4, 8)],
)
def test_every_token_is_scored_once_with_half_a_context_before_it(first, last, context):
    found = list(windows(first, last, context))
    scored = [place for one in found for place in range(one.last - one.fresh + 1, one.last + 1)]
    assert scored == list(range(first + 1, last + 1))
    for one in found:
        assert one.last - one.first <= context
        if one.first > first:
            assert one.last - one.fresh - one.first >= context // 2 - 1


def mixing(ids):
    """A model whose logits depend on all that stands before: sums of the ids so far."""
    sums = ids.cumsum(1)[..., None].float()
    return torch.sin(sums * torch.arange(1, 8).float()) * 2


def by_hand(ids, begin, end):
    """Nats of the tokens after `begin` up to `end`, each from all those from `begin` on."""
    total = 0.0
    for place in range(begin + 1, end + 1):
        logits = mixing(torch.from_numpy(ids[begin:place])[None])[0, -1]
        total -= float(torch.log_softmax(logits, 0)[ids[place]])
    return total


def test_the_judge_sums_what_a_slow_one_sums_within_and_across_documents():
    ids = np.random.default_rng(3).integers(0, 7, 90)
    starts = np.array([0, 11, 12, 50])
    data = held_out(ids, starts, 300, ends=False)
    across = score(mixing, data, 128, across=True)
    assert across.tokens == 89
    assert across.nats == pytest.approx(by_hand(ids, 0, 89), rel=1e-5)
    within = score(mixing, data, 64, across=False)
    parts = [(0, 11), (11, 12), (12, 50), (50, 89)]
    assert within.tokens == 89
    assert within.nats == pytest.approx(sum(by_hand(ids, *part) for part in parts), rel=1e-5)
    assert across.nats != pytest.approx(within.nats, rel=1e-3)
    marked = score(mixing, held_out(ids, starts, 300, ends=True), 128, across=True)
    assert marked.tokens == 89 - 3
    with pytest.raises(RuntimeError, match="86 held-out tokens were scored, not all 89"):
        quality._told(marked.nats, marked.tokens, data)


def test_short_windows_score_with_less_before_but_every_token_all_the_same():
    ids = np.random.default_rng(4).integers(0, 7, 300)
    data = held_out(ids, np.array([0, 100]), 300, ends=False)
    for context in (1, 2, 9, 32):
        for across in (True, False):
            assert score(mixing, data, context, across=across).tokens == 299


def test_time_of_steps_leaves_out_compiling_looks_samples_and_checkpoints():
    taken = [60.0, 1, 1, 6, 1, 9, 1, 1]  # after step 3 it looked, after step 5 it sampled
    lines = [
        {"tokens": 100.0 * number, "tokens_per_second": 100 / seconds}
        for number, seconds in enumerate(taken, 1)
    ]
    watching = {"eval_every": 3, "sample_every": 5, "checkpoint_every": 0}
    assert quality.own_seconds(lines, watching) == pytest.approx(8.0)
    everything = {"eval_every": 1, "sample_every": 0, "checkpoint_every": 0}
    assert quality.own_seconds(lines, everything) == pytest.approx(sum(taken))


def trained(seed, bits, size=None):
    return {
        "seed": seed, "bits_per_byte": bits, "size": size, "parameters": 1e6, "context": 512,
        "tokens": 1e6, "steps": 10, "seconds": 600.0,
    }  # fmt: skip


def test_the_recipes_best_size_is_what_ours_is_held_against(tmp_path):
    runs = {
        quality.OURS: [trained(0, 0.9), trained(1, 0.95), trained(2, 0.9)],
        quality.PEER: [
            trained(0, 1.2, "baby"), trained(0, 1.0, "cpu"), trained(1, 1.0, "cpu"),
            trained(2, 1.0, "cpu"),
        ],
    }  # fmt: skip
    assert quality.gains(runs) == pytest.approx([0.1, 0.05, 0.1])
    mean, wide = quality.interval([0.1, 0.05, 0.1])
    assert mean == pytest.approx(0.25 / 3)
    assert wide == pytest.approx(4.303 * math.sqrt(0.005 / 6 / 3), rel=1e-3)
    assert quality.interval([1.0])[1] == math.inf
    record = Record(tmp_path / "quality.md", report.quality, {})
    record.data["runs"] = runs
    said = report.quality(record.data)
    assert "8.3% (95 % interval" in said
    assert "wanted at least 0.05: reached; the interval excludes zero" in said
    runs[quality.OURS] = [trained(seed, bits) for seed, bits in enumerate((0.7, 0.99, 1.22))]
    wide = report.quality(record.data)
    assert "wanted at least 0.05: **missed**; the interval **does not exclude** zero" in wide


def test_what_took_another_time_is_left_out_and_said(tmp_path):
    other = {"unlike": "It trained for 90.0 s, not for 100.0."}
    runs = {
        quality.OURS: [trained(0, 0.9), trained(1, 0.9)],
        quality.PEER: [
            trained(0, 0.1, "baby") | other, trained(0, 1.0, "cpu"), trained(1, 0.2, "cpu") | other,
        ],
    }  # fmt: skip
    assert quality.best_size(runs) == "cpu"
    assert quality.gains(runs) == pytest.approx([0.1])
    record = Record(tmp_path / "quality.md", report.quality, {})
    record.data["runs"] = runs
    said = report.quality(record.data)
    assert "over 1 seeds: 10.0%" in said
    assert "**Left out**, for their time was not ours: baby with seed 0, cpu with seed 1." in said
    for one in runs[quality.PEER]:
        one |= other
    assert quality.gains(runs) == []
    assert "**Nothing can be compared" in report.quality(record.data)


@pytest.fixture
def judged_place(tmp_path, monkeypatch):
    """A place whose token data have a held-out part, without a corpus."""
    data = token_data(tmp_path / "data", 512)
    both = dataclasses.replace(
        data.meta, splits=dict.fromkeys(("train", "valid"), data.meta.splits["train"])
    )
    (data.path / META).write_text(both.to_json())
    for kind in ("bin", "idx"):
        shutil.copy(data.path / f"train.{kind}", data.path / f"valid.{kind}")
    judged = TokenData.open(data.path, verify=False)
    monkeypatch.setattr(Place, "prepare", lambda _: judged)
    return Place(tmp_path / "home", "stdlib", 512)


def test_where_no_training_took_our_time_the_comparison_fails(tmp_path, monkeypatch, judged_place):
    record = Record(tmp_path / "quality.md", report.quality, {})
    found = trained(0, 1.0, "cpu") | {"unlike": "It trained for 90.0 s, not for 600.0."}
    monkeypatch.setattr(quality, "train_ours", lambda *_: trained(0, 0.9))
    monkeypatch.setattr(quality, "train_peer", lambda *_: found)
    with pytest.raises(RuntimeError, match=r"took the time of ours within 2%.*90\.0 s, not for"):
        quality.measure(quality.Asked(1.0, 2, ("cpu",)), judged_place, record)


def test_what_was_measured_before_is_not_measured_again(tmp_path, monkeypatch, judged_place):
    done = []

    def ours(_minutes, seed, *_):
        done.append(seed)
        return trained(seed, 0.9)

    def peer(size, seed, *_):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append((size, seed))
        return trained(seed, 1.0 if size == "cpu" else 1.1, size)

    monkeypatch.setattr(quality, "train_ours", ours)
    monkeypatch.setattr(quality, "train_peer", peer)
    asked = quality.Asked(1.0, 2, ("cpu", "baby"))
    told, file = {"minutes": 1.0}, tmp_path / "quality.md"
    with pytest.raises(KeyboardInterrupt):
        quality.measure(asked, judged_place, Record(file, report.quality, told))
    assert done == [0, ("cpu", 0), ("baby", 0), 1]
    done.append("went on")
    record = Record(file, report.quality, told, goes_on=True)
    quality.measure(asked, judged_place, record)
    assert done[4:] == ["went on", ("cpu", 1)]
    assert quality.gains(record.data["runs"]) == pytest.approx([0.1, 0.1])
    assert ", went on " in record.data["begun"]
    # Another question begins anew, and so does who does not ask to go on.
    assert Record(file, report.quality, {"minutes": 2.0}, goes_on=True).data["runs"] == {}
    assert Record(file, report.quality, told).data["runs"] == {}


def test_a_prediction_that_was_off_is_named(tmp_path):
    expected = {"bits_per_byte": 2.0, "seconds": 100.0, "memory_bytes": 1e9, "tokens": 1e6}
    good = {"bits_per_byte": 1.91, "seconds": 114.0, "memory_bytes": 0.9e9, "tokens": 1e6}
    run = {
        "asked": "1 minutes", "expected": expected, "operations": 1e13,
        "found": {**good, "parameters": 1e6},
    }  # fmt: skip
    assert prediction.missed([run] * 6) == []
    assert prediction.missed([run] * 5) == ["only 5 runs of 6"]
    slow = {**run, "found": {**run["found"], "seconds": 116.0, "bits_per_byte": 2.11}}
    assert prediction.missed([run] * 5 + [slow]) == [
        "1 minutes: bits_per_byte +5.5%",
        "1 minutes: seconds +16.0%",
    ]
    unsaid = {**run, "expected": {**expected, "bits_per_byte": None}}
    lost = {**run, "found": {"parameters": 1e6, "bits_per_byte": 2.0, "seconds": 100.0}}
    assert prediction.missed([run] * 4 + [unsaid, lost]) == [
        "1 minutes: bits_per_byte was not predicted",
        "1 minutes: memory_bytes was not measured",
    ]
    record = Record(tmp_path / "prediction.md", report.predicted, {})
    record.data["runs"]["predicted"] = [slow] * 5 + [unsaid]
    said = report.predicted(record.data)
    assert "100 s / 116 s (+16.0%)" in said
    assert "**missed**" in said
    assert "| missing | 100 s / 114 s (+14.0%)" in said
    assert "bits_per_byte was not predicted" in said
    assert len(report.points(record.data)) == 6


def test_every_model_is_a_point_of_the_plot():
    points = [
        Point(1e12, 3.0, 2.9, 2.7, 3.1, "0.1 M"),
        Point(4e13, 2.1, None, None, None, "1 M < 2"),
        Point(9e14, 1.4, 1.5, 1.4, 1.6, "8 M"),
    ]
    tree = ET.fromstring(draw(points))
    space = "{http://www.w3.org/2000/svg}"
    circles = tree.findall(f".//{space}circle")
    full = [one for one in circles if one.get("fill") != "none"][: len(points)]
    places = [(float(one.get("cx")), float(one.get("cy"))) for one in full]
    assert len(full) == 3
    assert places == sorted(places)  # to the right with more work, and down with fewer bits
    assert all(0 < x < 720 and 0 < y < 420 for x, y in places)
    words = [one.text for one in tree.findall(f".//{space}text")]
    assert {"0.1 M", "1 M < 2", "8 M"} <= set(words)
    with pytest.raises(ValueError, match="no model to draw"):
        draw([])


def test_a_marked_part_of_a_page_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nBefore.\n")
    sections.put(page, "speed", "one \\1")
    sections.put(page, "other", "two")
    sections.put(page, "speed", "three\n\nfour \\g<0>")
    assert page.read_text() == (
        "# Page\n\nBefore.\n\n<!-- measured: speed -->\nthree\n\nfour \\g<0>\n"
        "<!-- end of speed -->\n\n<!-- measured: other -->\ntwo\n<!-- end of other -->\n"
    )


def test_every_run_of_the_law_has_its_line_and_every_line_its_run():
    kept = Path(law_runs.__file__).with_name("law_runs.jsonl").read_text("utf-8").splitlines()
    lines = [json.loads(line) for line in kept]
    asked = [{name: line[name] for name in dataclasses.asdict(law_runs.RUNS[0])} for line in lines]
    assert len(law_runs.RUNS) == len(set(law_runs.RUNS))
    assert sorted(map(str, asked)) == sorted(str(dataclasses.asdict(run)) for run in law_runs.RUNS)


class Answering:
    """A program that trains at the speed of its setting."""

    def __init__(self, rate):
        self._rate, self.ready = rate, {}

    def ask(self, _task, steps):
        shape = SHAPES["tiny"]
        return {"steps": steps, "seconds": steps * shape.rows * shape.seq / self._rate}

    def stop(self):
        pass


def test_the_trainer_is_measured_at_the_best_of_what_was_tried(tmp_path, monkeypatch):
    best = speed.Setting(bf16=True, compile=True, attention="eager", rows=2)
    values = vars(best)

    def started(_shape, setting):
        same = sum(vars(setting)[name] == value for name, value in values.items())
        return Answering(100.0 * (1 + same))

    monkeypatch.setattr(speed, "trainer", started)
    record = Record(tmp_path / "speed.md", report.speed, {})
    found = speed.choose(SHAPES["tiny"], speed.Setting(), record, whole=True)
    assert found == best
    tried = record.data["trials"]["tiny"]
    assert max(tried, key=lambda name: tried[name]) == best.name
    assert sorted(len(rates) for rates in tried.values()) == [*[1] * (len(tried) - 3), 2, 2, 2]
    fewer = speed.choose(SHAPES["tiny"], speed.Setting(rows=4), record, whole=False)
    assert fewer == speed.Setting(rows=2)


@pytest.mark.parametrize(
    ("usual", "halved"),
    [
        ([100, 100, 100, 100], [9, 400, 80, 80]),  # a step that took no time, it seems
        ([90, 10, 10, 90, 9, 90, 90, 90], [80] * 8),  # others computed during one trial
    ],
)
def test_one_step_that_was_disturbed_chooses_no_setting(usual, halved, tmp_path, monkeypatch):
    left = {8: usual * 2, 4: halved * 2}

    class Uneven(Answering):
        def ask(self, task, steps):
            self._rate = left[self.rows].pop(0)
            return super().ask(task, steps)

    def started(_shape, setting):
        worker = Uneven(0)
        worker.rows = setting.rows
        return worker

    monkeypatch.setattr(speed, "trainer", started)
    shape = dataclasses.replace(SHAPES["tiny"], rows=8)
    monkeypatch.setitem(speed.SHAPES, "tiny", shape)
    record = Record(tmp_path / "speed.md", report.speed, {})
    assert speed.choose(shape, speed.Setting(rows=8), record, whole=False).rows == 8


def test_programs_with_unlike_models_are_not_compared():
    one = Answering(1.0)
    one.ready = {"parameters": 5}
    with pytest.raises(RuntimeError, match=r"Trainer has 5 parameters, not the [\d,]+ of tiny"):
        speed.check_alike(SHAPES["tiny"], {"Trainer": one})


@pytest.mark.parametrize("name", SHAPES)
def test_all_programs_count_the_same_parameters(name):
    shape = SHAPES[name]
    assert parameter_count(config_from_hf(llama(shape.values))) == shape.parameters
    norms = (2 * shape.layers + 1) * shape.hidden_size
    products = sum(inner * outer for inner, outer in weights_of(shape.values))
    assert products + norms == shape.parameters


def test_random_token_data_is_one_document(tmp_path):
    data = token_data(tmp_path / "data", 512)
    assert data.tokens("train").max() < 512
    assert list(data.starts("train")) == [0]


def test_speed_says_ratios_of_rounds_and_what_was_wanted(tmp_path):
    record = Record(tmp_path / "speed.md", report.speed, {})
    record.data["figures"]["10M"] = {
        speed.OURS: [150.0, 130.0, 140.0],
        speed.ADAMW: [160.0, 160.0, 160.0],
        speed.TRAINER: [100.0, 100.0, 100.0],
        speed.BARE: [300.0, 300.0, 300.0],
    }
    said = report.speed(record.data)
    assert "1.40 (1.30 to 1.50), wanted at least 1.3: reached" in said
    assert "0.47 (0.43 to 0.50), wanted at least 0.5: **missed**" in said


TURNING = """
import time
from turns import Turns
turns = Turns({"version": "1"})
while True:
    time.sleep(0.01)
    turns.stepped()
"""


def test_a_training_takes_turns_and_ends_with_its_parent():
    here = Path(speed.__file__).parent
    with subprocess.Popen(
        [sys.executable, "-c", TURNING], cwd=here, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert json.loads(process.stdout.readline()) == {"version": "1"}
        for steps in (3, 1):
            process.stdin.write(json.dumps({"task": "train", "steps": steps}) + "\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
            assert told["steps"] == steps
            assert told["seconds"] >= 0.01 * steps
        process.stdin.close()
        assert process.wait(30) == 0


def test_the_recipe_reads_what_is_before_only_and_its_rate_falls_to_a_tenth():
    torch.manual_seed(0)
    choice = Choice(2, 2, 16, 12, 4, 1e-3, 0.99, 0.0)
    model = GPT(choice, 20).eval()
    ids = torch.randint(0, 20, (1, 12))
    changed = ids.clone()
    changed[0, 8] = (changed[0, 8] + 1) % 20
    one, other = model.logits(ids), model.logits(changed)
    assert torch.equal(one[:, :8], other[:, :8])
    assert not torch.allclose(one[:, 8:], other[:, 8:])
    baby = CHOICES["baby"]
    assert rate_at(0.0, 0, 100, baby) == pytest.approx(1e-3 / 101)
    assert rate_at(0.0, 100, 100, baby) == pytest.approx(1e-3)
    assert rate_at(1.0, 500, 100, baby) == pytest.approx(1e-4)


HOLDS = """
import time
import numpy as np
from benchmarks.tokenizing.measured import measured
with measured() as told:
    held = np.ones(8 << 20)
    time.sleep(0.2)
    told["tokens"] = int(held[0])
"""


def test_memory_is_what_a_block_takes_beyond_what_was_there():
    # In a process of its own, as it is measured: what earlier tests left is let go at any moment.
    command = [sys.executable, "-c", HOLDS]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["tokens"] == 1
    assert found["peak"] - found["before"] > 60 << 20


def test_tokenizing_says_speed_beside_the_call_alone_and_growth_of_memory(tmp_path):
    texts = list(tokenizing.documents(0.2, ["self.one = 1\n" * 40, "吾輩は猫である。" * 9]))
    assert sum(len(text.encode()) for text in texts) >= 200_000
    assert len(set(texts)) == len(texts)
    record = Record(tmp_path / "tokenizing.md", tokenizing.text, {}, "MB/s")
    for size, memory in (("16 MB", 30.0), ("64 MB", 40.0)):
        for name, rate in ((tokenizing.OURS, 9.0), (tokenizing.ALONE, 10.0)):
            record.rate("figures", size, name, rate)
            kept = record.data["runs"].setdefault("memory", {}).setdefault(size, {})
            kept[name] = [memory if name == tokenizing.OURS else 500.0]
    said = tokenizing.text(record.data)
    assert "0.90 (once) wanted at least 1: **missed**" in said
    assert "1.33, wanted at most 1.15: **missed**" in said
