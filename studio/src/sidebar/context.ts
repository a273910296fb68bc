import { createContext, use } from "react";

/** Opens the list of conversations where it does not stand beside the page; null where it does. */
export const DrawerContext = createContext<(() => void) | null>(null);

export function useDrawer(): (() => void) | null {
  return use(DrawerContext);
}
