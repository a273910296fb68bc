import { use, useCallback, useEffect, useReducer, useRef, useState } from "react";

import {
  checkRecipe,
  putAssistant,
  readAssistant,
  type AssistantDetail,
  type RecipeChecked,
} from "../api/assistants";
import { ApiError, type Failure } from "../api/errors";
import { useTell } from "../api/useChange";
import { failureFrom } from "../api/useModels";
import { SettingsContext } from "../settings/context";
import { changed, forget, isUnsaved, keep, kept, opened, type Draft } from "./draft";
import type { Fields } from "./fields";
import { isName } from "./gallery";
import { LISTS } from "./useAssistants";

/** Milliseconds without a change until the server looks: slower than fast typing. */
const PAUSE = 350;

/** What stands where nothing has a name yet; the server only looks whether it asks itself. */
const UNNAMED = "recipe";

export type Saving = "idle" | "saving" | "saved" | "wrong" | "taken";

/** A draft with its way to the server: looked at while it is written, and saved. */
export function useEditor(
  place: string,
  start: Draft,
  first: Saving,
  onSaved: (one: AssistantDetail) => void,
) {
  const { key } = use(SettingsContext).settings;
  const tell = useTell(LISTS);
  const [draft, dispatch] = useReducer(changed, start, (clean) => kept(place) ?? clean);
  const [trouble, setTrouble] = useState<Failure | null>(null);
  const [saving, setSaving] = useState<Saving>(first);
  const latest = useRef(draft);
  useEffect(() => {
    latest.current = draft;
    keep(place, draft);
  }, [place, draft]);

  /** The newest state as the server sees it; it may have grown older by then. */
  const check = useCallback(
    async (signal?: AbortSignal): Promise<RecipeChecked> => {
      const { name, text, fields, ahead, version } = latest.current;
      const recipe = { name: isName(name) ? name : UNNAMED, text };
      const found = await checkRecipe({ key }, recipe, ahead === "form" ? fields : null, signal);
      dispatch({ type: "checked", version, found });
      return found;
    },
    [key],
  );

  useLooking(draft, check, setTrouble);

  const change = (act: () => void) => {
    setSaving("idle");
    act();
  };

  /** Saves over `over`; what is wrong is shown and nothing is written. */
  const save = async (over: string | null = latest.current.saved?.tag ?? null) => {
    setTrouble(null);
    setSaving("saving");
    try {
      const { name } = latest.current;
      const { text, problems } = await check();
      if (problems.length > 0 || !isName(name)) {
        setSaving("wrong");
        return;
      }
      const detail = await putAssistant({ key }, { name, text }, over);
      dispatch({ type: "saved", detail });
      forget(place);
      void tell();
      setSaving("saved");
      onSaved(detail);
    } catch (error) {
      setTrouble(failureFrom(error as Error));
      setSaving(isTaken(error) ? "taken" : "idle");
    }
  };

  const current = async () => readAssistant({ key }, latest.current.name);
  /** After somebody else has written: what is there now takes this one's place, or the reverse. */
  const settle = async (whose: "theirs" | "mine") => {
    try {
      const theirs = await current();
      if (whose === "mine") return await save(theirs.assistant.tag);
      dispatch({ type: "open", draft: opened(theirs) });
      setTrouble(null);
      setSaving("idle");
    } catch (error) {
      // Deleted meanwhile: it is saved as a new one.
      if (whose === "mine" && error instanceof ApiError && error.failure.kind === "gone")
        return save(null);
      setTrouble(failureFrom(error as Error));
    }
  };

  return {
    draft,
    trouble,
    saving,
    unsaved: isUnsaved(draft),
    setName: (name: string) => change(() => dispatch({ type: "name", name })),
    setFields: (part: Partial<Fields>) => change(() => dispatch({ type: "fields", part })),
    setText: (text: string) => change(() => dispatch({ type: "text", text })),
    /** Back to what is saved. */
    forget: () => change(() => dispatch({ type: "forget", start })),
    check,
    save,
    settle,
  };
}

export type Editor = ReturnType<typeof useEditor>;

function isTaken(error: unknown): boolean {
  return error instanceof ApiError && error.failure.kind === "taken";
}

/** Has the server look at what changed, once nothing more changes for a moment. */
function useLooking(
  { ahead, version }: Draft,
  check: (signal: AbortSignal) => Promise<RecipeChecked>,
  onTrouble: (failure: Failure | null) => void,
) {
  useEffect(() => {
    if (ahead === null) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      check(abort.signal).then(
        () => onTrouble(null),
        (error: unknown) => {
          if (!abort.signal.aborted) onTrouble(failureFrom(error as Error));
        },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [ahead, version, check, onTrouble]);
}
