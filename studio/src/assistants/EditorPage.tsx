import { useEffect, useId, useMemo, useState } from "react";
import { useLocation, useNavigate, useParams, useSearchParams } from "react-router";

import type { AssistantDetail, RecipeChoices } from "../api/assistants";
import type { Failure } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { ChatButton } from "../models/ModelTable";
import { BackLink } from "../ui/BackLink";
import { belongsToInputMethod } from "../ui/composing";
import { Failed } from "../ui/Failed";
import { CheckIcon, InfoIcon, WarnIcon } from "../ui/icons";
import { Unopened } from "../ui/Unopened";
import { useComposition } from "../ui/useComposition";
import { begun, opened, type Draft } from "./draft";
import { placed } from "./fields";
import { freeName, inLanguage, isName } from "./gallery";
import { ProblemsContext } from "./inputs";
import { RecipeForm } from "./RecipeForm";
import { Tabs } from "./Tabs";
import { TestsPane } from "./TestsPane";
import { TrialPane } from "./TrialPane";
import { useAssistant, useAssistants, useChoices } from "./useAssistants";
import { useEditor, type Editor } from "./useEditor";
import type { Current } from "./useTrial";
import { useWide } from "./useWide";
import { YamlTab } from "./YamlTab";

/** Where what is new is written; no name can be it. */
const NEW = "-new";
/** Names, the same in every language. */
const FORMAT = "YAML";
const EXAMPLE = "tutor";
const SAVES = "Ctrl+S";

/** A recipe: written on the one side, tried on the other. Its address says which. */
export function EditorPage() {
  const words = useText().assistants;
  const { assistant } = useParams();
  const name = assistant === NEW || assistant === undefined ? null : assistant;
  const like = useSearchParams()[0].get("like");
  const from = name ?? like;
  const query = useAssistant(from);
  const list = useAssistants();
  const choices = useChoices();
  const error = query.error ?? choices.error ?? (name === null ? list.error : null);
  const ready = choices.data && (from === null || query.data) && (name !== null || list.data);
  const again = () => {
    void choices.refetch();
    if (from !== null) void query.refetch();
    if (name === null) void list.refetch();
  };
  if (error || !ready || !choices.data)
    return (
      <Unopened
        back={<Back />}
        name={name}
        missing={error !== null && failureFrom(error).kind === "gone"}
        error={error}
        words={words}
        onRetry={again}
      />
    );
  const taken = (list.data?.data ?? []).map((one) => one.name);
  const start = startOf(name, query.data ?? null, taken);
  const place = name ?? `${NEW}/${like ?? ""}`;
  return <Opened key={place} place={place} start={start} taken={taken} choices={choices.data} />;
}

function startOf(name: string | null, found: AssistantDetail | null, taken: string[]): Draft {
  if (name !== null && found) return opened(found);
  return begun(found ? freeName(found.assistant.name, taken) : "", found);
}

function Back() {
  return <BackLink to="/assistants" words={useText().assistants.back} />;
}

interface OpenedProps {
  place: string;
  start: Draft;
  taken: readonly string[];
  choices: RecipeChoices;
}

type Side = "form" | "yaml" | "try";

