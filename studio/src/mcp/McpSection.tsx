import { Link } from "react-router";

import { useText } from "../i18n";

/** The way from the settings to the tools of other programs. */
export function McpSection() {
  const text = useText();
  const words = text.mcp;
  return (
    <section>
      <h2>{words.title}</h2>
      <p>
        <Link to="/mcp-servers">{words.link}</Link>
      </p>
    </section>
  );
}
