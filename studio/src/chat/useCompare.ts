import { useState } from "react";

/** Models that answer beside the chosen one, and whether their names are hidden at first. */
export interface Compare {
  others: readonly string[];
  blind: boolean;
}

const NAME = "kataribe.compare";
export const MOST_MODELS = 4;
const NONE: Compare = { others: [], blind: false };

/** Those that do answer beside `model`: neither that one itself nor a model that is gone. */
export function answering(
  others: readonly string[],
  model: string | null,
  models: readonly { id: string }[] | undefined,
): string[] {
  return others.filter((one) => one !== model && models?.some(({ id }) => id === one));
}

/** Kept in this tab: the next conversation compares the same models. */
export function useCompare(): [Compare, (next: Compare) => void] {
  const [compare, setCompare] = useState(read);
  const change = (next: Compare) => {
    try {
      sessionStorage.setItem(NAME, JSON.stringify(next));
    } catch {
      // storage is closed: it holds as long as this page
    }
    setCompare(next);
  };
  return [compare, change];
}

function read(): Compare {
  try {
    const value = JSON.parse(sessionStorage.getItem(NAME) ?? "null") as Partial<Compare> | null;
    const others = Array.isArray(value?.others)
      ? value.others.filter((one) => typeof one === "string")
      : [];
    return { others: others.slice(0, MOST_MODELS - 1), blind: value?.blind === true };
  } catch {
    return NONE;
  }
}
