import type { Components } from "react-markdown";

import { useText } from "../i18n";
import { ImageIcon } from "../ui/icons";
import { CodeBlock } from "./CodeBlock";
import { Formula } from "./Formula";

/**
 * The page's policy lets images come from its own server only, so that nothing is told to another
 * one by a model's words. A person can open the address, which names its host, in another tab.
 */
function UnloadedImage({ src, alt }: { src: string; alt: string }) {
  const text = useText();
  let host = "";
  try {
    const url = new URL(src);
    if (url.protocol === "https:" || url.protocol === "http:") host = url.host;
  } catch {
    // not an address of its own: nothing to open
  }
  const name = `${alt === "" ? "" : `${alt} — `}${text.prose.image(host)}`;
  if (host === "") return <span className="image">{alt || src}</span>;
  return (
    <a
      className="image"
      href={src}
      target="_blank"
      rel="noreferrer noopener"
      title={text.prose.imageWhy}
    >
      <ImageIcon size={16} />
      {name}
    </a>
  );
}

/** A reply's headings begin below the page's own, so that the outline stays true. */
export const COMPONENTS: Components = {
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h3>{children}</h3>,
  h3: ({ children }) => <h4>{children}</h4>,
  h4: ({ children }) => <h5>{children}</h5>,
  h5: ({ children }) => <h6>{children}</h6>,
  h6: ({ children }) => <h6>{children}</h6>,
  a: ({ href, children }) => {
    if (!href) return <span>{children}</span>; // an address that is never opened
    return href.startsWith("#") ? (
      <a href={href}>{children}</a>
    ) : (
      <a href={href} target="_blank" rel="noreferrer noopener">
        {children}
      </a>
    );
  },
  img: ({ src, alt }) => <UnloadedImage src={typeof src === "string" ? src : ""} alt={alt ?? ""} />,
  input: ({ checked }) => <span>{checked ? "☑ " : "☐ "}</span>,
  code: ({ className, children }) =>
    className?.includes("math-inline") ? (
      <Formula tex={String(children)} />
    ) : (
      <code translate="no">{children}</code>
    ),
  pre: ({ node }) => {
    const code = node?.children[0];
    if (code?.type !== "element") return null;
    const first = code.children[0];
    const value = first?.type === "text" ? first.value : "";
    const named = code.properties["className"];
    const names = Array.isArray(named) ? named.map(String) : [];
    if (names.includes("math-display"))
      return <Formula tex={value} display open={names.includes("math-open")} />;
    const language = (names[0] ?? "").replace("language-", "");
    return <CodeBlock code={value.replace(/\n$/, "")} language={language} />;
  },
  table: ({ children }) => (
    <div className="wide" tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
};
