import { useText } from "../i18n";
import { plainLine } from "../prose/tame";
import { CloseIcon } from "../ui/icons";
import type { Acts } from "./useActs";

/** What was deleted last, and the way back. */
export function Undo({ acts }: { acts: Acts }) {
  const text = useText();
  const one = acts.deleted;
  return (
    <div className="undo" role="status">
      {one ? (
        <>
          <p>
            <bdi>{text.sidebar.wasDeleted(plainLine(one.title) || text.sidebar.untitled)}</bdi>
          </p>
          <button type="button" className="button" onClick={acts.undo}>
            {text.sidebar.undo}
          </button>
          <button
            type="button"
            className="button quiet square"
            aria-label={text.sidebar.dismiss}
            title={text.sidebar.dismiss}
            onClick={acts.forget}
          >
            <CloseIcon size={16} />
          </button>
        </>
      ) : null}
    </div>
  );
}
