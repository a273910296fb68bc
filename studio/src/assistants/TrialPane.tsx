import { use, useState } from "react";

import type { TwoLanguages } from "../api/assistants";
import { useLanguage, useText } from "../i18n";
import { bytes, count } from "../i18n/format";
import { Markdown } from "../prose/Markdown";
import { SettingsContext } from "../settings/context";
import { belongsToInputMethod, isSendKey } from "../ui/composing";
import { Failed } from "../ui/Failed";
import { InfoIcon, SendIcon, StopIcon } from "../ui/icons";
import { useComposition } from "../ui/useComposition";
import { inLanguage } from "./gallery";
import { waiting, type Answer, type Turn } from "./trial";
import { useTrial, type Current, type Trial } from "./useTrial";

interface Props {
  current: Current;
  starters: readonly TwoLanguages[];
}

/** A conversation with the recipe as it is at the moment; nothing of it is kept. */
export function TrialPane({ current, starters }: Props) {
  const text = useText();
  const words = text.assistants;
  const language = useLanguage();
  const trial = useTrial(current);
  const said = starters.map((one) => inLanguage(one, language)).filter((one) => one !== "");
  const pending = waiting(trial.turns.at(-1)?.answer);
  return (
    <div
      className="trial"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || belongsToInputMethod(event.nativeEvent)) return;
        if (!trial.asking) return;
        event.preventDefault();
        trial.stop();
      }}
    >
      {trial.turns.length === 0 ? (
        <div className="stack">
          <p className="small soft">{words.tryWhy}</p>
          {said.map((one) => (
            <button
              key={one}
              type="button"
              className="button example"
              lang=""
              translate="no"
              onClick={() => trial.send(one)}
            >
              {one}
            </button>
          ))}
        </div>
      ) : (
        <ol className="turns">
          {trial.turns.map((turn, index) => (
            <TurnView
              key={index}
              turn={turn}
              onRetry={index === trial.turns.length - 1 ? trial.again : null}
            />
          ))}
        </ol>
      )}
      {pending.length > 0 ? (
        <div className="notice" role="alert">
          <InfoIcon size={18} />
          <div className="row">
            <p>{words.mayRun}</p>
            <button type="button" className="button primary" onClick={() => trial.answer(true)}>
              {words.allow}
            </button>
            <button type="button" className="button" onClick={() => trial.answer(false)}>
              {words.refuse}
            </button>
          </div>
        </div>
      ) : null}
      <Ask trial={trial} />
    </div>
  );
}

function Ask({ trial }: { trial: Trial }) {
  const text = useText();
  const words = text.assistants;
  const { enterSends } = use(SettingsContext).settings;
  const [typed, setTyped] = useState("");
  const { owns, following } = useComposition();
  const send = () => {
    if (trial.asking || typed.trim() === "") return;
    trial.send(typed);
    setTyped("");
  };
  return (
    <div className="stack">
      <textarea
        className="field"
        rows={2}
        aria-label={words.tryLabel}
        placeholder={words.tryLabel}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        {...following}
        onKeyDown={(event) => {
          if (owns(event.nativeEvent) || !isSendKey(event, enterSends)) return;
          event.preventDefault();
          send();
        }}
      />
      <div className="row">
        {/* One button that changes: the focus stays where it was pressed. */}
        <button type="button" className="button primary" onClick={trial.asking ? trial.stop : send}>
          {trial.asking ? <StopIcon size={16} /> : <SendIcon size={16} />}
          {trial.asking ? words.stop : words.ask}
        </button>
        {trial.turns.length > 0 ? (
          <button type="button" className="button quiet" onClick={trial.clear}>
            {words.afresh}
          </button>
        ) : null}
      </div>
    </div>
  );
}

function TurnView({ turn, onRetry }: { turn: Turn; onRetry: (() => void) | null }) {
  const text = useText();
  const words = text.assistants;
  const { question, allowed, answer } = turn;
  return (
    <li className="stack">
      {question === null ? (
        <p className="small soft">{allowed === true ? words.allowed : words.refused}</p>
      ) : (
        <p className="asked" lang="" dir="auto">
          {question}
        </p>
      )}
      <AnswerView answer={answer} onRetry={onRetry} />
    </li>
  );
}

function AnswerView({ answer, onRetry }: { answer: Answer; onRetry: (() => void) | null }) {
  const text = useText();
  const words = text.assistants;
  const asking = answer.state === "asking";
  const pending = waiting(answer);
  return (
    <div className="stack answer" aria-busy={asking}>
      {answer.steps.length > 0 ? (
        <details className="steps">
          <summary className="small soft">{words.steps(String(answer.steps.length))}</summary>
          <ol>
            {answer.steps.map(({ name, detail }, index) => (
              <li key={index} className="small">
                <code>{name}</code>{" "}
                <span lang="" dir="auto">
                  {detail}
                </span>
              </li>
            ))}
          </ol>
        </details>
      ) : null}
      {answer.reasoning === "" ? null : (
        <details>
          <summary className="small soft">{words.thoughts}</summary>
          <p className="words soft" lang="" dir="auto">
            {answer.reasoning}
          </p>
        </details>
      )}
      {answer.text === "" ? null : (
        <div className="words" role="region" aria-label={words.reply} lang="" dir="auto">
          <Markdown text={answer.text} />
        </div>
      )}
      {pending.map((call) => (
        <p key={call.id} className="small">
          {words.wantsTool} <code>{call.name}</code> <code>{call.arguments}</code>
        </p>
      ))}
      {answer.failure ? <Failed failure={answer.failure} onRetry={onRetry} /> : null}
      <Ending answer={answer} />
    </div>
  );
}

function Ending({ answer }: { answer: Answer }) {
  const text = useText();
  const language = useLanguage();
  const words = text.assistants;
  const { state, progress, tokens } = answer;
  if (state === "asking") {
    const show = progress?.stage === "loading" ? bytes : count;
    const amount = progress === null ? "" : show(language, progress.done);
    const silent = answer.text === "" && answer.reasoning === "";
    return silent ? (
      <p className="small soft numbers" role="status">
        {progress === null ? words.waiting : words.progress[progress.stage](amount)}
      </p>
    ) : null;
  }
  if (state === "failed") return null;
  return (
    <p className="small soft numbers" role="status">
      {state === "stopped" ? words.stopped : ""}
      {tokens === null ? "" : words.tokens(count(language, tokens))}
      {answer.reason === "" || answer.reason === "stop" || answer.reason === "approval" ? null : (
        <>
          {" "}
          <code>{answer.reason}</code>
        </>
      )}
    </p>
  );
}
