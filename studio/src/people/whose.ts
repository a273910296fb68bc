/** Who used this browser last, by id. */
export const PERSON = "kataribe.person";

/**
 * Notes who uses this browser. Whatever somebody else left in it goes: their drafts, what they did
 * not send, their settings. Gives whether there was anybody else.
 */
export function takeOver(person: string): boolean {
  try {
    const before = localStorage.getItem(PERSON);
    localStorage.setItem(PERSON, person);
    if (before === null || before === person) return false;
    forget(localStorage);
    forget(sessionStorage);
    return true;
  } catch {
    return false; // a browser that keeps nothing
  }
}

/** Takes everything of Kataribe's out of a storage but the note of who uses it. */
export function forget(storage: Storage): void {
  const names = Array.from({ length: storage.length }, (_, at) => storage.key(at));
  for (const name of names)
    if (name?.startsWith("kataribe.") && name !== PERSON) storage.removeItem(name);
}
