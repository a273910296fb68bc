import { useState } from "react";

import type { McpTool } from "../api/mcp";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { count, decimal } from "../i18n/format";
import { TextField } from "../assistants/inputs";
import { useSeconds } from "../models/useSeconds";
import { Long } from "../steps/Long";
import { Failed } from "../ui/Failed";
import { CheckIcon, WarnIcon } from "../ui/icons";
import { begun, readGiven, type Given } from "./given";
import { useTry } from "./useMcp";

/** A tool of a server: what it says of itself, its schema folded, and a way to try it. */
export function ToolPart({ server, tool }: { server: string; tool: McpTool }) {
  const text = useText();
  const words = text.mcp;
  const [isTrying, setTrying] = useState(false);
  return (
    <li className="stack">
      <h4>
        <code translate="no">{tool.name}</code>
      </h4>
      {tool.about === "" ? null : <Long text={tool.about} />}
      <p className="small soft">
        {words.called} <code translate="no">{tool.called}</code>
      </p>
      <details>
        <summary className="small">{words.schema}</summary>
        <pre className="schema" tabIndex={0}>
          <code>{JSON.stringify(tool.parameters, null, 2)}</code>
        </pre>
      </details>
      <details onToggle={(event) => setTrying(event.currentTarget.open)}>
        <summary className="small">
          {words.try}{" "}
          <span className="unseen" translate="no">
            {tool.name}
          </span>
        </summary>
        {isTrying ? <Try server={server} tool={tool} /> : null}
      </details>
    </li>
  );
}

function Try({ server, tool }: { server: string; tool: McpTool }) {
  const text = useText();
  const words = text.mcp;
  const language = useLanguage();
  const [typed, setTyped] = useState(() => begun(tool.parameters));
  const [fault, setFault] = useState("");
  const trying = useTry();
  const seconds = useSeconds(trying.since);
  const run = () => {
    const given = readGiven(typed, tool.parameters);
    setFault(faultOf(text, given));
    if ("arguments" in given) trying.start({ server, tool: tool.name, arguments: given.arguments });
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        run();
      }}
    >
      <TextField
        label={words.arguments}
        value={typed}
        rows={4}
        code
        hint={words.argumentsWhy}
        onValue={setTyped}
      />
      <p className="fault small" role="alert">
        {fault}
      </p>
      <div className="row">
        <button
          type="submit"
          className="button primary"
          aria-disabled={trying.since !== null}
          aria-label={words.runOf(tool.name)}
        >
          {words.run}
        </button>
        {trying.since === null ? null : (
          <>
            <span className="small soft">{words.running(count(language, seconds))}</span>
            <button type="button" className="button" onClick={trying.cancel}>
              {words.cancel}
            </button>
          </>
        )}
      </div>
      {trying.failure ? <Failed failure={trying.failure} onRetry={run} /> : null}
      <div role="status">
        {trying.made ? (
          <div className="answer stack">
            <p className="state" data-state={trying.made.failed ? "failed" : "open"}>
              {trying.made.failed ? <WarnIcon size={16} /> : <CheckIcon size={16} />}
              {trying.made.failed ? words.failedResult : words.result}{" "}
              {words.took(decimal(language, trying.made.seconds))}
            </p>
            <Long text={trying.made.text} left={trying.made.left_out} />
          </div>
        ) : null}
      </div>
    </form>
  );
}

function faultOf(text: Catalogue, given: Given): string {
  const words = text.mcp;
  if ("arguments" in given) return "";
  if (given.fault === "json") return words.notJson;
  if (given.fault === "object") return words.notObject;
  return words.missing(given.names.join(", "));
}
