import { useText } from "../i18n";
import { CopyButton } from "../ui/CopyButton";

export function CodeBlock({ code, language }: { code: string; language: string }) {
  const text = useText();
  return (
    <figure className="code">
      <figcaption>
        <span translate="no">{language || text.chat.code}</span>
        <CopyButton text={code} label={text.chat.copyCode} />
      </figcaption>
      <pre tabIndex={0} dir="ltr" translate="no">
        <code>{code}</code>
      </pre>
    </figure>
  );
}
