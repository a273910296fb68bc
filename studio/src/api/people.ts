import { callJson, type Connection } from "./client";

/** Shapes of `serve/shapes/people.py`. */
export interface Person {
  id: string;
  name: string;
}

export interface Me {
  /** `single`: one person, without any sign-in. */
  mode: "single" | "accounts";
  /** null: nobody is signed in. */
  person: Person | null;
  needs_key: boolean;
}

/** A browser that the person is signed in with. Times in seconds since 1970. */
export interface Session {
  id: string;
  agent: string;
  created_at: number;
  seen_at: number;
  current: boolean;
}

/** An API key by its first letters. */
export interface ApiKey {
  id: string;
  name: string;
  begins: string;
  created_at: number;
  used_at: number | null;
}

/** A key that was just made: the only time that it is shown whole. */
export interface MadeKey extends ApiKey {
  key: string;
}

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
