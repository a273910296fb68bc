import { callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

/** Whole characters; a part of one, written as `<0xE3>`; a control token. */
export type Kind = Alternative["kind"];

export type Alternative = Shape<"Alternative">;

export type Token = Shape<"TokenShown">;

/** How a token is drawn from a distribution. */
export type Sliders = Shape<"Drawn">;

export type Inside = Shape<"Inside">;

/** A token's probability before and after sampling; 0 after: it cannot be drawn. */
export type Weighed = Shape<"Weighed">;

export type WeighedList = Shape<"WeighedList">;

export type Attention = Shape<"Attention">;

export interface Reply {
  conversation: string;
  message: string;
}

/** Tokens of one answer; the server's own limit is 1,024. */
export const AT_A_TIME = 512;

export function lookInside(
  to: Connection,
  reply: Reply,
  start: number,
  signal: AbortSignal,
): Promise<Inside> {
  return callJson(to, `${at(reply)}?start=${start}&limit=${AT_A_TIME}`, { signal });
}

export function weigh(
  to: Connection,
  reply: Reply,
  position: number,
  sliders: Sliders,
  signal: AbortSignal,
): Promise<WeighedList> {
  return callJson(to, `${at(reply)}/weigh`, {
    method: "POST",
    body: { position, ...sliders },
    signal,
  });
}

export function attend(
  to: Connection,
  reply: Reply,
  what: { layer: number; head: number; position: number },
  signal: AbortSignal,
): Promise<Attention> {
  return callJson(to, `${at(reply)}/attend`, { method: "POST", body: what, signal });
}

function at({ conversation, message }: Reply): string {
  const ids = [conversation, message].map(encodeURIComponent);
  return `/studio/api/conversations/${ids[0]}/messages/${ids[1]}/inside`;
}
