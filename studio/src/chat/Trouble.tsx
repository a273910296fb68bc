import { useTalk, useTrouble } from "../conversation/context";
import type { Id } from "../conversation/types";
import { useText } from "../i18n";
import { CloseIcon, WarnIcon } from "../ui/icons";
import { useGoOn } from "../ui/useGoOn";
import { usePlace } from "./place";

/** What could not be done at a message (or in the queue), where it was tried. */
export function TroubleAt({ message }: { message: Id }) {
  const { conversation } = usePlace();
  const trouble = useTrouble(conversation);
  if (trouble?.on !== message) return null;
  return <TroubleNotice conversation={conversation} />;
}

export function TroubleNotice({ conversation }: { conversation: Id }) {
  const text = useText();
  const { acts } = useTalk();
  const { toField } = usePlace();
  const close = useGoOn((gone) => {
    const message = gone.closest("article, .queue li");
    return () => {
      const act = message?.querySelector<HTMLElement>(":is(footer, .acts) button");
      if (!act) toField();
      return act;
    };
  });
  const trouble = useTrouble(conversation);
  if (!trouble) return null;
  const { what, why } = text.error[trouble.failure.kind];
  const { said } = trouble.failure;
  return (
    <div className="notice bad closable" role="alert">
      <WarnIcon size={18} />
      <div className="stack">
        <strong>{what}</strong>
        {said === "" ? (
          <p>{why}</p>
        ) : (
          <p className="said">
            {text.error.said}{" "}
            <q lang="en" dir="auto">
              {said}
            </q>
          </p>
        )}
      </div>
      <button
        ref={close}
        type="button"
        className="button quiet square close"
        aria-label={text.chat.closeNotice}
        title={text.chat.closeNotice}
        onClick={() => acts.forget(conversation)}
      >
        <CloseIcon size={16} />
      </button>
    </div>
  );
}
