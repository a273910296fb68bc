import { callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

/** A person with an account. */
export type Person = Shape<"Person">;

export type Me = Shape<"Me">;

/** A browser that the person is signed in with. Times in seconds since 1970. */
export type Session = Shape<"SessionShown">;

/** An API key by its first letters. */
export type ApiKey = Shape<"ApiKey">;

/** A key that was just made: the only time that it is shown whole. */
export type MadeKey = Shape<"ApiKeyMade">;

interface List<T> {
  data: T[];
}

const AT = "/studio/api";

export function getMe(to: Connection, signal: AbortSignal): Promise<Me> {
  return callJson(to, `${AT}/me`, { signal });
}

export function signIn(to: Connection, name: string, password: string): Promise<Me> {
  return callJson(to, `${AT}/sign-in`, { method: "POST", body: { name, password } });
}

export function signOut(to: Connection): Promise<Me> {
  return callJson(to, `${AT}/sign-out`, { method: "POST", body: {} });
}

export async function changePassword(
  to: Connection,
  current: string,
  next: string,
): Promise<Session[]> {
  const body = { current, new: next };
  return (await callJson<List<Session>>(to, `${AT}/password`, { method: "POST", body })).data;
}

export async function listSessions(to: Connection, signal: AbortSignal): Promise<Session[]> {
  return (await callJson<List<Session>>(to, `${AT}/sessions`, { signal })).data;
}

export async function endSession(to: Connection, id: string): Promise<Session[]> {
  return (await callJson<List<Session>>(to, `${AT}/sessions/${id}`, { method: "DELETE" })).data;
}

export async function listKeys(to: Connection, signal: AbortSignal): Promise<ApiKey[]> {
  return (await callJson<List<ApiKey>>(to, `${AT}/keys`, { signal })).data;
}

export function makeKey(to: Connection, name: string): Promise<MadeKey> {
  return callJson(to, `${AT}/keys`, { method: "POST", body: { name } });
}

export async function deleteKey(to: Connection, id: string): Promise<ApiKey[]> {
  return (await callJson<List<ApiKey>>(to, `${AT}/keys/${id}`, { method: "DELETE" })).data;
}
