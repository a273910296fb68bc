import { useEffect, useId, useRef, useState } from "react";
import { Link, NavLink, useLocation } from "react-router";

import { useText } from "../i18n";
import { menuKeys } from "../ui/menuKeys";
import { isAt, verbOf, VERBS, type Verb } from "./verbs";

/** The verbs in a phone's bar: each leads to its one page, or opens a sheet with its pages. */
export function PhoneVerbs() {
  const { pathname } = useLocation();
  const here = verbOf(pathname);
  return VERBS.map((verb) =>
    verb.places.length === 1 ? (
      <OnePage key={verb.name} verb={verb} />
    ) : (
      <Pages key={verb.name} verb={verb} isHere={verb === here} />
    ),
  );
}

function OnePage({ verb }: { verb: Verb }) {
  const text = useText();
  const [place] = verb.places;
  const Icon = verb.icon;
  return (
    <NavLink className="to" to={place.address}>
      <Icon />
      <span>{text.nav[verb.name]}</span> <span className="unseen">{text.nav[place.name]}</span>
    </NavLink>
  );
}

function Pages({ verb, isHere }: { verb: Verb; isHere: boolean }) {
  const text = useText();
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const Icon = verb.icon;
  const close = () => {
    button.current?.focus({ preventScroll: true });
    setOpen(false);
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        className="to"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-current={isHere ? "true" : undefined}
        // The focus would leave the sheet, which closes it, and the click open it once more.
        onMouseDown={(event) => {
          if (open) event.preventDefault();
        }}
        onClick={() => (open ? close() : setOpen(true))}
      >
        <Icon />
        <span>{text.nav[verb.name]}</span>
      </button>
      {open ? <Sheet id={id} verb={verb} onClose={close} onLeave={() => setOpen(false)} /> : null}
    </>
  );
}

interface SheetProps {
  id: string;
  verb: Verb;
  /** Closes it and gives the focus back. */
  onClose: () => void;
  /** The focus has gone elsewhere already. */
  onLeave: () => void;
}

/** Takes room of its own above the bar, so the page with its composer stands over it, uncovered. */
function Sheet({ id, verb, onClose, onLeave }: SheetProps) {
  const text = useText();
  const { pathname } = useLocation();
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const items = menu.current;
    const current = items?.querySelector<HTMLElement>("[aria-current]");
    (current ?? items?.querySelector("a"))?.focus({ preventScroll: true });
  }, []);
  return (
    <>
      <div
        ref={menu}
        id={id}
        role="menu"
        aria-label={text.nav[verb.name]}
        className="sheet"
        onKeyDown={(event) => menuKeys(event, onClose)}
        onBlur={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget)) onLeave();
        }}
      >
        {verb.places.map((place) => {
          const Icon = place.icon;
          return (
            <Link
              key={place.address}
              to={place.address}
              role="menuitem"
              tabIndex={-1}
              aria-current={isAt(place, pathname) ? "page" : undefined}
              onClick={onClose}
            >
              <Icon />
              <span>{text.nav[place.name]}</span>
            </Link>
          );
        })}
      </div>
      <div
        className="beside"
        aria-hidden="true"
        onMouseDown={(event) => event.preventDefault()} // keeps the focus until it is given back
        onClick={onClose}
      />
    </>
  );
}
