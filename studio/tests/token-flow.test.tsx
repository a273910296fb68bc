import { renderToStaticMarkup } from "react-dom/server";
import { expect, it } from "vitest";

import type { Token } from "../src/api/inside";
import { share } from "../src/inside/ChosenToken";
import { TokenFlow } from "../src/inside/TokenFlow";

it("shades each token by how unsure the model was", () => {
  const bits = [0, 0.7, 2, 4, 8, 0.1];
  const tokens = bits.map((entropy): Token => {
    const plain = { id: 1, piece: "a", kind: "text", shown: "a", start: 0, whole: true } as const;
    return { ...plain, logprob: 0, rank: 1, entropy, top: [] };
  });
  const page = renderToStaticMarkup(
    <TokenFlow tokens={tokens} position={0} onPosition={() => undefined} label="Tokens" />,
  );
  const shades = [...page.matchAll(/class="token ([^"]*)"/g)].map((found) => found[1]);
  expect(shades).toEqual(
    ["sure-0", "sure-1", "sure-2", "sure-3", "sure-4", "sure-0"].map((name) => `${name} text`),
  );
  const said = [...page.matchAll(/aria-label="a, ([^"]*)"/g)].map((found) => found[1]);
  expect(said).toEqual(["0.0 bits", "0.7 bits", "2.0 bits", "4.0 bits", "8.0 bits", "0.1 bits"]);
});

it("writes small probabilities with as many digits as it takes to see them", () => {
  expect(
    [1, 0.1234, 0.01, 0.0012345, 0.000011, 0.000001, 0].map((one) => share("en", one)),
  ).toEqual(["100.0%", "12.3%", "1.0%", "0.123%", "0.001%", "< 0.001%", "0.000%"]);
});
