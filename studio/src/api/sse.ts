/** One server-sent event: its name ("message" where none was given) and its data. */
export interface ServerEvent {
  event: string;
  data: string;
}

/**
 * Turns pieces of an event stream (WHATWG HTML, section 9.2) into events.
 *
 * Pieces may end anywhere: inside a character, a line or an event. An event that the stream does
 * not close with an empty line is not delivered, as the standard says.
 */
export class EventParser {
  private readonly decoder = new TextDecoder();
  private rest = "";
  private event = "";
  private data: string[] = [];
  private pendingReturn = false;

  push(piece: Uint8Array): ServerEvent[] {
    let text = this.decoder.decode(piece, { stream: true });
    if (text === "") return [];
    // "\r\n" may be split between two pieces: the "\n" then belongs to the line already ended.
    if (this.pendingReturn && text.startsWith("\n")) text = text.slice(1);
    this.pendingReturn = text.endsWith("\r");
    const lines = (this.rest + text).split(/\r\n|\r|\n/);
    this.rest = lines.pop() ?? "";
    const events: ServerEvent[] = [];
    for (const line of lines) {
      const event = this.line(line);
      if (event) events.push(event);
    }
    return events;
  }

  private line(line: string): ServerEvent | null {
    if (line === "") {
      const event = { event: this.event || "message", data: this.data.join("\n") };
      const empty = this.data.length === 0;
      this.event = "";
      this.data = [];
      return empty ? null : event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment, sent to keep the connection open
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    return null;
  }
}

/** Events of a response's body, one by one as they arrive. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
