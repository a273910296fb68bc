"""The calling benchmark's parts: data, faults, judge, report; and a small run that goes on."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.calling import bfcl, report
from benchmarks.calling.__main__ import Asked, measure, models_of
from benchmarks.calling.answered import Row, Rows, fault, meant
from benchmarks.calling.bfcl import Judge, json_schema, questions
from kataribe.base.errors import FormatError, ProviderError
from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted import Call, Reply

HEAD = {"format": 1, "model": "scripted"}
PLAY = {
    "name": "music.play",
    "description": "Plays an artist's songs.",
    "parameters": {
        "type": "dict",
        "properties": {
            "artist": {"type": "string", "description": "Who sings."},
            "minutes": {"type": "integer", "description": "How long.", "optional": True},
            "volume": {"type": "float"},
            "tags": {"type": "tuple", "items": {"type": "any"}},
        },
        "required": ["artist", "minutes"],
    },
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "possible_answer").mkdir()
    for kind, count in (("parallel", 2), ("live_simple", 1)):
        asked, wanted = [], []
        for place in range(6):
            names = [f"singer {place}-{each}" for each in range(count)]
            said = [{"role": "user", "content": f"Play {' and '.join(names)} for 5 minutes."}]
            asked.append({"id": f"{kind}_{place}", "question": [said], "function": [PLAY]})
            truth = [{"music.play": {"artist": [name], "minutes": [5]}} for name in names]
            wanted.append({"id": f"{kind}_{place}", "ground_truth": truth})
        for path, rows in ((tmp_path, asked), (tmp_path / "possible_answer", wanted)):
            lines = "\n".join(map(json.dumps, rows))
            (path / f"BFCL_v4_{kind}.json").write_text(lines + "\n")
    return tmp_path


def row(calls, *, text="", failure="", reason="tool_calls", arm="free", id_="parallel_0") -> Row:
    return Row(arm, id_.rpartition("_")[0], id_, calls, text, reason, 100, 90, 20, 1.0, failure)


def play(**arguments) -> tuple[str, str]:
    return "music.play", json.dumps(arguments)


def test_the_datas_schemas_become_json_schema():
    found = json_schema(PLAY["parameters"])
    assert found["type"] == "object"
    kinds = {name: part["type"] for name, part in found["properties"].items()}
    assert kinds == {
        "artist": "string", "minutes": "integer", "volume": "number", "tags": "array"
    }  # fmt: skip
    assert found["properties"]["tags"]["items"] == {"type": "string"}
    assert "optional" not in found["properties"]["minutes"]
    assert PLAY["parameters"]["type"] == "dict", "the judge wants the data as it was"


def test_questions_come_with_tools_and_answers(folder):
    found = questions(folder, ["live_simple", "parallel"])
    assert [each.kind for each in found] == ["live_simple"] * 6 + ["parallel"] * 6
    assert text_of(found[6].messages[0]) == "Play singer 0-0 and singer 0-1 for 5 minutes."
    assert found[0].tools[0].name == "music.play"
    assert len(found[6].wanted) == 2
    (folder / "possible_answer" / "BFCL_v4_parallel.json").write_text("")
    with pytest.raises(FormatError, match="parallel_0"):
        questions(folder, ["parallel"])


@pytest.mark.parametrize(
    ("calls", "failure", "wanted"),
    [
        ([play(artist="a", minutes=5)], "", ""),
        ([play(artist="a", minutes=5), play(artist="b", minutes=1, volume=0.5)], "", ""),
        ([], "", "no call"),
        ([], "The context is too short.", "failed"),
        ([("music.play", '{"artist": "a", ')], "", "no JSON"),
        ([("music.play", '"a"')], "", "no JSON"),
        ([("music_play", "{}")], "", "unknown name"),
        ([play(artist="a")], "", "breaks the schema"),
        ([play(artist="a", minutes="5")], "", "breaks the schema"),
        ([play(artist="a", minutes=5, song="x")], "", "breaks the schema"),
        ([play(artist="a"), ("x", "{}"), ("music.play", "[")], "", "no JSON"),
    ],
)
def test_what_makes_an_answer_malformed(folder, calls, failure, wanted):
    (question, *_) = questions(folder, ["parallel"])
    assert fault(row(calls, failure=failure), question) == wanted


def test_rows_go_on_after_half_a_line(tmp_path):
    rows = Rows(tmp_path / "rows.jsonl", HEAD)
    rows.add(row([play(artist="日本", minutes=5)]))
    with rows.path.open("ab") as file:
        file.write(b'{"arm": "fr')
    again = Rows(rows.path, HEAD)
    assert meant(again.rows["free", "parallel_0"]) == [
        ("music.play", {"artist": "日本", "minutes": 5})
    ]
    again.add(row([], id_="parallel_1"))
    assert len(Rows(rows.path, HEAD).rows) == 2
    with pytest.raises(FormatError, match="another run"):
        Rows(rows.path, {**HEAD, "model": "other"})


def calls_as_asked(request: Request) -> Reply:
    """Calls for everybody who is named; without the second argument for even places."""
    asked = text_of(request.prompt[-1]).removeprefix("Play ").removesuffix(" for 5 minutes.")
    names = asked.split(" and ")
    must = request.tool_choice.mode == "required"
    even = int(names[0].split()[1].partition("-")[0]) % 2 == 0
    value = {"minutes": 5} if must or not even else {"minutes": "five"}
    return Reply(calls=tuple(Call("music.play", {"artist": name, **value}) for name in names))


def judged(question, calls) -> str:
    """The judge's rule for these questions, in short."""
    wanted = [
        {key: value[0] for key, value in each["music.play"].items()} for each in question.wanted
    ]
    return "" if [arguments for _, arguments in calls] == wanted else "wrong"


