import { use, useEffect, useState } from "react";
import { useNavigate } from "react-router";

import type { Failure } from "../api/errors";
import {
  makePrompt,
  renamePrompt,
  writeVersion,
  type PromptShown,
  type PromptSummary,
} from "../api/prompts";
import { useTell } from "../api/useChange";
import { failureFrom } from "../api/useModels";
import { SettingsContext } from "../settings/context";
import type { Setup } from "./bench";
import { isUnsaved, keepDraft, keepSetup, keptDraft, NEW, opened, type Draft } from "./draft";
import { EXAMPLE } from "./example";
import { useQueryClient } from "@tanstack/react-query";
import { LISTS } from "./usePrompts";

const EMPTY: Draft = { name: "", text: "", note: "" };

/** What is written of a prompt, and its way to the server. */
export function useDraft(shown: PromptShown | null, example: boolean, setup: Setup) {
  const { key } = use(SettingsContext).settings;
  const place = shown?.summary.id ?? NEW;
  const clean = shown ? opened(shown) : example ? EXAMPLE : EMPTY;
  const [draft, setDraft] = useState<Draft>(() => (example ? null : keptDraft(place)) ?? clean);
  const [saving, setSaving] = useState<"idle" | "saving" | "saved">("idle");
  const [trouble, setTrouble] = useState<Failure | null>(null);
  const navigate = useNavigate();
  const queries = useQueryClient();
  const tell = useTell(LISTS);
  const unsaved = isUnsaved(draft, shown);
  useEffect(() => keepDraft(place, unsaved ? draft : null), [place, draft, unsaved]);

  const write = (part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
    setSaving("idle");
  };
  const save = async () => {
    setSaving("saving");
    setTrouble(null);
    try {
      let found = await saved({ key }, draft, shown);
      if (shown && draft.name !== shown.summary.name)
        found = await renamePrompt({ key }, shown.summary.id, draft.name);
      keepDraft(place, null);
      queries.setQueryData(["prompt", key, found.summary.id], found);
      const { id, name } = found.summary;
      queries.setQueryData<PromptSummary[]>(["prompts", key], (list) => [
        found.summary,
        ...(list ?? []).filter((one) => one.id !== id),
      ]);
      if (shown) setDraft(opened(found));
      else {
        keepSetup(id, setup); // what was asked goes on under its own name
        keepSetup(NEW, null);
      }
      setSaving("saved");
      if (name !== shown?.summary.name)
        void navigate(`/prompts/${encodeURIComponent(name)}`, { replace: true });
      void tell();
    } catch (error) {
      setSaving("idle");
      setTrouble(failureFrom(error as Error));
    }
  };
  return {
    ...draft,
    unsaved,
    saving,
    trouble,
    setName: (name: string) => write({ name }),
    setText: (text: string) => write({ text }),
    setNote: (note: string) => write({ note }),
    forget: () => write(shown ? opened(shown) : EMPTY),
    save,
  };
}

export type WrittenDraft = ReturnType<typeof useDraft>;

async function saved(
  to: { key: string | null },
  draft: Draft,
  shown: PromptShown | null,
): Promise<PromptShown> {
  const { name, text, note } = draft;
  if (!shown) return makePrompt(to, { name, text, note });
  if (text === shown.summary.text) return shown;
  return writeVersion(to, shown.summary.id, { text, note });
}
