import { steadyNow } from "../conversation/clock";
import { ApiError, failure, failureOf } from "./errors";

export interface Connection {
  /** Key to send; null for none. */
  key: string | null;
  /** `fetch`, or what a test puts in its place. */
  fetch?: typeof fetch;
}

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/**
 * Calls the API on the page's own server.
 *
 * Every failure is an `ApiError` that says what happened; an abort passes as the browser's
 * `AbortError`.
 */
export async function call(to: Connection, path: string, what: Call = {}): Promise<Response> {
  const headers: Record<string, string> = { ...what.headers };
  const raw = what.body instanceof Blob;
  if (what.body !== undefined && !raw) headers["Content-Type"] = "application/json";
  if (to.key !== null) headers["Authorization"] = `Bearer ${to.key}`;
  let response: Response;
  try {
    response = await (to.fetch ?? fetch)(path, {
      method: what.method ?? "GET",
      headers,
      credentials: "same-origin",
      ...(what.body === undefined
        ? {}
        : { body: what.body instanceof Blob ? what.body : JSON.stringify(what.body) }),
      ...(what.signal ? { signal: what.signal } : {}),
    });
  } catch (error) {
    if (what.signal?.aborted && !isTimeout(what.signal)) throw error;
    throw new ApiError(failure("offline"));
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  throw new ApiError(
    failureOf(response.status, body, response.headers.get("Retry-After"), steadyNow()),
  );
}

/** Nobody answered in time, which is no other failure than nobody answering. */
function isTimeout(signal: AbortSignal): boolean {
  return signal.reason instanceof DOMException && signal.reason.name === "TimeoutError";
}

/** The JSON of a successful call. */
export async function callJson<T>(to: Connection, path: string, what: Call = {}): Promise<T> {
  const response = await call(to, path, what);
  try {
    return (await response.json()) as T;
  } catch {
    if (what.signal && isTimeout(what.signal)) throw new ApiError(failure("offline"));
    if (what.signal?.aborted) throw new DOMException("aborted", "AbortError");
    throw new ApiError(failure("unreadable"));
  }
}
