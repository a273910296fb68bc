import type { TestResult } from "../api/assistants";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { CheckIcon, RunIcon, StopIcon, WarnIcon } from "../ui/icons";
import { Failed } from "../ui/Failed";
import { useTesting, type Current } from "./useTrial";

/** The recipe's tests, run when one asks for it; each result comes as it is known. */
export function TestsPane({ current, tests }: { current: Current; tests: number }) {
  const text = useText();
  const language = useLanguage();
  const words = text.assistants;
  const { testing, run, stop } = useTesting(current);
  const running = testing.state === "running";
  const held = testing.results.filter((one) => one.failed.length === 0).length;
  const done = testing.results.length;
  return (
    <div className="stack">
      <p className="small soft">{tests === 0 ? words.noTests : words.runWhy}</p>
      <div className="row">
        <button
          type="button"
          className="button primary"
          disabled={tests === 0 && !running}
          onClick={running ? stop : run}
        >
          {running ? <StopIcon size={16} /> : <RunIcon size={16} />}
          {running ? words.stop : words.run}
        </button>
        <span role="status" className="small numbers">
          {running
            ? words.running(count(language, done), count(language, tests))
            : testing.state === "idle"
              ? ""
              : words.held(count(language, held), count(language, done))}
        </span>
      </div>
      {testing.failure ? <Failed failure={testing.failure} onRetry={run} /> : null}
      <ol className="results">
        {testing.results.map((one) => (
          <Result key={one.number} result={one} />
        ))}
      </ol>
    </div>
  );
}

function Result({ result }: { result: TestResult }) {
  const text = useText();
  const words = text.assistants;
  const good = result.failed.length === 0;
  return (
    <li className="stack">
      <p className={good ? "state-sign good" : "state-sign bad"}>
        {good ? <CheckIcon size={16} /> : <WarnIcon size={16} />}
        <span>
          {good ? words.holds : words.fails}{" "}
          <span lang="" dir="auto">
            {result.ask}
          </span>
        </span>
      </p>
      {result.failed.map((why) => (
        <p key={why} className="fault small" lang="en" dir="auto">
          {why}
        </p>
      ))}
      <details>
        <summary className="small soft">{words.said}</summary>
        <p className="words small" lang="" dir="auto">
          {result.reply}
        </p>
      </details>
    </li>
  );
}
