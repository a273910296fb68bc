import { createContext } from "react";

import type { Failure } from "../api/errors";
import { defaults, type Settings } from "./settings";

/**
 * asking: what the server keeps is not known yet; kept: the server has all of it; saving: it is
 * being told; apart: it could not be told, and this browser alone keeps what changed.
 */
export type ServerKeeps = "asking" | "kept" | "saving" | "apart";

export interface SettingsAccess {
  settings: Settings;
  /** Changes some of the settings; what is not named stays. */
  change: (part: Partial<Settings>) => void;
  /** Whether the browser keeps them; false when its storage is full or closed. */
  kept: boolean;
  /** Whether the server keeps them, and why not. */
  server: ServerKeeps;
  failure: Failure | null;
  /** Asks the server again. */
  again: () => void;
}

export const SettingsContext = createContext<SettingsAccess>({
  settings: defaults("en"),
  change: () => undefined,
  kept: true,
  server: "asking",
  failure: null,
  again: () => undefined,
});
