import type { ConversationBody, SendBody } from "../api/conversations";
import { Tree } from "./tree";
import { isLive, type Id, type Message, type Sending, type Shown } from "./types";

/** A conversation of which nothing is known yet but its name. */
export function blank(id: Id, state: Shown["state"], sending: readonly Sending[] = []): Shown {
  return {
    id,
    state,
    failure: null,
    summary: null,
    head: null,
    version: -1,
    tree: Tree.of([]),
    path: [],
    queue: [],
    sending,
    live: [],
    trouble: null,
    undo: null,
    votes: {},
  };
}

/** As the server tells the whole of it; what this tab alone knows is kept. */
export function told(shown: Shown, body: ConversationBody): Shown {
  const tree = Tree.of(body.nodes);
  return settle({
    ...shown,
    state: "here",
    failure: null,
    summary: body.summary,
    head: body.head,
    version: body.version,
    tree,
    path: tree.path(body.head),
    queue: body.queue,
    votes: { ...shown.votes, ...body.votes },
    live: shown.live.filter((id) => tree.has(id)),
  });
}

/** With a message's place in the tree, and whether it is being written. */
export function placed(shown: Shown, message: Message): Shown {
  const { id, parent, role } = message;
  const known = shown.tree.has(id);
  const listed = shown.live.includes(id);
  if (known && listed === isLive(message)) return shown;
  const tree = shown.tree.with({ id, parent, role, length: message.text.length });
  const others = shown.live.filter((one) => one !== id);
  const next = {
    ...shown,
    tree,
    path: known ? shown.path : tree.path(shown.head),
    live: isLive(message) ? [...others, id] : others,
  };
  return known ? next : settle(next);
}

/** Shows the branch that ends at `head`, as far as it is known here. */
export function headed(shown: Shown, head: Id | null, version: number): Shown {
  if (version < shown.version) return shown;
  if (head === shown.head && version === shown.version) return shown;
  return { ...shown, head, version, path: shown.tree.path(head) };
}

/** Whether the branch that is shown is here from its top down to the head. */
export function isWhole({ head, path, tree }: Shown): boolean {
  const top = path[0];
  if (head === null) return true;
  return path.at(-1) === head && top !== undefined && tree.get(top)?.parent === null;
}

export function removed(shown: Shown, ids: readonly Id[]): Shown {
  if (!ids.some((id) => shown.tree.has(id))) return shown;
  const tree = shown.tree.without(ids);
  return {
    ...shown,
    tree,
    path: tree.path(shown.head),
    live: shown.live.filter((id) => tree.has(id)),
  };
}

/**
 * Takes off what was on its way and has arrived, as a message or as a place in the queue, and what
 * waited and has become a message: an answer may tell of a queue that is older than the messages.
 */
export function settle(told: Shown): Shown {
  const late = told.queue.some((item) => told.tree.has(item.id));
  const queue = late ? told.queue.filter((item) => !told.tree.has(item.id)) : told.queue;
  const shown = late ? { ...told, queue } : told;
  if (shown.sending.length === 0) return shown;
  const waits = new Set(shown.queue.map((item) => item.id));
  const left = shown.sending.filter(({ body }) => !shown.tree.has(body.id) && !waits.has(body.id));
  return left.length === shown.sending.length ? shown : { ...shown, sending: left };
}

/** Whether something said now would have to wait. */
export function isPending(shown: Shown): boolean {
  return shown.live.length > 0 || shown.queue.length > 0 || shown.sending.length > 0;
}

/** Where an unconfirmed message will stand: in the queue, or as a question on the branch. */
export function standsInQueue(sending: Sending): boolean {
  return sending.queues && (sending.body.when ?? "queue") === "queue";
}

export function sendBody(
  id: Id,
  text: string,
  how: { models: readonly string[]; sampling: SendBody["sampling"]; attachments: readonly Id[] },
): SendBody {
  return {
    id,
    text,
    models: [...how.models],
    ...(how.attachments.length === 0 ? {} : { attachments: [...how.attachments] }),
    ...(how.sampling && Object.keys(how.sampling).length > 0 ? { sampling: how.sampling } : {}),
  };
}
