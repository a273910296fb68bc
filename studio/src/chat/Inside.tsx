import { Suspense } from "react";

import { ErrorBoundary } from "../app/ErrorBoundary";
import { later } from "../app/later";
import { useText } from "../i18n";

interface Props {
  conversation: string;
  message: string;
  onClose: () => void;
  onContinue: (beginning: string) => void;
}

const Panel = later<Props>(async () => (await import("../inside/InsidePanel")).InsidePanel);

/** A reply from inside, beside the conversation. */
export function Inside(props: Props) {
  const text = useText();
  return (
    <ErrorBoundary>
      <Suspense
        fallback={
          <p className="unseen" role="status">
            {text.chat.opening}
          </p>
        }
      >
        <Panel {...props} />
      </Suspense>
    </ErrorBoundary>
  );
}
