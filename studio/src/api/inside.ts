import { callJson, type Connection } from "./client";

/** Whole characters; a part of one, written as `<0xE3>`; a control token. */
export type Kind = "text" | "bytes" | "control";

export interface Alternative {
  id: number;
  piece: string;
  kind: Kind;
  /** Natural, of the unchanged distribution. */
  logprob: number;
}

export interface Token extends Alternative {
  /** The characters that begin in it; joined they are the text. */
  shown: string;
  /** Where it begins in `Inside.text`, in characters. */
  start: number;
  /** It begins where a character begins. */
  whole: boolean;
  rank: number;
  /** Of the whole distribution, in bits. */
  entropy: number;
  top: Alternative[];
}

/** How a token is drawn from a distribution. */
export interface Sliders {
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number;
}

export interface Inside {
  model: string;
  prompt_text: string;
  /** [start, end) of control tokens in `prompt_text`, in characters. */
  prompt_marks: [number, number][];
  prompt_tokens: number;
  prompt_exact: boolean;
  text: string;
  words_from: number;
  begun: string;
  tokens: Token[];
  start: number;
  total: number;
  exact: boolean;
  drawn: Sliders;
  layers: number;
  heads: number;
  parameters: number;
  attention: boolean;
  attention_parameters: number;
  attention_tokens: number;
}

/** A token's probability before and after sampling; 0 after: it cannot be drawn. */
export interface Weighed {
  id: number;
  piece: string;
  kind: Kind;
  before: number;
  after: number;
}

export interface WeighedList {
  data: Weighed[];
  alive: number;
  vocabulary: number;
}

export interface Attention {
  pieces: string[];
  shown: string[];
  weights: number[];
  prompt_tokens: number;
  layer: number;
  head: number;
}

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
