import { useState } from "react";

import { useTalk } from "../conversation/context";
import type { Id, Message } from "../conversation/types";
import { usePlace } from "../chat/place";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { count, decimal } from "../i18n/format";
import { CheckIcon, ClockIcon, CloseIcon, StopIcon } from "../ui/icons";
import { askAgain } from "./askAgain";
import { Arguments } from "./Arguments";
import type { ShownStep, Step, StepState } from "./arrange";
import { Long } from "./Long";
import { ThoughtTree } from "./ThoughtTree";
import { readTree } from "./tree";
import { readVote } from "./vote";
import { VoteTable } from "./VoteTable";

const ICONS = { running: ClockIcon, ok: CheckIcon, failed: CloseIcon, cut: StopIcon } as const;

/** Steps whose line is the server's own sentence, in English; the others' a model's or a tool's. */
const OURS = new Set(["limit", "route", "guard", "compacted", "kept", "again", "examples"]);

/** One step: what it was, how it stands, how long it took, and what was said. */
export function StepRow({ shown, reply }: { shown: ShownStep; reply: Message }) {
  const text = useText();
  const { step, tool, state } = shown;
  return (
    <li className="step" data-state={state}>
      <div className="head">
        <State state={state} />
        <span className="kind">
          {kindOf(text, shown)}
          {tool === null ? null : (
            <>
              {" "}
              <code translate="no">{tool}</code>
            </>
          )}
        </span>
        <Numbers shown={shown} />
      </div>
      {step.name === "tree" ? (
        <TreeOf step={step} />
      ) : step.name === "vote" ? (
        <VoteOf step={step} />
      ) : (
        <Said shown={shown} />
      )}
      <Answered shown={shown} model={reply.model ?? ""} reply={reply.id} />
    </li>
  );
}

function State({ state }: { state: StepState }) {
  const words = useText().steps.state[state];
  const Icon = ICONS[state];
  return (
    <span className="state" title={words}>
      <Icon size={14} />
      <span className="unseen">{words}</span>
    </span>
  );
}

/** The kind of a step in words; a kind that is not known here goes by its own name. */
export function kindOf(text: Catalogue, { step, tool }: ShownStep): string {
  const kinds: Record<string, string> = text.steps.kinds;
  const memory = tool === "remember" || tool === "recall" ? kinds[tool] : undefined;
  if (step.name === "more") return text.steps.more(String(step.left));
  return memory ?? kinds[step.name] ?? step.name;
}

function Numbers({ shown }: { shown: ShownStep }) {
  const text = useText();
  const language = useLanguage();
  const seconds = (value: number) => decimal(language, value, value < 10 ? 1 : 0);
  const parts = [
    shown.took === null
      ? text.steps.at(seconds(shown.step.at))
      : text.steps.took(seconds(shown.took)),
  ];
  if (shown.tokens !== null) parts.push(text.steps.tokens(count(language, shown.tokens)));
  return <span className="numbers">{parts.join(" · ")}</span>;
}

function Said({ shown }: { shown: ShownStep }) {
  const text = useText();
  const { step, outcome, tool } = shown;
  if (step.name === "more") return null;
  const round = /^(\d+) of at most (\d+)$/.exec(step.line);
  if (step.name === "step" && round)
    return <p className="small soft">{text.steps.round(round[1] ?? "", round[2] ?? "")}</p>;
  if (tool === null) return <Words step={step} />;
  return (
    <div className="call">
      {step.name === "call" || step.name === "action" ? (
        <Arguments written={argumentsOf(step, tool)} />
      ) : (
        <Words step={step} />
      )}
      {outcome ? (
        <details>
          <summary>{text.steps.result}</summary>
          <Long text={resultOf(outcome, tool)} left={outcome.left} />
        </details>
      ) : null}
    </div>
  );
}

function Words({ step }: { step: Step }) {
  const words = step.content === "" ? step.line : step.content;
  if (words === "") return null;
  const said = <Long text={words} left={step.left} />;
  return OURS.has(step.name) ? <div lang="en">{said}</div> : said;
}

/** A call's arguments: its content, or what its line has behind the tool's name. */
function argumentsOf({ content, line }: Step, tool: string): string {
  const whole = content === "" ? line : content;
  return whole.startsWith(`${tool} `) ? whole.slice(tool.length + 1) : whole === tool ? "" : whole;
}

function resultOf({ content, line }: Step, tool: string): string {
  if (content !== "") return content;
  return line.startsWith(`${tool}: `) ? line.slice(tool.length + 2) : line;
}

function TreeOf({ step }: { step: Step }) {
  const tree = readTree(step.content);
  return tree === null ? <Words step={step} /> : <ThoughtTree tree={tree} />;
}

/** Replies of earlier versions have the vote in words alone. */
function VoteOf({ step }: { step: Step }) {
  const vote = readVote(step.content);
  if (vote !== null) return <VoteTable vote={vote} />;
  return step.line === "" ? null : (
    <div lang="en">
      <Long text={step.line} left={0} />
    </div>
  );
}

interface AnsweredProps {
  shown: ShownStep;
  model: string;
  reply: Id;
}

/** Who allowed a call; and where that was for good, the way to take it back. */
function Answered({ shown: { answer, tool }, model, reply }: AnsweredProps) {
  const text = useText();
  const { chats } = useTalk();
  const { conversation } = usePlace();
  const [taken, setTaken] = useState(false);
  if (answer === null) return null;
  const said =
    answer.approved || answer.by === "time"
      ? text.steps.allowedBy[answer.by]
      : text.steps.refusedBy;
  return (
    <p className="small soft answer">
      {said}
      {answer.why === "" || answer.by === "time" ? null : (
        <>
          {" "}
          <q dir="auto" className="sample">
            {answer.why}
          </q>
        </>
      )}
      {answer.by === "always" && tool !== null && !taken ? (
        <button
          type="button"
          className="button quiet"
          onClick={() => {
            void askAgain(chats, conversation, model, tool, reply).then(setTaken);
          }}
        >
          {text.steps.askAgain}
        </button>
      ) : null}
    </p>
  );
}
