import { use, useEffect, useId, useRef, useState } from "react";

import type { ChatEvent, Stage } from "../api/chat";
import type { Failure } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { CATALOGUES, useLanguage, useText } from "../i18n";
import type { Catalogue, Language } from "../i18n/catalogue";
import { bytes, count, decimal } from "../i18n/format";
import { SettingsContext } from "../settings/context";
import { belongsToInputMethod, isSendKey } from "../ui/composing";
import { useComposition } from "../ui/useComposition";
import { Failed } from "../ui/Failed";
import { SendIcon, StopIcon } from "../ui/icons";
import { ask, tokensOfTaste, type Taste } from "./trying";
import { useSeconds } from "./useSeconds";

interface Answer {
  state: "asking" | "ended" | "stopped" | "failed";
  text: string;
  reasoning: string;
  progress: { stage: Stage; done: number; total: number | null } | null;
  /** Of `performance.now()`. */
  askedAt: number;
  took: number;
  tokens: number | null;
  reason: string;
  /** How many were asked for at most. */
  maxTokens: number;
  failure: Failure | null;
}

interface TryProps {
  name: string;
  /** Whether it converses; otherwise it continues a text. */
  chats: boolean;
  /** Those it is good at; none when nobody said. */
  languages: readonly string[];
  /** Tokens of question and reply together; null when nobody knows. */
  context: number | null;
}

/** A question to the model, of which nothing is kept. */
export function TryBox({ name, chats, languages, context }: TryProps) {
  const text = useText();
  const words = text.models.try;
  const { enterSends } = use(SettingsContext).settings;
  const language = useLanguage();
  // A model is not asked in a language that it does not speak.
  const speaks = languages.length === 0 || languages.includes(language);
  const example = (speaks ? text : CATALOGUES.en).models.try.example;
  const [prompt, setPrompt] = useState("");
  const { answer, start, stop } = useTaste();
  const { owns, following } = useComposition();
  const id = useId();
  const asking = answer?.state === "asking";
  const send = () => {
    if (asking) return;
    start({
      model: name,
      prompt: prompt.trim() === "" ? example : prompt,
      chats,
      maxTokens: tokensOfTaste(context),
    });
  };
  return (
    <section
      onKeyDown={(event) => {
        if (event.key !== "Escape" || belongsToInputMethod(event.nativeEvent) || !asking) return;
        event.preventDefault();
        stop();
      }}
    >
      <h2>{words.title}</h2>
      <div className="labelled">
        <label htmlFor={id}>{chats ? words.label : words.labelBase}</label>
        <textarea
          id={id}
          className="field"
          rows={3}
          placeholder={example}
          aria-describedby={`${id}-hint`}
          value={prompt}
          onChange={(event) => setPrompt(event.target.value)}
          {...following}
          onKeyDown={(event) => {
            if (owns(event.nativeEvent)) return;
            if (!isSendKey(event, enterSends)) return;
            event.preventDefault();
            send();
          }}
        />
      </div>
      <div className="row">
        {/* One button that changes: the focus stays where it was pressed. */}
        <button type="button" className="button primary" onClick={asking ? stop : send}>
          {asking ? <StopIcon size={16} /> : <SendIcon size={16} />}
          {asking ? words.stop : chats ? words.ask : words.askBase}
        </button>
        <span id={`${id}-hint`} className="small soft">
          {words.hint}
        </span>
      </div>
      {answer ? <Shown answer={answer} onRetry={send} /> : null}
    </section>
  );
}

function Shown({ answer, onRetry }: { answer: Answer; onRetry: () => void }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.try;
  const asking = answer.state === "asking";
  const seconds = count(language, useSeconds(asking ? answer.askedAt : null));
  const wordless = answer.text === "" && answer.reasoning === "";
  return (
    <div className="taste" aria-busy={asking}>
      {asking && wordless ? (
        <p className="waiting">
          <span className="pulse" aria-hidden="true" />
          <span>{waitingLine(text, language, answer, seconds)}</span>
        </p>
      ) : null}
      {answer.reasoning === "" ? null : (
        <details open={answer.text === ""}>
          <summary className="small soft">{words.thoughts}</summary>
          <p className="words soft">{answer.reasoning}</p>
        </details>
      )}
      {answer.text === "" ? null : (
        <p className="words" role="region" aria-label={words.reply} lang="" dir="auto">
          {answer.text}
        </p>
      )}
      {answer.failure ? <Failed failure={answer.failure} onRetry={onRetry} /> : null}
      <p role="status" className="small soft numbers">
        {asking || answer.failure ? "" : endedLine(text, language, answer)}
      </p>
    </div>
  );
}

function waitingLine(text: Catalogue, language: Language, answer: Answer, seconds: string): string {
  const words = text.models.try;
  if (answer.progress === null) return words.sending(seconds);
  const { stage, done, total } = answer.progress;
  if (stage === "queued") return words.queued(count(language, done), seconds);
  const show = stage === "loading" ? bytes : count;
  const amount =
    total === null ? show(language, done) : words.of(show(language, done), show(language, total));
  return words[stage](amount, seconds);
}

function endedLine(text: Catalogue, language: Language, answer: Answer): string {
  const words = text.models.try;
  const parts: string[] = [];
  if (answer.state === "stopped") parts.push(words.stopped);
  else if (answer.text === "" && answer.reasoning === "") parts.push(words.empty);
  if (answer.reason === "length") parts.push(words.cut(count(language, answer.maxTokens)));
  if (answer.tokens !== null)
    parts.push(words.took(count(language, answer.tokens), decimal(language, answer.took)));
  return parts.join(" ");
}

/** One question at a time; leaving the page ends it. */
function useTaste() {
  const { key } = use(SettingsContext).settings;
  const [answer, setAnswer] = useState<Answer | null>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const start = (taste: Taste) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    void follow(abort, ask({ key }, taste, abort.signal), taste, (change) => {
      if (running.current === abort) setAnswer(change);
    });
  };
  return { answer, start, stop: () => running.current?.abort() };
}

type Change = (now: Answer | null) => Answer | null;

/** Tells the page what arrives, once per frame however fast it comes. */
async function follow(
  abort: AbortController,
  events: AsyncGenerator<ChatEvent>,
  { maxTokens }: Taste,
  tell: (answer: Answer | Change) => void,
): Promise<void> {
  const answer: Answer = {
    state: "asking",
    text: "",
    reasoning: "",
    progress: null,
    askedAt: performance.now(),
    took: 0,
    tokens: null,
    reason: "",
    maxTokens,
    failure: null,
  };
  tell({ ...answer });
  let frame: number | null = null;
  const later = () => {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      tell({ ...answer });
    });
  };
  try {
    for await (const event of events) {
      take(answer, event);
      later();
    }
    answer.state = "ended";
  } catch (error) {
    answer.state = abort.signal.aborted ? "stopped" : "failed";
    if (answer.state === "failed") answer.failure = failureFrom(error as Error);
  }
  if (frame !== null) cancelAnimationFrame(frame);
  answer.took = (performance.now() - answer.askedAt) / 1000;
  tell({ ...answer });
}

function take(answer: Answer, event: ChatEvent): void {
  if (event.type === "text") answer.text += event.text;
  else if (event.type === "reasoning") answer.reasoning += event.text;
  else if (event.type === "progress") answer.progress = event;
  else if (event.type === "finish") answer.reason = event.reason;
  else if (event.type === "usage") answer.tokens = event.usage.completion;
}