function Opened({ place, start, taken, choices }: OpenedProps) {
  const text = useText();
  const language = useLanguage();
  const words = text.assistants;
  const navigate = useNavigate();
  const state = useLocation().state as { saved?: unknown } | null;
  const first = state?.saved === true ? "saved" : "idle";
  const editor = useEditor(place, start, first, ({ assistant: { name } }) => {
    if (name === place) return;
    const to = `/assistants/${encodeURIComponent(name)}`;
    void navigate(to, { replace: true, state: { saved: true } });
  });
  const { draft } = editor;
  const [side, setSide] = useState<Side>(draft.fields === null ? "yaml" : "form");
  const wide = useWide();
  useSaveKey(editor);
  const current: Current = async () => {
    const { text: recipe } = await editor.check();
    return { name: isName(draft.name) ? draft.name : "recipe", text: recipe };
  };
  const title = draft.fields?.title ? inLanguage(draft.fields.title, language) : "";
  const panes = useMemo(() => placed(draft.problems), [draft.problems]);
  const trying = <Trying current={current} draft={draft} />;
  const shown = wide && side === "try" ? "form" : side;
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${title || draft.name || words.fresh} · ${text.product}`}</title>
      <div className="column editor">
        <header>
          <Back />
          <h1>{title || draft.name || words.fresh}</h1>
          {draft.saved ? (
            <p className="small soft">
              <code translate="no">{draft.name}</code>
            </p>
          ) : null}
        </header>
        <SaveBar editor={editor} taken={taken} />
        <div className="sides">
          <div className="writing">
            <ProblemsContext value={panes}>
              <Tabs<Side>
                label={words.recipe}
                chosen={shown}
                onChosen={setSide}
                tabs={[
                  {
                    id: "form",
                    words: words.form,
                    panel: (
                      <>
                        {draft.fields === null ? <Unreadable /> : null}
                        <RecipeForm
                          disabled={draft.fields === null}
                          fields={draft.fields ?? {}}
                          choices={choices}
                          onFields={editor.setFields}
                        />
                      </>
                    ),
                  },
                  {
                    id: "yaml",
                    words: <span translate="no">{FORMAT}</span>,
                    panel: (
                      <YamlTab
                        text={draft.text}
                        problems={draft.problems}
                        onText={editor.setText}
                      />
                    ),
                  },
                  ...(wide ? [] : [{ id: "try" as const, words: words.tryIt, panel: trying }]),
                ]}
              />
            </ProblemsContext>
          </div>
          {wide ? <aside aria-label={words.tryIt}>{trying}</aside> : null}
        </div>
      </div>
    </div>
  );
}

function Unreadable() {
  const text = useText();
  return (
    <div className="notice warn" role="status">
      <WarnIcon size={18} />
      <p>{text.assistants.unreadable}</p>
    </div>
  );
}

function Trying({ current, draft }: { current: Current; draft: Draft }) {
  const text = useText();
  const words = text.assistants;
  const [pane, setPane] = useState<"talk" | "tests">("talk");
  const starters = draft.fields?.starters ?? [];
  const tests = draft.fields?.tests?.length ?? 0;
  return (
    <Tabs
      label={words.tryIt}
      chosen={pane}
      onChosen={setPane}
      tabs={[
        {
          id: "talk",
          words: words.talk,
          panel: <TrialPane current={current} starters={starters} />,
        },
        { id: "tests", words: words.tests, panel: <TestsPane current={current} tests={tests} /> },
      ]}
    />
  );
}

interface BarProps {
  editor: Editor;
  taken: readonly string[];
}

/** Its name, what is not saved, and the way to save it. */
function SaveBar({ editor, taken }: BarProps) {
  const text = useText();
  const words = text.assistants;
  const { draft, saving, unsaved, trouble } = editor;
  const fresh = draft.saved === null;
  const fault = !fresh || draft.name === "" ? "" : nameFault(draft.name, taken, words);
  const wrong = draft.problems.length;
  const save = () => {
    if (saving === "saving" || (!unsaved && !fresh)) return;
    void editor.save();
  };
  return (
    <section className="save-bar" aria-label={words.saving}>
      {fresh ? <NameField name={draft.name} fault={fault} onName={editor.setName} /> : null}
      <div className="row">
        <button
          type="button"
          className="button primary"
          aria-disabled={saving === "saving" || (!unsaved && !fresh)}
          disabled={fresh && (draft.name === "" || fault !== "")}
          title={SAVES}
          onClick={save}
        >
          {words.save}
        </button>
        {fresh ? null : <ChatButton name={draft.name} />}
        {unsaved ? (
          <button type="button" className="button quiet" onClick={editor.forget}>
            {words.forget}
          </button>
        ) : null}
        <Sign {...stateWords(saving, unsaved, fresh, words)} />
      </div>
      {draft.saved?.own === false ? <p className="small soft">{words.readyHides}</p> : null}
      {wrong > 0 ? (
        <p className="state-sign bad small" role="status">
          <WarnIcon size={16} />
          {words.wrong(String(wrong))}
        </p>
      ) : null}
      {trouble ? <Trouble editor={editor} failure={trouble} onRetry={save} /> : null}
    </section>
  );
}

interface NameProps {
  name: string;
  fault: string;
  onName: (name: string) => void;
}

function NameField({ name, fault, onName }: NameProps) {
  const text = useText();
  const words = text.assistants;
  const id = useId();
  const { inForm } = useComposition();
  return (
    <div className="labelled">
      <label htmlFor={id}>{words.name}</label>
      <input
        id={id}
        className="field typed"
        autoComplete="off"
        spellCheck={false}
        autoCapitalize="off"
        maxLength={128}
        placeholder={EXAMPLE}
        translate="no"
        value={name}
        aria-invalid={fault !== ""}
        aria-describedby={`${id}-hint ${id}-fault`}
        onChange={(event) => onName(event.target.value)}
        {...inForm}
      />
      <p id={`${id}-hint`} className="small soft hint">
        {words.nameWhy}
      </p>
      <p id={`${id}-fault`} role="alert" className="fault small">
        {fault}
      </p>
    </div>
  );
}

interface TroubleProps {
  editor: Editor;
  failure: Failure;
  onRetry: () => void;
}

/** What kept it from being saved; where somebody else has written, the person says what holds. */
function Trouble({ editor, failure, onRetry }: TroubleProps) {
  const text = useText();
  const words = text.assistants;
  if (editor.saving !== "taken") return <Failed failure={failure} onRetry={onRetry} />;
  return (
    <Failed failure={failure} onRetry={null}>
      <button type="button" className="button" onClick={() => void editor.settle("theirs")}>
        {words.takeTheirs}
      </button>
      <button type="button" className="button" onClick={() => void editor.settle("mine")}>
        {words.takeMine}
      </button>
    </Failed>
  );
}

type Words = ReturnType<typeof useText>["assistants"];

function nameFault(name: string, taken: readonly string[], words: Words): string {
  if (!isName(name)) return words.nameFault;
  return taken.includes(name) ? words.nameTaken : "";
}

interface State {
  words: string;
  sign: "good" | "soft" | null;
}

function stateWords(
  saving: Editor["saving"],
  unsaved: boolean,
  fresh: boolean,
  words: Words,
): State {
  if (saving === "saving") return { words: words.savingNow, sign: null };
  if (unsaved) return { words: words.unsaved, sign: "soft" };
  if (saving === "saved") return { words: words.saved, sign: "good" };
  return { words: fresh ? words.notYet : "", sign: null };
}

function Sign({ words, sign }: State) {
  return (
    <span role="status" className={sign === "good" ? "state-sign good small" : "state-sign small"}>
      {sign === "good" ? <CheckIcon size={16} /> : sign === "soft" ? <InfoIcon size={16} /> : null}
      {words}
    </span>
  );
}

/** Ctrl+S (Cmd+S) saves. */
function useSaveKey(editor: Editor) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "s" || event.altKey || event.shiftKey) return;
      if (event.ctrlKey === event.metaKey || belongsToInputMethod(event)) return;
      event.preventDefault();
      const { draft, saving } = editor;
      if (saving !== "saving" && isName(draft.name)) void editor.save();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [editor]);
}
