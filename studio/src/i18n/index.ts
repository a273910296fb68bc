import { use } from "react";

import { SettingsContext } from "../settings/context";
import type { Catalogue, Language } from "./catalogue";
import { en } from "./en";
import { ja } from "./ja";

export const CATALOGUES: Record<Language, Catalogue> = { en, ja };

/** The texts of the language in force. */
export function useText(): Catalogue {
  return CATALOGUES[useLanguage()];
}

export function useLanguage(): Language {
  return use(SettingsContext).settings.language;
}
