import { use, useEffect, useRef, useState } from "react";

import { testRecipe, tryRecipe, type TestResult, type Unsaved } from "../api/assistants";
import type { Failure } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { SettingsContext } from "../settings/context";
import { FRESH, heard, messagesOf, type Answer, type Turn } from "./trial";

/** Gives the recipe as it is at the moment, once the server has seen it. */
export type Current = () => Promise<Unsaved>;

/** A conversation with a recipe that is not saved; nothing of it is kept. */
export function useTrial(current: Current) {
  const { key } = use(SettingsContext).settings;
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const ask = async (before: readonly Turn[], turn: Omit<Turn, "answer">) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    let answer: Answer = FRESH;
    const all = () => [...before, { ...turn, answer }];
    const show = () => {
      if (running.current === abort) setTurns(all());
    };
    let frame: number | null = null;
    show();
    try {
      const recipe = await current();
      for await (const event of tryRecipe({ key }, recipe, messagesOf(all()), abort.signal)) {
        answer = heard(answer, event);
        // Once per frame, however fast it comes.
        frame ??= requestAnimationFrame(() => {
          frame = null;
          show();
        });
      }
      answer = { ...answer, state: "ended" };
    } catch (error) {
      answer = abort.signal.aborted
        ? { ...answer, state: "stopped" }
        : { ...answer, state: "failed", failure: failureFrom(error as Error) };
    }
    if (frame !== null) cancelAnimationFrame(frame);
    show();
  };

  return {
    turns,
    asking: turns.at(-1)?.answer.state === "asking",
    send: (question: string) => void ask(turns, { question, allowed: null }),
    /** The word on calls that wait. */
    answer: (allowed: boolean) => void ask(turns, { question: null, allowed }),
    /** The last turn once more. */
    again: () => {
      const last = turns.at(-1);
      if (last) void ask(turns.slice(0, -1), { question: last.question, allowed: last.allowed });
    },
    stop: () => running.current?.abort(),
    clear: () => {
      running.current?.abort();
      running.current = null;
      setTurns([]);
    },
  };
}

export type Trial = ReturnType<typeof useTrial>;

export interface Testing {
  state: "idle" | "running" | "ended" | "stopped";
  results: readonly TestResult[];
  failure: Failure | null;
}

/** The recipe's own tests, run one after the other. */
export function useTesting(current: Current) {
  const { key } = use(SettingsContext).settings;
  const [testing, setTesting] = useState<Testing>({ state: "idle", results: [], failure: null });
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = async () => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    let now: Testing = { state: "running", results: [], failure: null };
    const show = (next: Testing) => {
      now = next;
      if (running.current === abort) setTesting(now);
    };
    show(now);
    try {
      for await (const result of testRecipe({ key }, await current(), abort.signal))
        show({ ...now, results: [...now.results, result] });
      show({ ...now, state: "ended" });
    } catch (error) {
      show(
        abort.signal.aborted
          ? { ...now, state: "stopped" }
          : { ...now, state: "ended", failure: failureFrom(error as Error) },
      );
    }
  };
  return { testing, run: () => void run(), stop: () => running.current?.abort() };
}
