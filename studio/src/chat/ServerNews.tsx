import type { useModels } from "../api/useModels";
import { kindOf } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { useLineState } from "../api/live";
import type { Message } from "../conversation/types";
import { useText } from "../i18n";
import { Failed } from "../ui/Failed";
import { WarnIcon } from "../ui/icons";
import { NoModels } from "./EmptyChat";

interface Props {
  query: ReturnType<typeof useModels>;
  /** The newest reply: what it says of the server already is not said twice. */
  newest: Message | null;
  /** A key was entered, and its form goes. */
  onKey: () => void;
}

/** Above the composer: why the server cannot be asked, as far as that is known beforehand. */
export function ServerNews({ query, newest, onKey }: Props) {
  const line = useLineState();
  if (query.data?.length === 0) return <NoModels />;
  if (!query.isError) return line === "lost" ? <Lost /> : null;
  const failure = failureFrom(query.error);
  if (newest?.state === "failed" && kindOf(0, newest.failure?.code ?? "") === failure.kind)
    return null;
  if (!query.data || failure.kind === "key") {
    const again = (key?: string) => {
      void query.refetch();
      if (key !== undefined) onKey();
    };
    return <Failed failure={failure} onRetry={again} />;
  }
  return <Lost />;
}

function Lost() {
  const text = useText();
  return (
    <p className="ending" role="status">
      <WarnIcon size={16} />
      {text.chat.serverLost}
    </p>
  );
}
