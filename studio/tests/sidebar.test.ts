import { describe, expect, it } from "vitest";

import type { Summary } from "../src/api/conversations";
import { named, renameFolder, type ConversationList } from "../src/api/list";
import { marked } from "../src/search/marked";
import { withChange, withoutOne } from "../src/sidebar/order";

const one = (id: string, updated_at: number, more: Partial<Summary> = {}): Summary => ({
  id,
  title: id,
  titled_by: null,
  folder: "",
  pinned: false,
  model: null,
  created_at: 0,
  updated_at,
  deleted: false,
  running: false,
  waiting: 0,
  ...more,
});

const page = (next: string | null, ...data: Summary[]): ConversationList => ({
  data,
  folders: [],
  next,
});

const ids = (pages: readonly ConversationList[]) =>
  pages.map((each) => each.data.map((summary) => summary.id).join(" "));

describe("withChange", () => {
  const pages = () => [
    page("c", one("p", 1, { pinned: true }), one("a", 9), one("b", 8)),
    page("f", one("d", 6), one("e", 5)),
  ];

  it("brings what changed to the top, below what is pinned", () => {
    expect(ids(withChange(pages(), one("e", 10), {}))).toEqual(["p e a b", "d"]);
    expect(ids(withChange(pages(), one("new", 10), {}))).toEqual(["p new a b", "d e"]);
    expect(ids(withChange(pages(), one("e", 5, { pinned: true }), {}))).toEqual(["e p a b", "d"]);
    expect(ids(withChange(pages(), one("p", 1), {}))).toEqual(["a b", "d e"]); // older than all
  });

  it("leaves what is older than all that is loaded to its own page, unless there is none", () => {
    expect(ids(withChange(pages(), one("old", 1), {}))).toEqual(["p a b", "d e"]);
    const whole = pages();
    whole[1] = page(null, one("d", 6), one("e", 5));
    expect(ids(withChange(whole, one("old", 1), {}))).toEqual(["p a b", "d e old"]);
  });

  it("takes out what no longer belongs, and lets in what does", () => {
    const folder = [page(null, one("x", 3, { folder: "F" }))];
    expect(ids(withChange(folder, one("x", 4), { folder: "F" }))).toEqual([""]);
    expect(ids(withChange(folder, one("y", 4, { folder: "F" }), { folder: "F" }))).toEqual(["y x"]);
    expect(ids(withChange(pages(), one("a", 9, { deleted: true }), {}))).toEqual(["p b", "d e"]);
    const gone = one("a", 9, { deleted: true });
    expect(ids(withChange([page(null)], gone, { deleted: true }))).toEqual(["a"]);
  });

  it("learns new folders, and changes nothing that it was given", () => {
    const before = pages();
    const after = withChange(before, one("a", 9, { folder: "仕事" }), {});
    expect(after[0]?.folders).toEqual(["仕事"]);
    expect(before[0]?.folders).toEqual([]);
    expect(ids(before)).toEqual(["p a b", "d e"]);
    expect(ids(withoutOne(before, "d"))).toEqual(["p a b", "e"]);
  });

  it("does nothing to a list that is not there", () => {
    expect(withChange([], one("a", 1), {})).toEqual([]);
  });
});

describe("marked", () => {
  it("counts characters, not UTF-16 units", () => {
    expect(
      marked("𠮷野家 is 𠮷", [
        [0, 1],
        [7, 8],
      ]),
    ).toEqual([
      { text: "𠮷", found: true },
      { text: "野家 is ", found: false },
      { text: "𠮷", found: true },
    ]);
  });

  it("takes marks that overlap, are out of order or reach beyond", () => {
    const pieces = marked("abcdef", [
      [4, 99],
      [0, 2],
      [1, 3],
    ]);
    expect(pieces.map((piece) => piece.text).join("")).toBe("abcdef");
    expect(pieces.filter((piece) => piece.found).map((piece) => piece.text)).toEqual([
      "ab",
      "c",
      "ef",
    ]);
    expect(marked("", [[0, 3]])).toEqual([]);
  });
});

describe("named", () => {
  it.each([
    ["attachment; filename=\"a.md\"; filename*=UTF-8''%E8%AA%9E.md", "語.md"],
    ['attachment; filename="plain.md"', "plain.md"],
    ["attachment; filename*=UTF-8''%E8%A", "other"],
    ["", "other"],
  ])("reads %j as %j", async (header, name) => {
    const response = new Response("x", { headers: { "Content-Disposition": header } });
    expect((await named(response, "other")).name).toBe(name);
  });
});

describe("renameFolder", () => {
  it("asks the server once, for all that is in the folder", async () => {
    const asked: unknown[] = [];
    const answer: typeof fetch = (path, what) => {
      asked.push([path, what?.method, what?.body]);
      return Promise.resolve(Response.json({ conversations: 300 }));
    };
    expect(await renameFolder({ key: null, fetch: answer }, "a/b", "旅")).toBe(300);
    const body = JSON.stringify({ folder: "a/b", name: "旅" });
    expect(asked).toEqual([["/studio/api/conversations", "PATCH", body]]);
  });
});
