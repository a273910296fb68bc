import { useText } from "../i18n";
import { Command } from "../ui/Command";

/** What other programs write into their own file of servers. */
const ENTRY = '{"mcpServers": {"kataribe": {"command": "kataribe", "args": ["mcp", "serve"]}}}';

const HEADER = "Authorization: Bearer KEY";

/** How others ask the models and assistants of this Kataribe over MCP. */
export function HerePart({ needsKey }: { needsKey: boolean }) {
  const text = useText();
  const words = text.mcp;
  return (
    <section className="stack">
      <h2>{words.here}</h2>
      <p className="soft">{words.hereWhy}</p>
      <h3>{words.hereAddress}</h3>
      <Command command={`${location.origin}/mcp`} />
      {needsKey ? (
        <p className="small soft">
          {words.hereKey} <code>{HEADER}</code>
        </p>
      ) : null}
      <h3>{words.hereProgram}</h3>
      <Command command="kataribe mcp serve" />
      <p className="small soft">{words.hereEntry}</p>
      <Command command={ENTRY} />
    </section>
  );
}
