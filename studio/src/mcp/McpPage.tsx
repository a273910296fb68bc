import { useRef, useState } from "react";
import { useSearchParams } from "react-router";

import type { McpServers } from "../api/mcp";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { Removed } from "../ui/Removed";
import { AddForm } from "./AddForm";
import { HerePart } from "./HerePart";
import { ServerRow } from "./ServerRow";
import { useMcpActs, useMcpServers, type McpActs } from "./useMcp";

/** The MCP servers whose tools assistants may use, and how others ask this Kataribe. */
export function McpPage() {
  const text = useText();
  const words = text.mcp;
  const servers = useMcpServers();
  const acts = useMcpActs();
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${words.title} · ${text.product}`}</title>
      <div className="column mcp">
        <header>
          <h1 tabIndex={-1}>{words.title}</h1>
          <p className="soft">{words.intro}</p>
        </header>
        {servers.isPending ? <p role="status">{words.loading}</p> : null}
        {servers.isError ? (
          <Failed failure={failureFrom(servers.error)} onRetry={() => void servers.refetch()} />
        ) : null}
        {servers.data ? (
          <>
            <Listed servers={servers.data} acts={acts} />
            <AddForm
              mayAdd={servers.data.may_add}
              isFirst={servers.data.data.length === 0}
              acts={acts}
            />
            <HerePart needsKey={servers.data.needs_key} />
          </>
        ) : null}
      </div>
    </div>
  );
}

function Listed({ servers, acts }: { servers: McpServers; acts: McpActs }) {
  const text = useText();
  const words = text.mcp;
  const language = useLanguage();
  const [query, setQuery] = useSearchParams();
  const [gone, setGone] = useState<string | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = query.get("server");
  const { remove, restore } = acts;
  const toList = () => heading.current?.focus();
  return (
    <section className="stack">
      <h2 ref={heading} tabIndex={-1} className="small soft">
        {words.count(count(language, servers.data.length))}
      </h2>
      <Removed
        said={gone === null ? null : words.removed(gone)}
        failure={restore.error ? failureFrom(restore.error) : null}
        onUndo={() => gone !== null && restore.mutate(gone, { onSuccess: () => setGone(null) })}
        onDismiss={() => setGone(null)}
      />
      {remove.isError ? <Failed failure={failureFrom(remove.error)} onRetry={null} /> : null}
      {servers.data.length === 0 ? (
        <div className="stack">
          <p>
            <strong>{words.none}</strong>
          </p>
          <p>{words.noneWhy}</p>
        </div>
      ) : null}
      <ul className="servers">
        {servers.data.map((server) => (
          <ServerRow
            key={server.name}
            server={server}
            isShown={server.name === shown}
            onShown={(on) => setQuery(on ? { server: server.name } : {}, { replace: true })}
            onRemove={() => {
              restore.reset();
              remove.mutate(server.name, { onSuccess: () => setGone(server.name) });
              toList();
            }}
          />
        ))}
      </ul>
    </section>
  );
}
