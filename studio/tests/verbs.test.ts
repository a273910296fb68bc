import { describe, expect, it } from "vitest";

import { isAt, verbOf, VERBS } from "../src/app/verbs";

describe("the verbs", () => {
  it("know their pages, and what lies below them", () => {
    expect(verbOf("/chat")?.name).toBe("use");
    expect(verbOf("/chat/abc")?.name).toBe("use");
    expect(verbOf("/search")?.name).toBe("use");
    expect(verbOf("/models/some/name.v1")?.name).toBe("run");
    expect(verbOf("/training/20260101")?.name).toBe("make");
  });

  it("take nothing for theirs that only begins alike, or belongs to none", () => {
    for (const path of ["/chats", "/modelsx", "/settings", "/jobs", "/"])
      expect(verbOf(path), path).toBeUndefined();
  });

  it("share no page", () => {
    const places = VERBS.flatMap((verb) => verb.places);
    for (const place of places)
      expect(places.filter((other) => isAt(other, place.address))).toEqual([place]);
  });
});
