import { useText } from "../i18n";
import { CopyButton } from "./CopyButton";

/** A command for the terminal, with a button that copies it. */
export function Command({ command }: { command: string }) {
  const text = useText();
  return (
    <div className="command">
      <code translate="no">{command}</code>
      <CopyButton text={command} label={text.models.copyCommand} />
    </div>
  );
}
