import { useEffect, useRef } from "react";

import type { Summary } from "../api/conversations";
import type { ShareFormat } from "../api/list";
import { useText } from "../i18n";
import { menuKeys } from "../ui/menuKeys";
import type { Acts } from "./useActs";

interface Props {
  conversation: Summary;
  acts: Acts;
  /** Closes it and gives the focus back. */
  onClose: () => void;
  /** Closes it where the focus has gone elsewhere. */
  onLeave: () => void;
  onName: () => void;
  onFolder: () => void;
  onForever: () => void;
}

/** What can be done with a conversation. Arrows go through it, Esc closes it. */
export function RowMenu({ conversation, acts, onClose, onLeave, ...on }: Props) {
  const text = useText();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    place.current?.querySelector("button")?.focus();
    place.current?.scrollIntoView({ block: "nearest" });
  }, []);
  const then = (act: () => void) => () => {
    onClose();
    act();
  };
  const share = (format: ShareFormat, name: string) => (
    <button type="button" role="menuitem" onClick={then(() => acts.share(conversation, format))}>
      {name}
    </button>
  );
  const item = (name: string, act: () => void) => (
    <button type="button" role="menuitem" onClick={act}>
      {name}
    </button>
  );
  const { pinned, deleted } = conversation;
  return (
    <div
      ref={place}
      className="acts"
      role="menu"
      aria-label={text.sidebar.acts}
      onKeyDown={(event) => menuKeys(event, onClose)}
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) onLeave();
      }}
    >
      {deleted ? (
        <>
          {item(
            text.sidebar.restore,
            then(() => acts.restore(conversation)),
          )}
          {item(text.sidebar.forever, then(on.onForever))}
        </>
      ) : (
        <>
          {item(text.sidebar.rename, on.onName)}
          {item(
            pinned ? text.sidebar.unpin : text.sidebar.pin,
            then(() => acts.change(conversation, { pinned: !pinned })),
          )}
          {item(text.sidebar.move, on.onFolder)}
          {share("markdown", text.sidebar.shareMarkdown)}
          {share("json", text.sidebar.shareJson)}
          {share("html", text.sidebar.shareHtml)}
          {item(
            text.sidebar.remove,
            then(() => acts.remove(conversation)),
          )}
        </>
      )}
    </div>
  );
}
