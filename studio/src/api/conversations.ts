import { call, callJson, type Connection } from "./client";
import { early } from "./early";
import type { Shape } from "./shapes";

/** Where a message stands; `sent` is what a person said. */
export type State = Message["state"];

export type Attached = Shape<"Attached">;

export type Progress = Shape<"MessageProgress">;

export type Message = Shape<"Message">;

/** A message's place in the tree; `length` in characters. */
export type Node = Shape<"Node">;

export type Queued = Shape<"Queued">;

export type Summary = Shape<"Summary">;

export type ConversationBody = Shape<"Conversation">;

export type Accepted = Shape<"Accepted">;

/** How replies are drawn; what is left out is the model's own default. */
export type SamplingBody = Shape<"SamplingChoice">;

export type SendBody = Shape<"Send">;

export type AgainBody = Shape<"Again">;

export type ChangeBody = Shape<"ConversationChange">;

export type ConsentBody = Shape<"GiveConsent">;

export type VoteBody = Shape<"Vote">;

/** Milliseconds until what was said counts as not gone out; saying it again with its id is safe. */
const WAIT = 60_000;
const ROOT = "/studio/api/conversations";
const at = (id: string, ...more: string[]) =>
  [ROOT, ...[id, ...more].map(encodeURIComponent)].join("/");
const message = (id: string, one: string, ...more: string[]) => at(id, "messages", one, ...more);

/** Every call about one conversation; failures are `ApiError`s. */
export class ConversationApi {
  constructor(private readonly to: () => Connection) {}

  create(
    id: string,
    model: string | null,
    folder = "",
    by = new AbortController(),
  ): Promise<ConversationBody> {
    const more = { ...(model === null ? {} : { model }), ...(folder === "" ? {} : { folder }) };
    return this.post(ROOT, { id, ...more }, by);
  }

  async open(id: string): Promise<ConversationBody> {
    const body = (await early(id)) as ConversationBody | null;
    return body ?? callJson(this.to(), at(id));
  }

  change(id: string, body: ChangeBody): Promise<ConversationBody> {
    return callJson(this.to(), at(id), { method: "PATCH", body });
  }

  restore(id: string): Promise<Summary> {
    return this.post(at(id, "restore"), {});
  }

  async read(id: string, ids: readonly string[]): Promise<Message[]> {
    const by = new AbortController();
    return (await this.post<{ data: Message[] }>(at(id, "read"), { ids }, by)).data;
  }

  /** `by` takes it back; it may have arrived all the same. */
  send(id: string, body: SendBody, by = new AbortController()): Promise<Accepted> {
    return this.post(at(id, "messages"), body, by);
  }

  again(id: string, one: string, body: AgainBody): Promise<Accepted> {
    return this.post(message(id, one, "again"), body);
  }

  consent(id: string, one: string, body: ConsentBody): Promise<Message> {
    return this.post(message(id, one, "consent"), body);
  }

  remove(id: string, one: string): Promise<ConversationBody> {
    return callJson(this.to(), message(id, one), { method: "DELETE" });
  }

  putBack(id: string, one: string): Promise<ConversationBody> {
    return this.post(message(id, one, "restore"), {});
  }

  rate(id: string, one: string, rating: number, remark: string): Promise<Message> {
    return callJson(this.to(), message(id, one, "rating"), {
      method: "PUT",
      body: { rating, remark },
    });
  }

  async vote(id: string, body: VoteBody): Promise<void> {
    await this.post(at(id, "votes"), body);
  }

  async stop(id: string, reply: string | null): Promise<string[]> {
    const body = reply === null ? {} : { reply };
    return (await this.post<{ stopped: string[] }>(at(id, "stop"), body)).stopped;
  }

  rewrite(id: string, item: string, text: string): Promise<Queued[]> {
    return this.queue(at(id, "queue", item), { method: "PATCH", body: { text } });
  }

  withdraw(id: string, item: string): Promise<Queued[]> {
    return this.queue(at(id, "queue", item), { method: "DELETE" });
  }

  merge(id: string, item: string, other: "previous" | "next"): Promise<Queued[]> {
    return this.queue(at(id, "queue", item, "merge"), { method: "POST", body: { other } });
  }

  now(id: string, item: string): Promise<Queued[]> {
    return this.queue(at(id, "queue", item, "now"), { method: "POST", body: {} });
  }

  steer(id: string): Promise<Queued[]> {
    return this.queue(at(id, "queue", "steer"), { method: "POST", body: {} });
  }

  /** Sends a file to stand beside a message. */
  attach(name: string, file: Blob, signal?: AbortSignal): Promise<Attached> {
    const path = `/studio/api/attachments?name=${encodeURIComponent(name)}`;
    return callJson(this.to(), path, {
      method: "POST",
      body: file,
      headers: file.type === "" ? { "Content-Type": "application/octet-stream" } : {},
      ...(signal ? { signal } : {}),
    });
  }

  async file(id: string): Promise<Blob> {
    const path = `/studio/api/attachments/${encodeURIComponent(id)}`;
    return (await call(this.to(), path)).blob();
  }

  async dropFile(id: string): Promise<void> {
    await call(this.to(), `/studio/api/attachments/${encodeURIComponent(id)}`, {
      method: "DELETE",
    });
  }

  /** With `by`, which ends it by hand, it is not waited for longer than `WAIT` either. */
  private async post<T>(path: string, body: unknown, by?: AbortController): Promise<T> {
    if (!by) return callJson(this.to(), path, { method: "POST", body });
    const late = () => by.abort(new DOMException("Nobody answered.", "TimeoutError"));
    const timer = setTimeout(late, WAIT);
    try {
      return await callJson(this.to(), path, { method: "POST", body, signal: by.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  private async queue(path: string, what: Parameters<typeof call>[2]): Promise<Queued[]> {
    return (await callJson<{ data: Queued[] }>(this.to(), path, what)).data;
  }
}
