import { useMemo } from "react";

import type { Place } from "../chat/place";
import { PlaceContext } from "../chat/place";
import type { Message } from "../conversation/types";
import { useLanguage, useText } from "../i18n";
import { bytes, count, decimal, short } from "../i18n/format";
import { useSeconds } from "../models/useSeconds";
import { StepsView } from "../steps/StepsView";
import { Failed } from "../ui/Failed";
import { RunIcon, StopIcon } from "../ui/icons";
import { cellKey, type Answer, type Column } from "./bench";
import type { Row } from "./rows";
import { useBefore, useCell, type BenchRun } from "./useBench";

interface Props {
  bench: BenchRun;
  column: Column;
  row: Row;
  /** What people call them. */
  names: { way: string; row: string };
  can: boolean;
}

/** The answers of one way to one input. Its height is fixed: nothing jumps while it is written. */
export function CellView({ bench, column, row, names, can }: Props) {
  const text = useText();
  const words = text.prompts;
  const key = cellKey(column.id, row.id);
  const answers = useCell(bench.queue, key);
  const busy = answers.some(({ state }) => state === "queued" || state === "asking");
  const run = () => bench.run(column, row);
  return (
    <div className="cell" aria-busy={busy}>
      <div
        className="said"
        role="region"
        tabIndex={0}
        aria-label={words.answerOf(names.way, names.row)}
      >
        {answers.length === 0 ? <p className="small soft">{words.notRun}</p> : null}
        {answers.map((answer, at) => (
          <AnswerView
            key={at}
            answer={answer}
            model={column.model}
            cell={key}
            at={at}
            of={answers.length}
            bench={bench}
            onRetry={run}
          />
        ))}
      </div>
      {/* One button that changes: the focus stays where it was pressed. */}
      <button
        type="button"
        className="button quiet"
        aria-disabled={!can && !busy}
        aria-label={
          busy ? words.stopCellOf(names.way, names.row) : words.runCellOf(names.way, names.row)
        }
        onClick={() => {
          if (busy) bench.queue.stop(key);
          else if (can) run();
        }}
      >
        {busy ? <StopIcon size={16} /> : <RunIcon size={16} />}
        {busy ? words.stopCell : words.runCell}
      </button>
    </div>
  );
}

/** Steps stand here without a conversation: nothing in them can be taken back or edited. */
const NOWHERE: Place = {
  conversation: "",
  how: null,
  models: [],
  editing: null,
  edit: () => undefined,
  lookInside: () => undefined,
  takeBack: () => undefined,
  toField: () => undefined,
};

interface AnswerProps {
  answer: Answer;
  model: string;
  cell: string;
  /** Its place among the repeats, from 0. */
  at: number;
  of: number;
  bench: BenchRun;
  onRetry: () => void;
}

function AnswerView({ answer, model, cell, at, of, bench, onRetry }: AnswerProps) {
  const words = useText().prompts;
  const language = useLanguage();
  const { state, text, reasoning, failure } = answer;
  const reply = useMemo(() => asReply(answer, model), [answer, model]);
  return (
    <article className="one">
      {of > 1 ? (
        <p className="small soft numbers">
          {words.repeat(count(language, at + 1), count(language, of))}
        </p>
      ) : null}
      {answer.steps.length > 0 ? (
        <PlaceContext value={NOWHERE}>
          <StepsView reply={reply} secret={false} />
        </PlaceContext>
      ) : null}
      {reasoning === "" ? null : (
        <details>
          <summary className="small soft">{words.thoughts}</summary>
          <p className="sample soft" lang="" dir="auto">
            {reasoning}
          </p>
        </details>
      )}
      {text === "" ? null : (
        <p className="sample answer-words" lang="" dir="auto">
          {text}
        </p>
      )}
      {state === "queued" ? <InLine bench={bench} cell={cell} at={at} /> : null}
      {state === "asking" ? <Waiting answer={answer} /> : null}
      {failure ? <Failed failure={failure} onRetry={onRetry} /> : null}
      {state === "ended" || state === "stopped" ? <Ending answer={answer} /> : null}
    </article>
  );
}

/** An answer as the view of steps knows replies. */
function asReply(answer: Answer, model: string): Message {
  const live = answer.state === "asking";
  return {
    id: "",
    state: live ? "writing" : "done",
    model,
    steps: [...answer.steps],
    consents: [],
    took: answer.took,
  } as unknown as Message;
}

function InLine({ bench, cell, at }: { bench: BenchRun; cell: string; at: number }) {
  const words = useText().prompts;
  const language = useLanguage();
  const before = useBefore(bench.queue, cell, at);
  return <p className="small soft numbers">{words.place(count(language, before))}</p>;
}

function Waiting({ answer }: { answer: Answer }) {
  const text = useText();
  const language = useLanguage();
  const { progress } = answer;
  const seconds = useSeconds(answer.askedAt);
  const show = progress?.stage === "loading" ? bytes : count;
  const what =
    answer.text !== "" || answer.reasoning !== "" || answer.steps.length > 0
      ? ""
      : progress === null
        ? text.prompts.sending
        : text.assistants.progress[progress.stage](show(language, progress.done));
  return (
    <p className="small soft numbers">
      {what} {text.prompts.seconds(count(language, seconds))}
    </p>
  );
}

function Ending({ answer }: { answer: Answer }) {
  const words = useText().prompts;
  const language = useLanguage();
  const { state, tokens, took, dollars, finish, text } = answer;
  const parts: string[] = [];
  if (state === "stopped") parts.push(words.stopped);
  else if (text === "") parts.push(words.empty);
  if (tokens !== null) parts.push(words.tokens(count(language, tokens)));
  if (took !== null) parts.push(words.seconds(decimal(language, took)));
  if (dollars !== null)
    parts.push(dollars === 0 ? words.free : words.money(short(language, dollars)));
  return (
    <p className="small soft numbers">
      {parts.join(" · ")}
      {finish === "" || finish === "stop" ? null : (
        <>
          {" "}
          <code>{finish}</code>
        </>
      )}
    </p>
  );
}
