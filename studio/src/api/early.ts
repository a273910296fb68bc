declare global {
  interface Window {
    /** What `boot.js` asked for before the scripts of the page were here. */
    kataribeEarly?: { id: string; answer: Promise<Response> };
  }
}

/** What was asked for early of a conversation, once; null where there is none, or no answer. */
export async function early(id: string): Promise<unknown> {
  const found = window.kataribeEarly;
  delete window.kataribeEarly;
  if (found?.id !== id) return null;
  try {
    const response = await found.answer;
    return response.ok ? ((await response.json()) as unknown) : null;
  } catch {
    return null;
  }
}
