import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { renderToStaticMarkup } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { callJson } from "../src/api/client";
import { ApiError, type Failure } from "../src/api/errors";
import { useFault } from "../src/people/useFault";
import { Failed } from "../src/ui/Failed";

/** What a full server answers, worth trying again in two seconds. */
async function turnedAway(): Promise<Failure> {
  const headers = { "Retry-After": "2" };
  const full = () => Promise.resolve(new Response("{}", { status: 429, headers }));
  const error = await callJson({ key: null, fetch: full }, "/").catch((error: unknown) => error);
  if (!(error instanceof ApiError)) throw new Error("it was not turned away");
  return error.failure;
}

/** What stands on the page at this moment. */
function shown(failure: Failure): string {
  return renderToStaticMarkup(
    <QueryClientProvider client={new QueryClient()}>
      <Failed failure={failure} onRetry={() => undefined} />
    </QueryClientProvider>,
  );
}

/** Seconds that the form for signing in waits. */
function waits(failure: Failure): number {
  let found = NaN;
  function Form() {
    found = useFault(failure, "wrong").wait;
    return null;
  }
  renderToStaticMarkup(<Form />);
  return found;
}

describe("the wait that a full server asked for", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([-3_600_000, 3_600_000])("is as long when the clock jumps by %d ms", async (jump) => {
    const failure = await turnedAway();
    vi.setSystemTime(Date.now() + jump);
    expect(shown(failure)).toMatch(/disabled.*in 2 s/s);
    expect(waits(failure)).toBe(2);
    vi.advanceTimersByTime(1500);
    expect(shown(failure)).toMatch(/disabled.*in 1 s/s);
    expect(waits(failure)).toBe(1);
    vi.advanceTimersByTime(500);
    expect(shown(failure)).not.toContain("disabled");
    expect(waits(failure)).toBe(0);
  });
});
