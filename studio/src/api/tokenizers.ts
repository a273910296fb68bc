import { callJson, type Connection } from "./client";
import type { Job } from "./jobs";
import type { Shape } from "./shapes";

export type TokenizerShown = Shape<"TokenizerShown">;
export type TokenizerList = Shape<"TokenizerList">;
export type Pieces = Shape<"Pieces">;
export type Piece = Shape<"Piece">;
export type CompareTokenizers = Shape<"CompareTokenizers">;

const TOKENIZERS = "/studio/api/tokenizers";

export async function listTokenizers(to: Connection, signal: AbortSignal): Promise<TokenizerList> {
  return callJson<TokenizerList>(to, TOKENIZERS, { signal });
}

/** A text cut by several tokenizers, in their order. */
export async function cutText(
  to: Connection,
  names: readonly string[],
  text: string,
  signal: AbortSignal,
): Promise<Pieces[]> {
  const body = { names, text };
  const call = { method: "POST", body, signal } as const;
  return (await callJson<{ data: Pieces[] }>(to, `${TOKENIZERS}/pieces`, call)).data;
}

/** Trains kinds at several sizes and measures them, as a job. */
export async function compareTokenizers(to: Connection, wanted: CompareTokenizers): Promise<Job> {
  return callJson<Job>(to, `${TOKENIZERS}/compare`, { method: "POST", body: wanted });
}
