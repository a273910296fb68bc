import { describe, expect, it } from "vitest";

import { browserOf, looksOf, signInFrom, wantedFrom } from "../src/people/ways";

const HERE = "http://localhost:8720";

describe("where signing in leads", () => {
  it("is where one wanted to go", () => {
    const at = { pathname: "/chat/abc", search: "?q=語 り", hash: "#m" };
    const [, search = ""] = signInFrom(at).split("/sign-in");
    expect(wantedFrom(search, HERE)).toBe("/chat/abc?q=%E8%AA%9E%20%E3%82%8A#m");
    expect(signInFrom({ pathname: "/", search: "", hash: "" })).toBe("/sign-in");
  });

  it.each([
    "",
    "?to=https://evil.example.org/x",
    "?to=//evil.example.org",
    "?to=/%5Cevil.example.org",
    "?to=%5C%5Cevil.example.org",
    "?to=javascript:alert(1)",
    "?to=/sign-in?to=/sign-in",
    "?to=http://localhost:8720//evil.example.org",
    "?to=%00",
  ])("is never elsewhere: %s", (search) => {
    expect(wantedFrom(search, HERE)).toBe("/");
  });
});

describe("what stays when somebody else signs in", () => {
  it("is how the browser looks, and nothing of a person", () => {
    const saved = { language: "ja", theme: "dark", enterSends: false, key: "k", system: "secret" };
    const kept = JSON.parse(looksOf(JSON.stringify(saved)) ?? "") as unknown;
    expect(kept).toEqual({ language: "ja", theme: "dark", enterSends: false });
    for (const broken of [null, "", "{", "3", "null"]) expect(looksOf(broken)).toBeNull();
  });
});

describe("browsers", () => {
  it("are called as people call them", () => {
    const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140 Safari/537.36";
    expect(browserOf(chrome)).toBe("Chrome, Linux");
    expect(browserOf(`${chrome} Edg/140`)).toBe("Edge, Linux");
    const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18 Safari/604";
    expect(browserOf(phone)).toBe("Safari, iOS");
    expect(browserOf("curl/8")).toBe("curl/8");
    expect(browserOf("")).toBe("");
  });
});
