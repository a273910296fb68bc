import { createContext, use } from "react";

import type { Asking } from "../conversation/acts";
import type { Attached, Id } from "../conversation/types";

/** What the parts of a conversation's page share. */
export interface Place {
  conversation: Id;
  /** With what replies are asked for; null while nobody can be asked. */
  how: Asking | null;
  /** Names of the models that can be asked. */
  models: readonly string[];
  /** The question whose words are being changed. */
  editing: Id | null;
  edit: (question: Id | null) => void;
  /** Opens a reply from inside. */
  lookInside: (reply: Id) => void;
  /** Puts words and files back into the composer. */
  takeBack: (words: string, files: readonly Attached[]) => void;
  /** Goes to the composer, where that raises no keyboard unasked. */
  toField: () => void;
}

export const PlaceContext = createContext<Place | null>(null);

export function usePlace(): Place {
  const place = use(PlaceContext);
  if (!place) throw new Error("PlaceContext is missing above this component");
  return place;
}