async def test_a_small_run_that_is_cut_off_goes_on(folder, tmp_path):
    asked = Asked(questions(folder, bfcl.SETS), ("free", "required"), 100, 3)
    count = 0

    def breaks(request: Request) -> Reply:
        nonlocal count
        count += 1
        if count == 12:
            raise ProviderError("gone")
        return calls_as_asked(request)

    cut = Rows(tmp_path / "cut.jsonl", HEAD)
    lines: list[str] = []
    with pytest.raises(ProviderError):
        await measure(dict.fromkeys(report.ARMS, ScriptedLM(breaks)), asked, cut, lines.append)
    assert 0 < len(cut.rows) < 24
    model = ScriptedLM(calls_as_asked)
    await measure(dict.fromkeys(report.ARMS, model), asked, Rows(cut.path, HEAD), lines.append)
    rows = Rows(cut.path, HEAD).rows
    assert len(rows) == len(cut.path.read_text().splitlines()) - 1 == 24
    assert len(model.requests) == 24 - len(cut.rows)
    said = report.text("scripted", rows, asked.questions, asked.arms, judged)
    assert "of 6 malformed answers, 6 are gone" in said
    assert "wanted at least 0.95: reached" in said
    assert "right among the 6 that were well formed without: +0.0" in said
    assert "| held to nothing | 18 | 9 | 0 | 0 | 0 | 6 | 0 | 50.0 (" in said
    assert "12/12: 100.0" in said


def test_a_loss_is_seen(folder):
    asked = questions(folder, ["live_simple"])
    good, bad = play(artist="x", minutes=5), play(artist="y", minutes=5)
    rows = {}
    for question in asked:
        artist = question.wanted[0]["music.play"]["artist"][0]
        right = play(artist=artist, minutes=5)
        rows["free", question.id] = row([right], id_=question.id)
        rows["required", question.id] = row([bad], arm="required", id_=question.id)
    assert good != bad
    said = report.text("m", rows, asked, ("free", "required"), judged)
    assert "-100.0" in said
    assert "No question" in report.text("m", {}, asked, ("free",), judged)


async def test_the_ways_differ_in_the_form_alone(smollm2_path, folder, tmp_path):
    """With a model that was never taught to call: held, every call of it is whole."""
    asked = Asked(questions(folder, ["live_simple"])[:2], tuple(report.ARMS), 60, 2)
    local = load_local("small", smollm2_path, LoadOptions(1024, 4096))
    try:
        rows = Rows(tmp_path / "rows.jsonl", HEAD)
        await measure(models_of(local, 1024), asked, rows, lambda _: None)
    finally:
        local.close(0.0)
    for question in asked.questions:
        found = {arm: rows.rows[arm, question.id] for arm in report.ARMS}
        assert len({each.prompt_tokens for each in found.values()}) == 1
        assert fault(found["required"], question) == ""
        assert fault(found["auto"], question) in ("", "no call")
        assert found["required"].cached_tokens > 0, "the prompt was read once"


@pytest.mark.skipif(
    "KATARIBE_FETCH" not in os.environ, reason="fetches the package (KATARIBE_FETCH=1)"
)
def test_the_packages_own_judge_takes_right_answers_and_no_others():
    python = bfcl.environment()
    asked = questions(bfcl.data_folder(python), bfcl.SETS)
    assert [sum(each.kind == kind for each in asked) for kind in bfcl.SETS] == [200, 258]
    judge = Judge(python)
    try:
        wrong = 0
        for question in asked[::7]:
            calls = [
                (name, {key: values[0] for key, values in arguments.items() if values[0] != ""})
                for answer in question.wanted
                for name, arguments in answer.items()
            ]
            wrong += bool(judge.verdict(question, calls))
            assert judge.verdict(question, [])
            assert judge.verdict(question, [(f"{calls[0][0]}x", calls[0][1]), *calls[1:]])
            assert judge.verdict(question, [*calls, calls[0]])
        assert wrong <= 2, "some answers of the data are dictionaries of choices themselves"
    finally:
        judge.close()
