import { describe, expect, it } from "vitest";

import { EventParser, type ServerEvent } from "../src/api/sse";

const STREAM =
  ": hello\n\n" +
  'event: kataribe.progress\ndata: {"stage":"queued"}\n\n' +
  "data: 語り部は\ndata:  🗣️ と言う\n\n" +
  "id: 7\nretry: 10\nunknown\ndata:x\r\n\r\n" +
  "data\n\n" +
  "event: lost\n\n" +
  "data: [DONE]\n\ndata: never closed";

const EVENTS: ServerEvent[] = [
  { event: "kataribe.progress", data: '{"stage":"queued"}' },
  { event: "message", data: "語り部は\n 🗣️ と言う" },
  { event: "message", data: "x" },
  { event: "message", data: "" },
  { event: "message", data: "[DONE]" },
];

function feed(bytes: Uint8Array, cuts: number[]): ServerEvent[] {
  const parser = new EventParser();
  const ends = [...cuts, bytes.length];
  let start = 0;
  return ends.flatMap((end) => {
    const events = parser.push(bytes.slice(start, end));
    start = end;
    return events;
  });
}

describe("EventParser", () => {
  const bytes = new TextEncoder().encode(STREAM);

  it("reads fields, comments, joined data and every line end", () => {
    expect(feed(bytes, [])).toEqual(EVENTS);
  });

  it("gives the same events wherever the pieces are cut", () => {
    for (let cut = 0; cut <= bytes.length; cut += 1)
      expect(feed(bytes, [cut]), `cut at ${cut}`).toEqual(EVENTS);
    expect(feed(bytes, [...bytes.keys()])).toEqual(EVENTS);
  });

  it.each(["\n", "\r", "\r\n"])("takes %j as the end of a line, also in single bytes", (end) => {
    const text = new TextEncoder().encode(["data: a", "data: b", "", "data: c", "", ""].join(end));
    const expected = [
      { event: "message", data: "a\nb" },
      { event: "message", data: "c" },
    ];
    expect(feed(text, [])).toEqual(expected);
    expect(feed(text, [...text.keys()])).toEqual(expected);
  });
});
