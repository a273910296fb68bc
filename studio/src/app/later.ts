import { lazy, type ComponentType, type LazyExoticComponent } from "react";

/** A part of the studio did not come: the server is away, or is of another version by now. */
export class AwayError extends Error {}

/** A component that is fetched when it is first shown; `AwayError` where it cannot be. */
export function later<P>(
  fetch: () => Promise<ComponentType<P>>,
): LazyExoticComponent<ComponentType<P>> {
  return lazy(async () => {
    try {
      return { default: await fetch() };
    } catch (error) {
      throw new AwayError(String(error));
    }
  });
}
