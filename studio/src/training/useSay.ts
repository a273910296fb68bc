import { useCallback } from "react";

import { useLanguage } from "../i18n";
import { bits, count, short } from "../i18n/format";
import type { Measure } from "./curves";

/** A measured value in words, as exactly as it means something. */
export function useSay(): (measure: Measure, value: number) => string {
  const language = useLanguage();
  return useCallback(
    (measure, value) => {
      if (measure === "tokens_per_second") return count(language, value);
      if (measure === "lr") return short(language, value);
      return bits(language, value);
    },
    [language],
  );
}
