/** What went wrong, as the page speaks about it (`error` in the catalogue). */
export type ErrorKind =
  | "offline" // nobody answered
  | "broken" // the stream ended before the reply did
  | "unsent" // nobody knows whether it arrived
  | "key" // a key is missing or wrong
  | "busy" // full for the moment
  | "unavailable" // not ready
  | "context" // longer than the model can read
  | "model" // no such model
  | "gone" // no such conversation, message or file
  | "taken" // somebody else has written there meanwhile
  | "refused" // the request cannot be done as asked
  | "storage" // it could not be written down
  | "server" // the server failed
  | "unreadable"; // not an answer of Kataribe's

/** A failure as plain values, so that it can be kept with the message that it belongs to. */
export interface Failure {
  kind: ErrorKind;
  /** The server's own words; empty when it said none. */
  said: string;
  /** When (of `steadyNow()`) the server said that it is worth trying again. */
  retryAt: number | null;
}

export class ApiError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.said || failure.kind);
    this.name = "ApiError";
  }
}

export function failure(kind: ErrorKind, said = "", retryAt: number | null = null): Failure {
  return { kind, said, retryAt };
}

/** What a status and a body `{"error": {...}}` of the API mean. */
export function failureOf(
  status: number,
  body: unknown,
  retryAfter: string | null,
  now: number,
): Failure {
  const { code, message } = errorBody(body);
  const seconds = retryAfter === null ? NaN : Number(retryAfter);
  const retryAt = Number.isFinite(seconds) ? now + seconds * 1000 : null;
  return { kind: kindOf(status, code), said: message, retryAt };
}

/** The words and the code inside an error body; both empty when it has another shape. */
export function errorBody(body: unknown): { code: string; message: string } {
  const error = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  return {
    code: typeof error?.code === "string" ? error.code : "",
    message: typeof error?.message === "string" ? error.message : "",
  };
}

/** The kind by the API's own code where it has one, otherwise by the HTTP status. */
export function kindOf(status: number, code: string): ErrorKind {
  if (code === "context_length_exceeded") return "context";
  if (code === "model_not_found") return "model";
  if (code === "invalid_api_key" || status === 401) return "key";
  if (code === "not_found") return "gone";
  if (code === "changed_meanwhile") return "taken";
  if (code === "storage_error") return "storage";
  if (code === "queue_full" || status === 429) return "busy";
  if (code === "unavailable" || status === 503) return "unavailable";
  if (status === 404) return "model";
  if (status >= 500) return "server";
  if (status >= 400) return "refused";
  return "server";
}
