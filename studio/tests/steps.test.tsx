import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { Shelf } from "../src/conversation/shelf";
import type { Message } from "../src/conversation/types";
import {
  arranged,
  canResume,
  namedArguments,
  summed,
  unanswered,
  waitingOf,
  type Round,
  type Step,
} from "../src/steps/arrange";
import { shortened } from "../src/steps/Long";
import { ThoughtTree } from "../src/steps/ThoughtTree";
import { placed, readTree } from "../src/steps/tree";
import { readVote } from "../src/steps/vote";
import { VoteTable } from "../src/steps/VoteTable";

function step(name: string, line: string, more: Partial<Step> = {}): Step {
  return { name, line, content: "", left: 0, call: "", at: 0, tokens: 0, ...more };
}

function round(answers: Round["answers"] = {}): Round {
  const calls = [{ id: "call_1", name: "send", arguments: '{"to": "ann"}' }];
  return { calls, answers, asked_at: 1, until: 2 };
}

const YES: Round["answers"] = { call_1: { approved: true, why: "", by: "person" } };

function reply(more: Partial<Message> = {}): Message {
  return { ...BLANK, ...more };
}

const BLANK: Message = {
  id: "r",
  parent: "q",
  role: "assistant",
  state: "done",
  text: "",
  reasoning: "",
  model: "agent",
  group: null,
  asked: {},
  sources: [],
  attachments: [],
  finish: null,
  detail: "",
  failure: null,
  progress: null,
  usage: null,
  first_after: null,
  took: null,
  rating: 0,
  remark: "",
  created_at: 0,
  steps: [],
  consents: [],
};

const CALL = step("call", "times {}", { call: "c1", at: 1, tokens: 10 });
const RESULT = step("result", "times: 42", { call: "c1", at: 3.5, tokens: 10 });

describe("arranged", () => {
  it("joins a call with what came of it, also when others stand between", () => {
    const other = step("call", "clock {}", { call: "c2", at: 1 });
    const failed = step("failed", "clock: no", { call: "c2", at: 2 });
    const found = arranged(reply({ steps: [CALL, other, failed, RESULT] }));
    expect(found.map(({ tool, state, took }) => [tool, state, took])).toEqual([
      ["times", "ok", 2.5],
      ["clock", "failed", 1],
    ]);
  });

  it("knows what still runs, and what was cut when the reply ended", () => {
    const states = (state: Message["state"], steps: Step[]) =>
      arranged(reply({ state, steps })).map((one) => one.state);
    expect(states("waiting", [CALL])).toEqual(["running"]);
    expect(states("stopped", [CALL])).toEqual(["cut"]);
    expect(states("waiting", [step("think", "x")])).toEqual(["running"]);
    expect(states("waiting", [step("think", "x"), step("thought", "y")])).toEqual(["ok", "ok"]);
    expect(states("done", [step("think", "x")])).toEqual(["ok"]);
  });

  it("takes refusals, and errors that a model is told, for failures", () => {
    const steps = [
      step("refused", "send: The user did not allow this call.", { call: "c3" }),
      step("action", "times x", { call: "a" }),
      step("observation", "Error: x is no number.", { call: "a" }),
      step("checked", "1 is not done: no figures"),
      step("checked", "1 is done: good"),
    ];
    expect(arranged(reply({ steps })).map(({ state }) => state)).toEqual([
      "failed",
      "failed",
      "failed",
      "ok",
    ]);
  });

  it("gives each step the tokens that came since the one before", () => {
    const steps = [
      step("path", "1", { tokens: 30 }),
      step("path", "2", { tokens: 70 }),
      step("vote", "3", { tokens: 70 }),
    ];
    expect(arranged(reply({ steps })).map(({ tokens }) => tokens)).toEqual([30, 40, null]);
  });

  it("says who allowed a call", () => {
    const steps = [step("call", "send {}", { call: "call_1" })];
    const [found] = arranged(reply({ steps, consents: [round(YES)] }));
    expect(found?.answer?.by).toBe("person");
  });
});

it("sums up in one line", () => {
  const more = step("more", "", { left: 7, at: 9 });
  const shown = arranged(reply({ steps: [CALL, RESULT, step("vote", "x", { at: 8 }), more] }));
  expect(summed(shown)).toEqual({ steps: 9, calls: 1, failed: 0, seconds: 9 });
});

describe("consent", () => {
  it("waits while the reply lives, and after a restart", () => {
    const waits = (state: Message["state"], answers = {}) =>
      waitingOf(reply({ state, consents: [round(answers)] })).length;
    expect([waits("waiting"), waits("writing"), waits("interrupted")]).toEqual([1, 1, 1]);
    expect([waits("stopped"), waits("done"), waits("failed")]).toEqual([0, 0, 0]);
    expect(waits("waiting", YES)).toBe(0);
  });

  it("is said to have had no answer where the reply ended before one", () => {
    expect(unanswered(reply({ state: "stopped", consents: [round()] }))).toHaveLength(1);
    expect(unanswered(reply({ state: "stopped", consents: [round(YES)] }))).toHaveLength(0);
    expect(unanswered(reply({ state: "interrupted", consents: [round()] }))).toHaveLength(0);
  });

  it("lets a cut-off reply go on where all was answered", () => {
    expect(canResume(reply({ state: "interrupted", consents: [round(YES)] }))).toBe(true);
    expect(canResume(reply({ state: "interrupted", consents: [round()] }))).toBe(false);
    expect(canResume(reply({ state: "interrupted" }))).toBe(false);
  });

  it("shows arguments by name, and as they are where they have none", () => {
    expect(namedArguments('{"to": "ann", "n": 2}')).toEqual([
      ["to", "ann"],
      ["n", "2"],
    ]);
    expect(namedArguments("")).toEqual([]);
    expect(namedArguments("[1]")).toBeNull();
    expect(namedArguments("{broken")).toBeNull();
  });
});

