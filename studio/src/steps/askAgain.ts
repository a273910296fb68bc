import { failureIn, type Chats } from "../conversation/chats";
import type { Id } from "../conversation/types";

/** A tool that was allowed in a conversation is asked for again from now on; false where it failed. */
export async function askAgain(
  chats: Chats,
  id: Id,
  model: string,
  tool: string,
  on: Id,
): Promise<boolean> {
  try {
    const { allowed } = await chats.api.open(id);
    const left = allowed.filter((one) => one.model !== model || one.tool !== tool);
    chats.absorb(await chats.api.change(id, { allowed: left }));
    return true;
  } catch (error) {
    chats.change(id, (shown) => ({ ...shown, trouble: { on, failure: failureIn(error) } }));
    return false;
  }
}
