import type { RootContent } from "hast";
import { useDeferredValue, useMemo, type ReactNode } from "react";

import { useText } from "../i18n";
import { CopyButton } from "../ui/CopyButton";
import { useColouring } from "./colouring";
import { Signs } from "./Signs";

/** Longest code that is coloured, in UTF-16 units. */
const LONGEST = 50_000;

export function CodeBlock({ code, language }: { code: string; language: string }) {
  const text = useText();
  const late = useDeferredValue(code);
  const colour = useColouring(language !== "");
  const tree = useMemo(
    () => (late.length > LONGEST ? null : (colour?.(late, language) ?? null)),
    [colour, late, language],
  );
  return (
    <figure className="code">
      <figcaption>
        <span translate="no">{language || text.chat.code}</span>
        <CopyButton text={code} label={text.chat.copyCode} />
      </figcaption>
      <pre tabIndex={0} dir="ltr" translate="no">
        <code>{tree && late === code ? coloured(tree.children) : <Signs text={code} code />}</code>
      </pre>
    </figure>
  );
}

/** The words of a program with the names of what they are. The tree is as deep as a template. */
function coloured(nodes: readonly RootContent[]): ReactNode[] {
  return nodes.map((node, index) => {
    if (node.type === "text") return <Signs key={index} text={node.value} code />;
    if (node.type !== "element") return null;
    const names = node.properties["className"];
    return (
      <span key={index} className={Array.isArray(names) ? names.join(" ") : ""}>
        {coloured(node.children)}
      </span>
    );
  });
}
