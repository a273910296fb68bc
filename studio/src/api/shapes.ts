import type { components } from "./schema";

/** What the API takes and gives, by the name that its description has for it. */
export type Shape<Name extends keyof components["schemas"]> = components["schemas"][Name];
