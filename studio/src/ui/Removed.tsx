import type { Failure } from "../api/errors";
import { useText } from "../i18n";
import { Failed } from "./Failed";
import { CloseIcon, InfoIcon } from "./icons";
import { useGoOn } from "./useGoOn";

interface Props {
  /** What was deleted last, in words; null when nothing is to be said of it (any more). */
  said: string | null;
  /** Why it could not be brought back. */
  failure: Failure | null;
  onUndo: () => void;
  onDismiss: () => void;
}

/** What was deleted last, and the way back, on which the focus goes. */
export function Removed({ said, failure, onUndo, onDismiss }: Props) {
  return (
    <div role="status" className="undone">
      {said === null ? null : (
        <Notice key={said} said={said} onUndo={onUndo} onDismiss={onDismiss} />
      )}
      {failure ? <Failed failure={failure} onRetry={said === null ? null : onUndo} /> : null}
    </div>
  );
}

interface NoticeProps {
  said: string;
  onUndo: () => void;
  onDismiss: () => void;
}

function Notice({ said, onUndo, onDismiss }: NoticeProps) {
  const text = useText();
  const goOn = useGoOn((gone) => {
    const page = gone.closest<HTMLElement>(".page");
    return () => page;
  });
  return (
    <div ref={goOn} className="notice">
      <InfoIcon size={18} />
      <div className="row">
        <p>
          <bdi>{said}</bdi>
        </p>
        <button type="button" className="button" autoFocus onClick={onUndo}>
          {text.notice.undo}
        </button>
        <button
          type="button"
          className="button quiet square"
          aria-label={text.notice.dismiss}
          title={text.notice.dismiss}
          onClick={onDismiss}
        >
          <CloseIcon size={16} />
        </button>
      </div>
    </div>
  );
}
