import { call, callJson, type Connection } from "./client";
import type { Summary } from "./conversations";
import type { Shape } from "./shapes";

/** One page of the list of conversations. */
export type ConversationList = Shape<"ConversationList">;

/** Which conversations are listed; what is left out narrows nothing. */
export interface Filter {
  folder?: string;
  deleted?: boolean;
}

export interface Change {
  title?: string;
  folder?: string;
  pinned?: boolean;
}

export type ShareFormat = "markdown" | "json" | "html";

const ROOT = "/studio/api/conversations";
const PAGE = 50;

export function listConversations(
  to: Connection,
  filter: Filter,
  after: string | null,
  signal?: AbortSignal,
): Promise<ConversationList> {
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (filter.folder !== undefined) query.set("folder", filter.folder);
  if (filter.deleted) query.set("deleted", "true");
  if (after !== null) query.set("after", after);
  return callJson(to, `${ROOT}?${query.toString()}`, signal ? { signal } : {});
}

export async function changeConversation(
  to: Connection,
  id: string,
  body: Change,
): Promise<Summary> {
  const path = `${ROOT}/${encodeURIComponent(id)}`;
  return (await callJson<{ summary: Summary }>(to, path, { method: "PATCH", body })).summary;
}

export function deleteConversation(to: Connection, id: string, forever = false): Promise<Summary> {
  const path = `${ROOT}/${encodeURIComponent(id)}${forever ? "?forever=true" : ""}`;
  return callJson(to, path, { method: "DELETE" });
}

export function restoreConversation(to: Connection, id: string): Promise<Summary> {
  const path = `${ROOT}/${encodeURIComponent(id)}/restore`;
  return callJson(to, path, { method: "POST", body: {} });
}

/** Gives every conversation of a folder another folder, or none; says how many there were. */
export async function renameFolder(to: Connection, from: string, name: string): Promise<number> {
  const body: Shape<"FolderRename"> = { folder: from, name };
  const moved: Shape<"FolderRenamed"> = await callJson(to, ROOT, { method: "PATCH", body });
  return moved.conversations;
}

/** The shown branch of a conversation as a file, with the name that the server gives it. */
export async function shareConversation(
  to: Connection,
  id: string,
  format: ShareFormat,
  language: string,
): Promise<{ file: Blob; name: string }> {
  const query = new URLSearchParams({ format, language });
  const path = `${ROOT}/${encodeURIComponent(id)}/share?${query.toString()}`;
  return named(await call(to, path), `conversation.${format === "markdown" ? "md" : format}`);
}

/** The body of an answer with its file name (RFC 6266). */
export async function named(
  response: Response,
  otherwise: string,
): Promise<{ file: Blob; name: string }> {
  const said = response.headers.get("Content-Disposition") ?? "";
  const wide = /filename\*=UTF-8''([^;]+)/i.exec(said)?.[1];
  const plain = /filename="([^"]*)"/i.exec(said)?.[1];
  let name = plain ?? otherwise;
  try {
    if (wide !== undefined) name = decodeURIComponent(wide);
  } catch {
    // badly written: the plain name serves
  }
  return { file: await response.blob(), name };
}
