import { createContext } from "react";

import { defaults, type Settings } from "./settings";

export interface SettingsAccess {
  settings: Settings;
  /** Changes some of the settings; what is not named stays. */
  change: (part: Partial<Settings>) => void;
  /** Whether the browser keeps them; false when its storage is full or closed. */
  kept: boolean;
}

export const SettingsContext = createContext<SettingsAccess>({
  settings: defaults("en"),
  change: () => undefined,
  kept: true,
});
