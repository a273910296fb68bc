import { use, useCallback, useEffect, useRef, type RefObject } from "react";

import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { belongsToInputMethod } from "../ui/composing";
import { CloseIcon } from "../ui/icons";
import { hasModifier, isTyping } from "../ui/keys";

/** The keys, and what they do. */
type Pair = [string[], string];
type Dialog = RefObject<HTMLDialogElement | null>;

/** The list of keys, opened with `?` from everywhere. The browser returns the focus on closing. */
export function useKeysDialog(): [Dialog, () => void] {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = useCallback(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "?" || event.defaultPrevented || belongsToInputMethod(event)) return;
      if (isTyping(event.target) || hasModifier(event)) return;
      event.preventDefault();
      open();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [open]);
  return [dialog, open];
}

export function KeysDialog({ dialog }: { dialog: Dialog }) {
  const text = useText();
  const { enterSends } = use(SettingsContext).settings;
  const keys: Pair[] = [
    [["/"], text.keys.focus],
    [["Ctrl", "K"], text.keys.search],
    [enterSends ? ["Enter"] : ["Ctrl", "Enter"], text.keys.send],
    [enterSends ? ["Shift", "Enter"] : ["Enter"], text.keys.line],
    [["Esc"], text.keys.stop],
    [["Ctrl", "S"], text.keys.save],
    [["?"], text.keys.help],
  ];
  const inList: Pair[] = [
    [["↑", "↓"], text.keys.step],
    [["F2"], text.keys.name],
    [["Delete"], text.keys.remove],
    [["/"], text.keys.search],
  ];
  return (
    <dialog ref={dialog} className="keys" aria-labelledby="keys-title">
      <header>
        <h2 id="keys-title">{text.keys.title}</h2>
        <button
          type="button"
          className="button quiet square"
          aria-label={text.keys.close}
          onClick={() => dialog.current?.close()}
        >
          <CloseIcon size={16} />
        </button>
      </header>
      <Pairs keys={keys} />
      <h3 className="soft small">{text.keys.inList}</h3>
      <Pairs keys={inList} />
      <p className="small soft">{text.keys.composing}</p>
    </dialog>
  );
}

function Pairs({ keys }: { keys: readonly Pair[] }) {
  return (
    <dl>
      {keys.map(([names, what]) => (
        <div key={what} className="pair">
          <dt>
            {names.map((name) => (
              <kbd key={name}>{name}</kbd>
            ))}
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
}
