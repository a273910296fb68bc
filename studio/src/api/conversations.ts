import { call, callJson, type Connection } from "./client";

/** The shapes of `/studio/api/conversations`, after `serve/shapes/conversations.py`. */
export type State = "sent" | "waiting" | "writing" | "done" | "stopped" | "failed" | "interrupted";

export interface Attached {
  id: string;
  name: string;
  media_type: string;
  /** Bytes. */
  size: number;
}

export interface Progress {
  stage: "queued" | "loading" | "reading";
  done: number;
  total: number | null;
  /** Seconds, about. */
  eta?: number | null;
}

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  /** Of what a person said: `sent`. */
  state: State;
  text: string;
  reasoning: string;
  model: string | null;
  /** Replies side by side share one. */
  group: string | null;
  asked: Record<string, unknown>;
  sources: string[];
  attachments: Attached[];
  finish: string | null;
  detail: string;
  failure: { code: string; message: string } | null;
  progress: Progress | null;
  usage: { prompt: number; cached: number; completion: number } | null;
  /** Seconds from asking to the first and to the last word. */
  first_after: number | null;
  took: number | null;
  rating: number;
  remark: string;
  /** Seconds since 1970. */
  created_at: number;
}

/** A message's place in the tree; `length` in characters. */
export interface Node {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  length: number;
}

export interface Queued {
  id: string;
  text: string;
  attachments: Attached[];
  models: string[];
  created_at: number;
}

export interface Summary {
  id: string;
  title: string;
  titled_by: "model" | "person" | null;
  folder: string;
  pinned: boolean;
  model: string | null;
  created_at: number;
  updated_at: number;
  deleted: boolean;
  running: boolean;
  waiting: number;
}

export interface ConversationBody {
  summary: Summary;
  system: string;
  sampling: Record<string, unknown>;
  head: string | null;
  version: number;
  nodes: Node[];
  messages: Message[];
  queue: Queued[];
}

export interface Accepted {
  id: string;
  state: "sent" | "queued";
  replies: string[];
  version: number;
}

/** How replies are drawn; what is left out is the model's own default. */
export interface SamplingBody {
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
}

export interface SendBody {
  id: string;
  text: string;
  attachments?: string[];
  models?: string[];
  sampling?: SamplingBody;
  parent?: string;
  root?: boolean;
  when?: "queue" | "now" | "steer";
}

export interface AgainBody {
  id: string;
  model?: string;
  sampling?: SamplingBody;
  beginning?: string;
}

export interface ChangeBody {
  title?: string;
  model?: string;
  head?: string;
}

export interface VoteBody {
  id: string;
  group: string;
  winner: string | null;
  shown: string[];
  blind: boolean;
}

const ROOT = "/studio/api/conversations";
const at = (id: string, ...more: string[]) =>
  [ROOT, ...[id, ...more].map(encodeURIComponent)].join("/");
const message = (id: string, one: string, ...more: string[]) => at(id, "messages", one, ...more);

/** Every call about one conversation; failures are `ApiError`s. */
export class ConversationApi {
  constructor(private readonly to: () => Connection) {}

  create(id: string, model: string | null): Promise<ConversationBody> {
    return this.post(ROOT, { id, ...(model === null ? {} : { model }) });
  }

  open(id: string, signal?: AbortSignal): Promise<ConversationBody> {
    return callJson(this.to(), at(id), signal ? { signal } : {});
  }

  change(id: string, body: ChangeBody): Promise<ConversationBody> {
    return callJson(this.to(), at(id), { method: "PATCH", body });
  }

  restore(id: string): Promise<Summary> {
    return this.post(at(id, "restore"), {});
  }

  async read(id: string, ids: readonly string[]): Promise<Message[]> {
    return (await this.post<{ data: Message[] }>(at(id, "read"), { ids })).data;
  }

  send(id: string, body: SendBody): Promise<Accepted> {
    return this.post(at(id, "messages"), body);
  }

  again(id: string, one: string, body: AgainBody): Promise<Accepted> {
    return this.post(message(id, one, "again"), body);
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

  private post<T>(path: string, body: unknown): Promise<T> {
    return callJson(this.to(), path, { method: "POST", body });
  }

  private async queue(path: string, what: Parameters<typeof call>[2]): Promise<Queued[]> {
    return (await callJson<{ data: Queued[] }>(this.to(), path, what)).data;
  }
}
