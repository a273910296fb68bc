import type { ReactNode } from "react";

import type { Catalogue } from "../i18n/catalogue";
import {
  AssistantsIcon,
  ChatIcon,
  ModelsIcon,
  PromptsIcon,
  TokenizersIcon,
  TrainingIcon,
} from "../ui/icons";

type Icon = (props: { size?: number }) => ReactNode;

/** A page of a verb. */
export interface Place {
  address: string;
  /** Addresses beside its own that belong to it. */
  also?: readonly string[];
  name: keyof Catalogue["nav"];
  icon: Icon;
}

/** What a person does, with its pages; a verb is here as soon as it has one. */
export interface Verb {
  name: "use" | "run" | "make";
  icon: Icon;
  places: readonly [Place, ...Place[]];
}

export const VERBS: readonly Verb[] = [
  {
    name: "use",
    icon: ChatIcon,
    places: [
      { address: "/chat", also: ["/search"], name: "chat", icon: ChatIcon },
      { address: "/assistants", name: "assistants", icon: AssistantsIcon },
      { address: "/prompts", name: "prompts", icon: PromptsIcon },
    ],
  },
  {
    name: "run",
    icon: ModelsIcon,
    places: [{ address: "/models", name: "models", icon: ModelsIcon }],
  },
  {
    name: "make",
    icon: TrainingIcon,
    places: [
      { address: "/tokenizers", name: "tokenizers", icon: TokenizersIcon },
      { address: "/training", name: "training", icon: TrainingIcon },
    ],
  },
];

/** Whether an address is a page or lies below it. */
export function isAt(place: Place, pathname: string): boolean {
  return [place.address, ...(place.also ?? [])].some(
    (address) => pathname === address || pathname.startsWith(`${address}/`),
  );
}

/** The verb that the page of an address belongs to; undefined for those that belong to none. */
export function verbOf(pathname: string): Verb | undefined {
  return VERBS.find((verb) => verb.places.some((place) => isAt(place, pathname)));
}
