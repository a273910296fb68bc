import { useEffect, useId } from "react";

import type { PromptShown } from "../api/prompts";
import { useText } from "../i18n";
import { belongsToInputMethod } from "../ui/composing";
import { Failed } from "../ui/Failed";
import { CheckIcon, InfoIcon } from "../ui/icons";
import { useComposition } from "../ui/useComposition";
import { isName } from "./draft";
import { faultOf } from "./template";
import type { WrittenDraft } from "./useDraft";

/** The same in every language. */
const SAVES = "Ctrl+S";

interface Props {
  draft: WrittenDraft;
  shown: PromptShown | null;
  taken: readonly string[];
  variables: readonly string[];
}

/** The prompt's name, words and note, and the way to save them as a version. */
export function WritePart({ draft, shown, taken, variables }: Props) {
  const text = useText();
  const words = text.prompts;
  const id = useId();
  const { inForm } = useComposition();
  const { name, saving, unsaved } = draft;
  const fault = faultOf(draft.text);
  const wrong = name === "" ? "" : nameFault(name, shown, taken, words);
  const can = name !== "" && wrong === "" && draft.text !== "" && !fault;
  const save = () => {
    if (can && unsaved && saving !== "saving") void draft.save();
  };
  useSaveKey(save);
  return (
    <section className="prompt-write" aria-label={words.saving}>
      <NameField draft={draft} wrong={wrong} />
      <div className="labelled">
        <label htmlFor={`${id}-text`}>{words.text}</label>
        <textarea
          id={`${id}-text`}
          className="field words"
          rows={4}
          lang=""
          dir="auto"
          value={draft.text}
          aria-invalid={fault !== null}
          aria-describedby={`${id}-why`}
          onChange={(event) => draft.setText(event.target.value)}
        />
        <p id={`${id}-why`} className={fault ? "small fault" : "small soft"} role="status">
          {fault ? words.fault(String(fault.line), fault.piece) : words.textWhy}
        </p>
        <p className="small variables" role="status">
          {variables.length === 0 ? (
            <span className="soft">{words.noVariables}</span>
          ) : (
            <>
              {words.variables}{" "}
              {variables.map((one) => (
                <code key={one} translate="no">
                  {one}
                </code>
              ))}
            </>
          )}
        </p>
      </div>
      <div className="labelled">
        <label htmlFor={`${id}-note`}>{words.note}</label>
        <input
          id={`${id}-note`}
          className="field"
          autoComplete="off"
          maxLength={200}
          lang=""
          value={draft.note}
          onChange={(event) => draft.setNote(event.target.value)}
          {...inForm}
        />
      </div>
      <SaveRow draft={draft} fresh={shown === null} can={can} onSave={save} />
      {draft.trouble ? <Failed failure={draft.trouble} onRetry={save} /> : null}
    </section>
  );
}

interface NameProps {
  draft: WrittenDraft;
  wrong: string;
}

function NameField({ draft, wrong }: NameProps) {
  const words = useText().prompts;
  const id = useId();
  const { inForm } = useComposition();
  return (
    <div className="labelled name">
      <label htmlFor={id}>{words.name}</label>
      <input
        id={id}
        className="field typed"
        autoComplete="off"
        spellCheck={false}
        autoCapitalize="off"
        maxLength={64}
        translate="no"
        value={draft.name}
        aria-invalid={wrong !== ""}
        aria-describedby={`${id}-name`}
        onChange={(event) => draft.setName(event.target.value)}
        {...inForm}
      />
      <p id={`${id}-name`} className={wrong === "" ? "small soft" : "small fault"} role="status">
        {wrong === "" ? words.nameWhy : wrong}
      </p>
    </div>
  );
}

interface SaveProps {
  draft: WrittenDraft;
  fresh: boolean;
  can: boolean;
  onSave: () => void;
}

function SaveRow({ draft, fresh, can, onSave }: SaveProps) {
  const words = useText().prompts;
  const { saving, unsaved } = draft;
  return (
    <div className="row">
      <button
        type="button"
        className="button primary"
        aria-disabled={!can || !unsaved || saving === "saving"}
        title={SAVES}
        onClick={onSave}
      >
        {fresh ? words.make : words.save}
      </button>
      {unsaved ? (
        <button type="button" className="button quiet" onClick={draft.forget}>
          {words.forget}
        </button>
      ) : null}
      <span role="status" className="state-sign small">
        {saving === "saving" ? (
          words.savingNow
        ) : unsaved ? (
          <>
            <InfoIcon size={16} />
            {words.unsaved}
          </>
        ) : saving === "saved" ? (
          <>
            <CheckIcon size={16} />
            {words.saved}
          </>
        ) : null}
      </span>
    </div>
  );
}

function nameFault(
  name: string,
  shown: PromptShown | null,
  taken: readonly string[],
  words: ReturnType<typeof useText>["prompts"],
): string {
  if (!isName(name)) return words.nameFault;
  const kept = name.normalize("NFKC").trim();
  return kept !== shown?.summary.name && taken.includes(kept) ? words.nameTaken : "";
}

/** Ctrl+S (Cmd+S) saves. */
function useSaveKey(save: () => void) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "s" || event.altKey || event.shiftKey) return;
      if (event.ctrlKey === event.metaKey || belongsToInputMethod(event)) return;
      event.preventDefault();
      save();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [save]);
}
