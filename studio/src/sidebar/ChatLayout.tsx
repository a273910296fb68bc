import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Outlet, useLocation } from "react-router";

import { useText } from "../i18n";
import { CloseIcon } from "../ui/icons";
import { DrawerContext } from "./context";
import { Sidebar } from "./Sidebar";

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
  return (
    <DrawerContext value={wide ? null : open}>
      <div className={wide ? "withList" : "withList narrow"}>
        {wide ? <Sidebar /> : null}
        {!wide && opened ? <Drawer onClose={() => setOpened(false)} /> : null}
        <div className="beside">
          <Outlet />
        </div>
      </div>
    </DrawerContext>
  );
}

function Drawer({ onClose }: { onClose: () => void }) {
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
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close(); // beside the list
      }}
    >
      <Sidebar
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