describe("the shelf", () => {
  const shelf = () => {
    const made = new Shelf((run) => run());
    made.put(reply({ state: "waiting" }));
    return made;
  };

  it("puts steps in their places, told once or twice", () => {
    const made = shelf();
    expect(made.listed("r", "steps", 0, CALL)).toBe("done");
    expect(made.listed("r", "steps", 0, CALL)).toBe("done");
    expect(made.listed("r", "steps", 1, RESULT)).toBe("done");
    expect(made.get("r")?.steps).toEqual([CALL, RESULT]);
    expect(made.listed("r", "steps", 5, CALL)).toBe("gap");
  });

  it("passes over an older answer with fewer steps", () => {
    const made = shelf();
    made.listed("r", "steps", 0, CALL);
    expect(made.put(reply({ state: "waiting" }))).toBe(false);
    expect(made.get("r")?.steps).toEqual([CALL]);
  });

  it("lets a reply that was cut off live again when it is answered", () => {
    const made = shelf();
    made.put(reply({ state: "interrupted", consents: [round()] }));
    expect(made.put(reply({ state: "waiting", consents: [round(YES)] }))).toBe(true);
    expect(made.put(reply({ state: "interrupted", consents: [round()] }))).toBe(false);
    expect(made.get("r")?.state).toBe("waiting");
  });
});

describe("a tree of thoughts", () => {
  const tree = {
    thoughts: [
      { id: "1", parent: "", text: "a", score: 7, is_kept: true, is_answer: false },
      { id: "2", parent: "", text: "b <b>", score: 0, is_kept: false, is_answer: false },
      { id: "1.1", parent: "1", text: "c", score: 8, is_kept: true, is_answer: true },
      { id: "1.2", parent: "1", text: "d", score: 3, is_kept: false, is_answer: false },
    ],
    chosen: ["1", "1.1"],
  };

  it("is read from a step, and refused where it is none", () => {
    expect(readTree(JSON.stringify(tree))).toEqual(tree);
    for (const bad of ["", "{}", "[]", '{"thoughts":[{}],"chosen":[]}', '{"thoughts":1}'])
      expect(readTree(bad)).toBeNull();
    const below = { ...tree.thoughts[0], id: "" }; // it would stand below itself
    expect(readTree(JSON.stringify({ thoughts: [below], chosen: [] }))).toBeNull();
  });

  it("has its leaves side by side, and each thought above its own", () => {
    const at = Object.fromEntries(placed(tree).map(({ id, x, level }) => [id, [x, level]]));
    expect(at).toEqual({ "1": [0.5, 1], "1.1": [0, 2], "1.2": [1, 2], "2": [2, 1] });
  });

  it("is a picture and a table", () => {
    const page = renderToStaticMarkup(<ThoughtTree tree={tree} />);
    expect(page.match(/<circle/g)).toHaveLength(5); // with the root
    expect(page.match(/class="edge chosen"/g)).toHaveLength(2);
    expect(page).toContain('role="img"');
    expect(page).toContain("4 thoughts; the chosen path ends at 1.1.");
    expect(page.match(/<tr>/g)).toHaveLength(5);
    expect(page).not.toContain("<b>");
  });
});

describe("long texts", () => {
  it("are cut by characters and lines, never within a character", () => {
    expect(shortened("short")).toBe("short");
    expect(shortened("x".repeat(2000))).toHaveLength(600);
    expect(shortened("l\n".repeat(100)).split("\n")).toHaveLength(8);
    expect(shortened(`${"x".repeat(599)}𠮷`)).toBe("x".repeat(599));
  });
});

describe("a vote", () => {
  const told = {
    answer: "41",
    votes: { "7": 2, "41": 2, x: 1 },
    without_answer: 1,
    paths: 6,
    confidence: 1 / 3,
    tie: true,
  };

  it("is read with the winner first, and not out of other things", () => {
    expect(readVote(JSON.stringify(told))?.votes).toEqual([
      ["41", 2],
      ["7", 2],
      ["x", 1],
    ]);
    const broken = [
      { ...told, votes: [1] },
      { ...told, votes: { a: "b" } },
      { votes: {} },
      null,
      5,
    ];
    for (const bad of broken) expect(readVote(JSON.stringify(bad))).toBeNull();
    expect(readVote("42: 2; confidence 40%")).toBeNull();
  });

  it("is a table with what is sure of it", () => {
    const vote = readVote(JSON.stringify(told));
    const page = vote && renderToStaticMarkup(<VoteTable vote={vote} />);
    expect(page).toContain("33%");
    expect(page?.match(/<tr>/g)).toHaveLength(5);
    const none = { ...told, answer: null, votes: {}, tie: false };
    const empty = readVote(JSON.stringify(none));
    expect(empty && renderToStaticMarkup(<VoteTable vote={empty} />)).not.toContain("<table>");
  });
});
