import type { Failure } from "../api/errors";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { WarnIcon } from "../ui/icons";

/** Why a model was not let go: it answers somebody, or something failed. */
export function Refusal({ failure }: { failure: Failure }) {
  const text = useText();
  if (failure.kind !== "busy") return <Failed failure={failure} onRetry={null} />;
  return (
    <div className="notice warn" role="alert">
      <WarnIcon size={18} />
      <div className="stack">
        <p>{text.models.memory.busy}</p>
        <p className="said soft">
          {text.error.said}{" "}
          <q lang="en" dir="auto">
            {failure.said}
          </q>
        </p>
      </div>
    </div>
  );
}
