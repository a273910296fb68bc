import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { goesTo, hostOf, type GoesTo } from "../src/assistants/goesTo";
import { EmptyChat } from "../src/chat/EmptyChat";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";

const MODELS = [
  { id: "smollm2-135m", owned_by: "HuggingFaceTB" },
  { id: "helper", owned_by: "assistant" },
  { id: "far", owned_by: "assistant" },
  { id: "usual", owned_by: "assistant" },
  { id: "round", owned_by: "assistant" },
];

function assistants(usual: string) {
  const data = [
    { name: "helper", models: ["smollm2-135m"] },
    { name: "far", models: ["openai:gpt-5", "usual", "ollama:qwen3"] },
    { name: "usual", models: [] },
    { name: "round", models: ["round", "far"] },
  ];
  return { data, default_model: usual } as unknown as NonNullable<Parameters<typeof goesTo>[2]>;
}

describe("where what one writes goes", () => {
  it("knows the host of a reference, and none of a bare name", () => {
    expect(hostOf("openai:gpt-5")).toBe("openai");
    expect(hostOf("my-box:a:b")).toBe("my-box");
    for (const name of ["smollm2-135m", "Openai:x", ":x", "openai:", ""])
      expect(hostOf(name)).toBeNull();
  });

  it("stays where only models of this machine are asked", () => {
    expect(goesTo(["smollm2-135m"], MODELS, null)).toEqual({ stays: true, hosts: [] });
  });

  it("goes to the host of a hosted model, beside others too", () => {
    expect(goesTo(["openai:gpt-5"], MODELS, null)).toEqual({ stays: false, hosts: ["openai"] });
    const both = goesTo(["smollm2-135m", "gemini:x", "openai:y", "gemini:z"], MODELS, null);
    expect(both).toEqual({ stays: false, hosts: ["gemini", "openai"] });
  });

  it("is not said to stay with an assistant, whose tools may send it on", () => {
    const list = assistants("smollm2-135m");
    expect(goesTo(["helper"], MODELS, list)).toEqual({ stays: false, hosts: [] });
    expect(goesTo(["smollm2-135m", "helper"], MODELS, list).stays).toBe(false);
  });

  it("follows assistants to their models, and to the default of those that name none", () => {
    const list = assistants("anthropic:claude");
    expect(goesTo(["far"], MODELS, list).hosts).toEqual(["openai", "anthropic", "ollama"]);
    expect(goesTo(["round"], MODELS, list).hosts).toEqual(["openai", "anthropic", "ollama"]);
    expect(goesTo(["usual"], MODELS, assistants("smollm2-135m")).hosts).toEqual([]);
  });

  it("claims nothing before it is known who is asked", () => {
    expect(goesTo([], [], null)).toEqual({ stays: false, hosts: [] });
    expect(goesTo(["far"], MODELS, null)).toEqual({ stays: false, hosts: [] });
    expect(goesTo(["unknown"], MODELS, null).stays).toBe(false);
  });
});

describe("the empty chat", () => {
  const drawn = (where: GoesTo) =>
    renderToStaticMarkup(
      <EmptyChat onAsk={null} small={false} assistant={null} goesTo={where} notice={null} />,
    );

  it("says that words stay only where they do", () => {
    const here = drawn({ stays: true, hosts: [] });
    expect(here).toContain("nowhere else");
    const unknown = drawn({ stays: false, hosts: [] });
    expect(unknown).toContain(en.chat.teachAny);
    expect(unknown).not.toContain("nowhere else");
  });

  it("names the hosts", () => {
    const far = drawn({ stays: false, hosts: ["openai", "gemini"] });
    expect(far).toContain("openai and gemini, where the model runs");
    expect(far).not.toContain("nowhere else");
    expect(ja.chat.goesTo("openai")).toContain("openai に送信");
  });
});
