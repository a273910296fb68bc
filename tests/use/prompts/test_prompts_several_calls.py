"""The techniques of several calls: self-consistency, knowledge, trees, chains."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from technique_events import asked, end, events_of, question, steps, words

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.events import Citation, Step
from kataribe.base.lm import Context, JsonFormat, Request, Sampling
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.run.providers.scripted import EVERYTHING
from kataribe.use.prompts.answers import Answer
from kataribe.use.prompts.chaining import Chaining, ChainingOptions, steps_of
from kataribe.use.prompts.generated_knowledge import (
    GeneratedKnowledge,
    GeneratedKnowledgeOptions,
)
from kataribe.use.prompts.self_consistency import (
    SelfConsistency,
    SelfConsistencyOptions,
    told,
    vote,
)
from kataribe.use.prompts.thought_tree import Thought, Tree, tree_from_json
from kataribe.use.prompts.tree_of_thoughts import (
    TreeOfThoughts,
    TreeOfThoughtsOptions,
    best,
    score_in,
)


def number(value: str) -> Answer:
    return Answer(value, value, "number")


# --- self-consistency ---------------------------------------------------------------------------


async def test_the_answer_with_most_votes_wins_and_its_first_path_is_the_reply():
    texts = ["Hm.\nAnswer: 41", "So.\nAnswer: $42.00", "No idea", "Thus.\nAnswer: 42", "Answer: 7"]
    inner = ScriptedLM(texts)
    lm = SelfConsistency(inner, SelfConsistencyOptions(paths=5, answers="number", at_once=1))
    events = await events_of(lm)
    assert words(events) == "So.\nAnswer: $42.00"
    assert steps(events, "path")[1] == "2 of 5: 42. So. Answer: $42.00"
    assert steps(events, "path")[2] == "3 of 5: no answer. No idea"
    assert steps(events, "vote") == ["42: 2, 41: 1, 7: 1, without an answer: 1; confidence 40%"]


NO_SAMPLING = dataclasses.replace(EVERYTHING, lacks=frozenset({"temperature", "seed"}))


async def test_a_model_that_takes_no_temperature_is_asked_without_and_that_is_said_once():
    inner = ScriptedLM("Answer: 42", capabilities=NO_SAMPLING)
    events = await events_of(SelfConsistency(inner, SelfConsistencyOptions(paths=3)))
    assert [request.sampling.temperature for request in inner.requests] == [None] * 3
    (said,) = steps(events, "left out")
    assert said == "chain-of-thought over scripted takes no temperature, so it was asked without."
    assert words(events) == "Answer: 42"


async def test_a_temperature_that_the_person_asks_for_is_refused_by_name():
    inner = ScriptedLM("Answer: 42", capabilities=NO_SAMPLING)
    lm = SelfConsistency(inner, SelfConsistencyOptions(paths=3))
    for request in (question(sampling=Sampling(temperature=0.9)), question(seed=3)):
        with pytest.raises(UnsupportedError, match="takes no"):
            await events_of(lm, request)
    assert inner.requests == []


async def test_a_host_that_refuses_a_temperature_only_when_asked_is_asked_again():
    def script(request):
        if request.sampling.temperature is not None:
            return InputError("Unsupported value: 'temperature'.", param="temperature")
        return "Answer: 42"

    inner = ScriptedLM(script)
    events = await events_of(SelfConsistency(inner, SelfConsistencyOptions(paths=2, at_once=1)))
    assert words(events) == "Answer: 42"
    assert len(steps(events, "left out")) == 1


async def test_thoughts_and_their_judge_do_without_a_temperature():
    inner = ScriptedLM("Step.\nScore: 8", capabilities=NO_SAMPLING)
    lm = TreeOfThoughts(inner, TreeOfThoughtsOptions(depth=1))
    assert end(await events_of(lm)).reason == "stop"
    assert {request.sampling.temperature for request in inner.requests} == {None}


@pytest.mark.parametrize(
    ("answers", "winner", "counts", "confidence", "is_tie"),
    [
        ([number("1"), number("2"), number("2")], 1, {"2": 2, "1": 1}, 2 / 3, False),
        ([number("3"), number("2"), number("2"), number("3")], 0, {"3": 2, "2": 2}, 0.5, True),
        ([None, number("5"), None], 1, {"5": 1}, 1 / 3, False),
        ([None, None], None, {}, 0.0, False),
    ],
)
def test_votes(answers, winner, counts, confidence, is_tie):
    found = vote(answers)
    assert (found.winner, dict(found.counts), found.is_tie) == (winner, counts, is_tie)
    assert found.confidence == pytest.approx(confidence)


async def test_votes_and_confidence_are_data_in_the_step():
    lm = ScriptedLM(["Answer: 5", "Answer: 6", "Answer: 5", "No idea."])
    options = SelfConsistencyOptions(paths=4, answers="number", at_once=1)
    events = await events_of(SelfConsistency(lm, options))
    [voted] = [each for each in events if isinstance(each, Step) and each.name == "vote"]
    assert json.loads(voted.content) == {
        "answer": "5",
        "votes": {"5": 2, "6": 1},
        "without_answer": 1,
        "paths": 4,
        "confidence": 0.5,
        "tie": False,
    }


def test_a_vote_without_answers_is_data_too():
    assert json.loads(vote([None, None]).to_json(2)) == {
        "answer": None,
        "votes": {},
        "without_answer": 2,
        "paths": 2,
        "confidence": 0.0,
        "tie": False,
    }


def test_a_tie_and_a_vote_without_answers_are_told():
    assert "a tie" in told(vote([number("1"), number("2")]), 2)
    assert "none of 2 paths" in told(vote([None, None]), 2)


async def test_paths_that_come_late_do_not_win_by_coming_early():
    """The vote is by the order of the paths, whoever is done first."""

    def says(request: Request) -> Reply:
        place = len(inner.requests)
        return Reply(f"Answer: {place}", delay=0.03 / place)

    inner = ScriptedLM(says)
    events = await events_of(SelfConsistency(inner, SelfConsistencyOptions(paths=3)))
    assert words(events) == "Answer: 1"
    assert len(steps(events, "path")) == 3


@pytest.mark.parametrize(("given", "wanted"), [(None, 0.7), (0, 0.7), (0.2, 0.2), (1.3, 1.3)])
async def test_paths_are_drawn_with_some_temperature(given, wanted):
    inner = ScriptedLM("Answer: 1")
    await events_of(SelfConsistency(inner), question(sampling=Sampling(temperature=given)))
    assert {request.sampling.temperature for request in inner.requests} == {wanted}
    assert len(inner.requests) == 5


def test_a_temperature_of_zero_makes_no_vote():
    with pytest.raises(InputError, match="all paths would be the same"):
        SelfConsistencyOptions(temperature=0)


async def test_a_vote_on_json_sees_through_its_spelling():
    forms = ['{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}', '{"a": 2}']
    inner = ScriptedLM([forms[2], forms[0], forms[1]])
    lm = SelfConsistency(inner, SelfConsistencyOptions(paths=3, think=False, at_once=1))
    events = await events_of(lm, question(response_format=JsonFormat()))
    assert words(events) == forms[0]
    assert asked(inner) == ["What is 6 times 7?"] * 3
    assert "confidence 67%" in steps(events, "vote")[0]


async def test_the_winning_path_keeps_its_reasoning_sources_and_reason():
    source = Citation("book", 0, 6, "q")
    line = Reply("Answer: 1", reasoning="Hm.", citations=(source,), reason="length")
    lm = SelfConsistency(ScriptedLM(line), SelfConsistencyOptions(paths=2))
    events = await events_of(lm)
    assert [event for event in events if isinstance(event, Citation)] == [source]
    assert end(events).reason == "length"


async def test_a_limit_while_paths_are_drawn_replies_with_the_best_so_far():
    lines = [Reply("Answer: 1"), Reply("Answer: 2"), Reply("Answer: 2"), Reply("", reason="budget")]
    lm = SelfConsistency(ScriptedLM(lines), SelfConsistencyOptions(paths=5, at_once=1))
    events = await events_of(lm)
    assert words(events) == "Answer: 2"
    assert end(events).reason == "budget"
    assert steps(events, "so far") == ["3 of 5 paths ended. 2: 2, 1: 1; confidence 67%"]


async def test_a_deadline_between_paths_replies_with_the_best_so_far():
    inner = ScriptedLM(lambda _: Reply("Answer: 1", delay=0.45))
    lm = SelfConsistency(inner, SelfConsistencyOptions(paths=9, at_once=1))
    context = Context(deadline=time.monotonic() + 1.0)
    events = await events_of(lm, question(context=context))
    assert (words(events), end(events).reason) == ("Answer: 1", "deadline")
    assert 1 <= len(inner.requests) < 9


# --- generated knowledge ------------------------------------------------------------------------


async def test_knowledge_is_drawn_then_used():
    inner = ScriptedLM(["Sevens\nodd.", "Six is even.", "Sevens odd.", "It is 42."])
    lm = GeneratedKnowledge(inner, GeneratedKnowledgeOptions(at_once=1))
    events = await events_of(lm, question(stop=("#",)))
    assert words(events) == "It is 42."
    assert steps(events, "knowledge") == ["Sevens odd.", "Six is even.", "Sevens odd."]
    last = asked(inner)[-1]
    assert last.startswith("What is 6 times 7?")
    assert last.endswith("\n- Sevens odd.\n- Six is even.")
    assert [request.stop for request in inner.requests] == [(), (), (), ("#",)]


async def test_without_knowledge_the_question_stays_as_it_is():
    inner = ScriptedLM(["", "", "", "It is 42."])
    events = await events_of(GeneratedKnowledge(inner))
    assert asked(inner)[-1] == "What is 6 times 7?"
    assert steps(events, "knowledge") == ["nothing came"] * 3


# --- tree of thoughts ---------------------------------------------------------------------------

SCORES = {"left": 3, "right": 9, "right left": 4, "right right": 8, "left left": 1}


def grow(request: Request) -> str:
    """Thoughts are `left` and `right` by turns; the judge likes the right ones."""
    last = text_of(request.prompt[-1])
    path = " ".join(line.split(". ")[1] for line in last.splitlines() if line[:1].isdigit())
    if "Score" in last:
        return f"Checked.\nScore: {SCORES.get(path, 2)}/10"
    if "These steps lead" in last:
        return "Answer: right"
    return ("left", "right")[request.seed % 2]


async def test_the_best_of_each_level_are_followed():
    judge, inner = ScriptedLM(grow, name="judge"), ScriptedLM(grow)
    options = TreeOfThoughtsOptions(breadth=1, branches=4, depth=2)
    lm = TreeOfThoughts(inner, options, judge=judge)
    events = await events_of(lm, question(seed=1))
    tree = tree_from_json(steps(events, "tree")[0])
    assert len(tree.thoughts) == 8
    assert len(judge.requests) == 8
    assert len(inner.requests) == 9
    assert [thought.text for thought in tree.path_to(tree.chosen[-1])] == ["right", "right"]
    kept = [thought.text for thought in tree.thoughts if thought.is_kept]
    assert kept == ["right", "right"]
    assert all(thought.parent in ("", tree.chosen[0]) for thought in tree.thoughts)
    assert asked(inner)[-1].count("right") == 2
    assert words(events) == "Answer: right"
    assert {request.sampling.temperature for request in judge.requests} == {0}
    thoughts = [r for r in inner.requests if "Steps so far" in text_of(r.prompt[-1])]
    assert {request.sampling.temperature for request in thoughts} == {0.7}


async def test_the_tree_is_the_same_whoever_is_done_first():
    def slowly(request: Request) -> Reply:
        return Reply(grow(request), delay=(request.seed % 7) / 500)

    found = []
    for says, at_once in ((grow, 1), (slowly, 4), (slowly, 9)):
        options = TreeOfThoughtsOptions(breadth=2, branches=3, depth=2, at_once=at_once)
        events = await events_of(TreeOfThoughts(ScriptedLM(says), options), question(seed=5))
        found.append(steps(events, "tree"))
    assert found[0] == found[1] == found[2]


async def test_a_thought_that_answers_ends_the_search_when_it_is_the_best():
    def says(request: Request) -> str:
        last = text_of(request.prompt[-1])
        return "Score: 9" if "Score" in last else "Answer: 42"

    inner = ScriptedLM(says)
    events = await events_of(TreeOfThoughts(inner, TreeOfThoughtsOptions(branches=2)))
    tree = tree_from_json(steps(events, "tree")[0])
    assert [thought.id for thought in tree.thoughts] == ["1", "2"]
    # Both say the same, so only the first is kept.
    assert [thought.is_kept for thought in tree.thoughts] == [True, False]
    assert len(inner.requests) == 5


def test_the_best_are_by_score_and_no_thought_twice():
    def thought(id_: str, text: str, score: float, parent: str = "") -> Thought:
        return Thought(id_, parent, text, score)

    four = [
        thought("1", "a", 5),
        thought("2", "a ", 5),
        thought("3", "b", 5),
        thought("4", "c", 7),
        thought("1.1", "a", 5, "1"),
    ]
    assert [each.id for each in best(four, 4)] == ["4", "1", "3", "1.1"]


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        ("Good.\nScore: 8", 8),
        ("**Score:** 7/10", 7),
        ("点数:９", 9),
        ("Score: 3\nNo.\nScore: 4", 4),
        ("I would say 6", 6),
        ("Score: 11", None),
        ("Score: 0", None),
        ("no idea", None),
        ("", None),
        ("Score: 7.5", 7.5),
        ("Score: 7 / 10", 7),
        ("Score: 10/3", None),
    ],
)
def test_scores_of_a_judge(verdict, score):
    found = score_in(verdict)
    assert found == (pytest.approx(score) if score is not None else None)


def test_a_tree_survives_json():
    tree = Tree((Thought("1", "", "考え", 7.5, is_kept=True), Thought("1.1", "1", "b")), ("1",))
    assert tree_from_json(tree.to_json()) == tree
    for bad in ("", "[]", '{"thoughts": [{"x": 1}], "chosen": []}', json.dumps({"chosen": []})):
        with pytest.raises(InputError, match="no tree of thoughts"):
            tree_from_json(bad)


# --- chaining -----------------------------------------------------------------------------------


async def test_the_plan_first_then_each_step_then_the_whole():
    inner = ScriptedLM(["1. Add.\n2) **Multiply.**\n", "added", "multiplied", "Done."])
    form = JsonFormat()
    events = await events_of(Chaining(inner), question("Do sums.", response_format=form))
    assert steps(events) == [
        "plan: 1. Add. 2) **Multiply.**",
        "work: 1 of 2: Add.: added",
        "work: 2 of 2: Multiply.: multiplied",
    ]
    prompts = asked(inner)
    assert "Do step 1 now: Add." in prompts[1]
    assert "(nothing yet)" in prompts[1]
    assert "1. added" in prompts[2]
    assert prompts[3].startswith("Do sums.\n\n")
    assert "1. added\n2. multiplied" in prompts[3]
    assert [request.response_format == form for request in inner.requests] == [0, 0, 0, 1]
    assert words(events) == "Done."


@pytest.mark.parametrize(
    ("plan", "most", "steps"),
    [
        ("Plan:\n1. a\n2. b", 5, ["a", "b"]),
        ("手順1: 調べる\n手順2: 書く", 5, ["調べる", "書く"]),
        ("１．調べる\n２．書く", 5, ["調べる", "書く"]),
        ("Step 1: a\nStep 2: b", 5, ["a", "b"]),
        ("- a\n- b", 5, ["a", "b"]),
        ("Just do it.", 5, ["Just do it."]),
        ("1. a\n2. b\n3. c\n4. d", 2, ["a", "b; c; d"]),
        ("1. a\n2. b", 1, ["a; b"]),
        ("", 5, []),
    ],
)
def test_steps_of_plans(plan, most, steps):
    assert steps_of(plan, most) == steps


async def test_an_empty_plan_goes_straight_to_the_answer():
    inner = ScriptedLM(["", "Done."])
    assert words(await events_of(Chaining(inner))) == "Done."


async def test_a_limit_in_the_middle_replies_with_what_is_done():
    lines = ["1. a\n2. b", "first result", Reply("half", reason="deadline", detail="3 s")]
    events = await events_of(Chaining(ScriptedLM(lines), ChainingOptions(3)))
    assert words(events) == "1. first result"
    assert steps(events, "so far") == ["1 of 2 steps are done"]
    assert (end(events).reason, end(events).detail) == ("deadline", "3 s")


async def test_a_limit_before_the_first_word_of_the_reply_gives_what_is_done():
    lines = ["1. a", "first result", Reply("", reason="deadline")]
    events = await events_of(Chaining(ScriptedLM(lines)))
    assert words(events) == "1. first result"
    assert steps(events, "so far") == ["all 1 steps are done, but not put together"]
    lines = ["1. a", "first result", Reply("It beg", reason="deadline")]
    events = await events_of(Chaining(ScriptedLM(lines)))
    assert (words(events), end(events).reason) == ("It beg", "deadline")


async def test_what_follows_the_users_turn_is_refused():
    messages = (text_message("user", "Hi"), text_message("assistant", "Hello."))
    with pytest.raises(UnsupportedError, match="must be the last message") as refused:
        await events_of(Chaining(ScriptedLM()), Request(messages))
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        (SelfConsistencyOptions, "paths", 1),
        (SelfConsistencyOptions, "at_once", 0),
        (GeneratedKnowledgeOptions, "statements", 0),
        (TreeOfThoughtsOptions, "breadth", 11),
        (TreeOfThoughtsOptions, "depth", 0),
        (TreeOfThoughtsOptions, "temperature", float("nan")),
        (ChainingOptions, "most_steps", 0),
    ],
)
def test_options_have_limits_that_are_told(options, field, value):
    with pytest.raises(InputError, match=f"{field} is .*, but must be at least") as refused:
        dataclasses.replace(options(), **{field: value})
    assert refused.value.param == field
