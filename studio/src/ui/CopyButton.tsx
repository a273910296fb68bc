import { useEffect, useState } from "react";

import { useText } from "../i18n";
import { copyText } from "./copy";
import { CheckIcon, CopyIcon } from "./icons";

/** Copies `text`, and says beside the icon whether it did. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const words = useText();
  const [state, setState] = useState<"ready" | "done" | "failed">("ready");
  useEffect(() => {
    if (state === "ready") return;
    const timer = setTimeout(() => setState("ready"), 2500);
    return () => clearTimeout(timer);
  }, [state]);
  const said = { ready: "", done: words.chat.copied, failed: words.chat.copyFailed }[state];
  return (
    <button
      type="button"
      className="button quiet"
      aria-label={label}
      title={label}
      onClick={() => void copyText(text).then((done) => setState(done ? "done" : "failed"))}
    >
      {state === "done" ? <CheckIcon size={16} /> : <CopyIcon size={16} />}
      <span role="status">{said}</span>
    </button>
  );
}
