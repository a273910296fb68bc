import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Outlet, useLocation } from "react-router";

import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { CloseIcon } from "../ui/icons";
import { DrawerContext } from "./context";
import { Sidebar } from "./Sidebar";
import { Undo } from "./Undo";
import { useActs, type Acts } from "./useActs";

/** From this width on the list has room beside the page. */
const WIDE = matchMedia("(min-width: 1001px)");

const subscribe = (tell: () => void) => {
  WIDE.addEventListener("change", tell);
  return () => WIDE.removeEventListener("change", tell);
};

/** A page with the list of conversations beside it, or on a narrow screen in a drawer. */
export function ChatLayout() {
  const wide = useSyncExternalStore(subscribe, () => WIDE.matches);
  const [opened, setOpened] = useState(false);
  const open = useCallback(() => setOpened(true), []);
  const acts = useActs(); // here, because a drawer that closes must not take the way back along
  return (
    <DrawerContext value={wide ? null : open}>
      <div className={wide ? "withList" : "withList narrow"}>
        {wide ? <Sidebar acts={acts} /> : null}
        {!wide && opened ? <Drawer acts={acts} onClose={() => setOpened(false)} /> : null}
        <div className="beside">
          <Outlet />
        </div>
        {wide ? null : <After acts={acts} hidden={opened} />}
      </div>
    </DrawerContext>
  );
}

/** The way back below the page, while the drawer that has it too is closed. */
function After({ acts, hidden }: { acts: Acts; hidden: boolean }) {
  const one = hidden ? null : acts.deleted;
  return (
    <div className="after">
      {one && acts.failure ? <Failed failure={acts.failure} onRetry={acts.retry} /> : null}
      <Undo one={one} acts={acts} />
    </div>
  );
}

function Drawer({ acts, onClose }: { acts: Acts; onClose: () => void }) {
  const text = useText();
  const dialog = useRef<HTMLDialogElement>(null);
  const { key } = useLocation();
  const openedAt = useRef(key);
  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    if (key !== openedAt.current) dialog.current?.close(); // a conversation was chosen
  }, [key]);
  return (
    <dialog
      ref={dialog}
      className="drawer"
      aria-label={text.sidebar.title}
      onClose={(event) => {
        if (event.target === dialog.current) onClose(); // not a question within
      }}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close(); // beside the list
      }}
    >
      <Sidebar
        acts={acts}
        close={
          <button
            type="button"
            className="button quiet square"
            aria-label={text.sidebar.close}
            title={text.sidebar.close}
            onClick={() => dialog.current?.close()}
          >
            <CloseIcon size={16} />
          </button>
        }
      />
    </dialog>
  );
}
