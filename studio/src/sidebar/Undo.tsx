import { useEffect, useRef } from "react";

import type { Summary } from "../api/conversations";
import { useText } from "../i18n";
import { plainLine } from "../prose/tame";
import { CloseIcon } from "../ui/icons";
import { useGoOn } from "../ui/useGoOn";
import type { Acts } from "./useActs";
import "./undo.css";

/** What was deleted last, and the way back. */
export function Undo({ one, acts }: { one: Summary | null; acts: Acts }) {
  return (
    <div className="undo" role="status">
      {one ? <Deleted key={one.id} one={one} acts={acts} /> : null}
    </div>
  );
}

function Deleted({ one, acts }: { one: Summary; acts: Acts }) {
  const text = useText();
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // Deleted from the drawer, which has closed over what had the focus. What goes on elsewhere
    // comes first.
    const timer = setTimeout(() => {
      if (document.activeElement === document.body) button.current?.focus();
    });
    return () => clearTimeout(timer);
  }, []);
  const goOn = useGoOn((gone) => {
    const list = gone.closest(".sidebar");
    return () => inList(list, one.id) ?? document.querySelector("main");
  });
  return (
    <div ref={goOn} className="row">
      <p>
        <bdi>{text.sidebar.wasDeleted(plainLine(one.title) || text.sidebar.untitled)}</bdi>
      </p>
      <button ref={button} type="button" className="button" onClick={acts.undo}>
        {text.sidebar.undo}
      </button>
      <button
        type="button"
        className="button quiet square"
        aria-label={text.notice.dismiss}
        title={text.notice.dismiss}
        onClick={acts.forget}
      >
        <CloseIcon size={16} />
      </button>
    </div>
  );
}

/** What came back, or else the open conversation, the first one, or the choice of lists. */
function inList(list: Element | null, id: string): HTMLElement | null | undefined {
  const links = [...(list?.querySelectorAll<HTMLAnchorElement>(".rows li > a") ?? [])];
  return (
    links.find((link) => link.pathname === `/chat/${id}`) ??
    links.find((link) => link.getAttribute("aria-current") === "page") ??
    links[0] ??
    list?.querySelector("select")
  );
}
