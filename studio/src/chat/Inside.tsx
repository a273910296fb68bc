import { lazy, Suspense, type ComponentType } from "react";

import { useText } from "../i18n";

interface Props {
  conversation: string;
  message: string;
  onClose: () => void;
  onContinue: (beginning: string) => void;
}

type Found = { default: ComponentType<Props> };

// Its own chunk, fetched when it is first opened.
const PANELS = import.meta.glob<Found>("../inside/InsidePanel.tsx");
const Panel = lazy(async () => {
  const fetch = PANELS["../inside/InsidePanel.tsx"];
  if (!fetch) throw new Error("this studio was built without it");
  return fetch();
});

/** A reply from inside, beside the conversation. */
export function Inside(props: Props) {
  const text = useText();
  return (
    <Suspense
      fallback={
        <p className="unseen" role="status">
          {text.chat.opening}
        </p>
      }
    >
      <Panel {...props} />
    </Suspense>
  );
}
