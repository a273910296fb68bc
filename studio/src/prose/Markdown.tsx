import { memo, useId, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

import { useText } from "../i18n";
import { ImageIcon } from "../ui/icons";
import { markdownBlocks } from "./blocks";
import { CodeBlock } from "./CodeBlock";

/**
 * A model's Markdown. Raw HTML is shown as the text it is. Images are never loaded: the address
 * of an image can carry words out of a conversation, so a person opens it, or nobody does.
 */
export function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => markdownBlocks(text), [text]);
  return (
    <div className="prose" dir="auto">
      {blocks.map((block, index) => (
        <Block key={index} text={block} />
      ))}
    </div>
  );
}

const Block = memo(function Block({ text }: { text: string }) {
  const id = useId();
  return (
    <ReactMarkdown
      remarkPlugins={PLUGINS}
      components={COMPONENTS}
      remarkRehypeOptions={{ clobberPrefix: `${id}-`, footnoteLabel: "—" }}
    >
      {text}
    </ReactMarkdown>
  );
});

const PLUGINS = [remarkGfm];

function UnloadedImage({ src, alt }: { src: string; alt: string }) {
  const text = useText();
  let host = "";
  try {
    const url = new URL(src);
    if (url.protocol === "https:" || url.protocol === "http:") host = url.host;
  } catch {
    // not an address of its own: nothing to open
  }
  const name = `${alt === "" ? "" : `${alt} — `}${text.chat.image(host || text.chat.imageWhere)}`;
  if (host === "") return <span className="image">{alt || src}</span>;
  return (
    <a className="image" href={src} target="_blank" rel="noreferrer noopener">
      <ImageIcon size={16} />
      {name}
    </a>
  );
}

/** A reply's headings begin below the page's own, so that the outline stays true. */
const COMPONENTS: Components = {
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h3>{children}</h3>,
  h3: ({ children }) => <h4>{children}</h4>,
  h4: ({ children }) => <h5>{children}</h5>,
  h5: ({ children }) => <h6>{children}</h6>,
  h6: ({ children }) => <h6>{children}</h6>,
  a: ({ href, children }) =>
    href?.startsWith("#") ? (
      <a href={href}>{children}</a>
    ) : (
      <a href={href} target="_blank" rel="noreferrer noopener">
        {children}
      </a>
    ),
  img: ({ src, alt }) => <UnloadedImage src={typeof src === "string" ? src : ""} alt={alt ?? ""} />,
  input: ({ checked }) => <span>{checked ? "☑ " : "☐ "}</span>,
  pre: ({ node }) => {
    const code = node?.children[0];
    if (code?.type !== "element") return null;
    const first = code.children[0];
    const named = code.properties["className"];
    const language = Array.isArray(named) ? String(named[0] ?? "").replace("language-", "") : "";
    return <CodeBlock code={first?.type === "text" ? first.value : ""} language={language} />;
  },
  table: ({ children }) => (
    <div className="wide" tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
};
