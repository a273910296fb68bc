import type { ConversationList, Filter } from "../api/list";
import type { Summary } from "../api/conversations";

/** Whether a conversation belongs into a list. */
export function belongs(one: Summary, filter: Filter): boolean {
  if (one.deleted !== (filter.deleted ?? false)) return false;
  return filter.folder === undefined || filter.folder === one.folder;
}

/** Pinned ones first, then those that changed last. */
function before(one: Summary, other: Summary): boolean {
  if (one.pinned !== other.pinned) return one.pinned;
  return one.updated_at > other.updated_at;
}

/**
 * The pages of a list after one of its conversations changed.
 *
 * What is older than all that is loaded is left to the page that it comes with.
 */
export function withChange(
  pages: readonly ConversationList[],
  one: Summary,
  filter: Filter,
): ConversationList[] {
  const without = withoutOne(pages, one.id);
  const first = without[0];
  if (!first) return without;
  if (one.folder !== "" && !one.deleted && !first.folders.includes(one.folder))
    first.folders = [...first.folders, one.folder].sort((a, b) => a.localeCompare(b));
  if (!belongs(one, filter)) return without;
  for (const page of without) {
    const at = page.data.findIndex((other) => before(one, other));
    if (at === -1) continue;
    page.data = [...page.data.slice(0, at), one, ...page.data.slice(at)];
    return without;
  }
  const last = without.at(-1);
  if (last && last.next === null) last.data = [...last.data, one];
  return without;
}

export function withoutOne(pages: readonly ConversationList[], id: string): ConversationList[] {
  return pages.map((page) => ({ ...page, data: page.data.filter((one) => one.id !== id) }));
}
