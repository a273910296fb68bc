import { fetchedOnce } from "./fetched";

/** The function that colours code, fetched when the first code is shown that names its language. */
export const useColouring = fetchedOnce(async () => (await import("./languages")).colour);
