import { useId, type ReactNode } from "react";

import type { McpServer } from "../api/mcp";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { useSeconds } from "../models/useSeconds";
import { Failed } from "../ui/Failed";
import { CheckIcon, ClockIcon, NoIcon, RetryIcon, TrashIcon, WarnIcon } from "../ui/icons";
import { ToolPart } from "./ToolPart";
import { useCheck, useMcpServer } from "./useMcp";

interface Props {
  server: McpServer;
  /** Its tools are unfolded. */
  isShown: boolean;
  onShown: (on: boolean) => void;
  onRemove: () => void;
}

const SIGNS: Record<McpServer["state"], ReactNode> = {
  open: <CheckIcon size={16} />,
  closed: <ClockIcon size={16} />,
  off: <NoIcon size={16} />,
  failed: <WarnIcon size={16} />,
  wrong: <WarnIcon size={16} />,
};

/** A server: how it is, what it can do, and what can be done with it. */
export function ServerRow({ server, isShown, onShown, onRemove }: Props) {
  const text = useText();
  const words = text.mcp;
  const language = useLanguage();
  const check = useCheck(server.name);
  const tools = useId();
  // The list is read anew after a check; until then the check knows better.
  const now = check.made?.server ?? server;
  const shown = now.state === "failed" && server.state === "closed" ? now : server;
  // Nobody knows how many it has before it has run.
  const isKnown = server.tools > 0 || shown.state === "open" || isShown;
  return (
    <li className="server">
      <div className="head">
        <h3>
          <bdi translate="no">{server.name}</bdi>
        </h3>
        <p className="state" data-state={shown.state} role="status">
          {SIGNS[shown.state]}
          {words.states[shown.state]}
        </p>
      </div>
      {server.place === "" ? null : (
        <p className="small soft">
          {server.kind === "stdio" ? words.program : words.address} <code>{server.place}</code>
        </p>
      )}
      <Names label={words.env} names={server.env} />
      <Names label={words.headers} names={server.headers} />
      {shown.error === "" ? null : (
        <p className="fault small">
          <q lang="en" dir="auto">
            {shown.error}
          </q>
        </p>
      )}
      {shown.note === "" ? null : (
        <p className="small soft">
          {words.note}{" "}
          <q lang="en" dir="auto">
            {shown.note}
          </q>
        </p>
      )}
      <div className="row">
        <CheckButton name={server.name} check={check} onStart={() => onShown(true)} />
        {isKnown ? (
          <button
            type="button"
            className="button quiet"
            aria-expanded={isShown}
            aria-controls={tools}
            aria-label={words.toolsOf(count(language, server.tools), server.name)}
            onClick={() => onShown(!isShown)}
          >
            {words.tools(count(language, server.tools))}
          </button>
        ) : null}
        <button
          type="button"
          className="button quiet"
          aria-label={words.removeOf(server.name)}
          onClick={onRemove}
        >
          <TrashIcon size={16} />
          {words.remove}
        </button>
      </div>
      {check.failure ? (
        <Failed failure={check.failure} onRetry={() => check.start(server.name)} />
      ) : null}
      <div id={tools}>{isShown ? <Tools name={server.name} /> : null}</div>
    </li>
  );
}

interface CheckProps {
  name: string;
  check: ReturnType<typeof useCheck>;
  onStart: () => void;
}

function CheckButton({ name, check, onStart }: CheckProps) {
  const text = useText();
  const words = text.mcp;
  const language = useLanguage();
  const seconds = useSeconds(check.since);
  if (check.since !== null)
    return (
      <>
        <span className="small soft">{words.checking(count(language, seconds))}</span>
        <button type="button" className="button" onClick={check.cancel}>
          {words.cancel}
        </button>
      </>
    );
  return (
    <button
      type="button"
      className="button"
      aria-label={words.checkOf(name)}
      onClick={() => {
        check.start(name);
        onStart();
      }}
    >
      <RetryIcon size={16} />
      {words.check}
    </button>
  );
}

function Names({ label, names }: { label: string; names: readonly string[] }) {
  if (names.length === 0) return null;
  return (
    <p className="small soft">
      {label}{" "}
      {names.map((name) => (
        <code key={name}>{name} </code>
      ))}
    </p>
  );
}

function Tools({ name }: { name: string }) {
  const text = useText();
  const words = text.mcp;
  const found = useMcpServer(name);
  if (found.isPending) return <p role="status">{words.loading}</p>;
  if (found.isError)
    return <Failed failure={failureFrom(found.error)} onRetry={() => void found.refetch()} />;
  if (found.data.tools.length === 0)
    return (
      <p className="small soft">
        {found.data.server.state === "open" ? words.noTools : words.unseenTools}
      </p>
    );
  return (
    <ul className="mcp-tools">
      {found.data.tools.map((tool) => (
        <ToolPart key={tool.called} server={name} tool={tool} />
      ))}
    </ul>
  );
}
