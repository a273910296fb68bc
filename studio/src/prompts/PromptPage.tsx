import { useEffect, useState } from "react";
import { useParams, useSearchParams } from "react-router";

import type { PromptShown } from "../api/prompts";
import { pickModel } from "../api/models";
import { useModels } from "../api/useModels";
import { Tabs } from "../assistants/Tabs";
import { useText } from "../i18n";
import { BackLink } from "../ui/BackLink";
import { Unopened } from "../ui/Unopened";
import { AnswersPart } from "./AnswersPart";
import { BenchPart } from "./BenchPart";
import { keepSetup, keptSetup, NEW } from "./draft";
import { begun } from "./example";
import { InputsPart } from "./InputsPart";
import { variablesOf } from "./template";
import { useDraft } from "./useDraft";
import { usePrompt, usePrompts } from "./usePrompts";
import { VersionsPart } from "./VersionsPart";
import { WritePart } from "./WritePart";

/** A prompt: written, tried side by side, its versions, and what they were answered with. */
export function PromptPage() {
  const words = useText().prompts;
  const { prompt } = useParams();
  const name = prompt === NEW || prompt === undefined ? null : prompt;
  const example = useSearchParams()[0].get("like") === "example";
  const list = usePrompts();
  const kept = name?.normalize("NFKC").trim();
  const id = list.data?.find((one) => one.name === kept)?.id ?? null;
  const query = usePrompt(id);
  const models = useModels();
  const error = list.error ?? query.error ?? (models.data ? null : models.error);
  const taken = (list.data ?? []).map((one) => one.name);
  const gone = name !== null && list.data !== undefined && !list.isFetching && id === null;
  const ready = list.data && models.data && (name === null || query.data);
  if (!ready) {
    const again = () => {
      void list.refetch();
      void models.refetch();
      if (id !== null) void query.refetch();
    };
    return (
      <Unopened
        back={<Back />}
        name={name}
        missing={gone}
        error={error}
        words={words}
        onRetry={again}
      />
    );
  }
  const usual = pickModel(models.data, []) ?? "";
  return (
    <Opened
      key={id ?? NEW}
      shown={query.data ?? null}
      taken={taken}
      usual={usual}
      models={models.data.map((one) => one.id)}
      example={example && name === null}
    />
  );
}

function Back() {
  return <BackLink to="/prompts" words={useText().prompts.back} />;
}

const VIEWS = ["write", "versions", "answers"] as const;
type View = (typeof VIEWS)[number];

interface OpenedProps {
  shown: PromptShown | null;
  taken: readonly string[];
  usual: string;
  models: readonly string[];
  example: boolean;
}

function Opened({ shown, taken, usual, models, example }: OpenedProps) {
  const text = useText();
  const words = text.prompts;
  const [address, setAddress] = useSearchParams();
  const view = VIEWS.find((one) => one === address.get("view")) ?? "write";
  const place = shown?.summary.id ?? NEW;
  const [setup, setSetup] = useState(
    () => (example ? null : keptSetup(place)) ?? begun(usual, example),
  );
  useEffect(() => keepSetup(place, setup), [place, setup]);
  const draft = useDraft(shown, example, setup);
  const variables = variablesOf(draft.text);
  const open = (next: View) =>
    setAddress(
      (before) => {
        const to = new URLSearchParams(before);
        if (next === "write") to.delete("view");
        else to.set("view", next);
        return to;
      },
      { replace: false },
    );
  const openVersion = (number: number) => {
    const found = shown?.versions.find((one) => one.number === number);
    if (found) draft.setText(found.text);
    open("write");
  };
  const title = shown?.summary.name ?? words.fresh;
  const written = {
    id: shown?.summary.id ?? null,
    text: draft.text,
    versions: shown?.versions ?? [],
  };
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${title} · ${text.product}`}</title>
      <div className="column editor prompt-page">
        <header>
          <Back />
          <h1 translate={shown ? "no" : undefined}>{title}</h1>
        </header>
        <Tabs<View>
          label={words.views}
          chosen={view}
          onChosen={open}
          tabs={[
            {
              id: "write",
              words: words.write,
              panel: (
                <div className="prompt-parts">
                  <WritePart draft={draft} shown={shown} taken={taken} variables={variables} />
                  <InputsPart
                    rows={setup.rows}
                    variables={variables}
                    onRows={(rows) => setSetup((before) => ({ ...before, rows }))}
                  />
                  <BenchPart
                    setup={setup}
                    written={written}
                    models={models}
                    usual={usual}
                    onSetup={(part) => setSetup((before) => ({ ...before, ...part }))}
                  />
                </div>
              ),
            },
            {
              id: "versions",
              words: words.versions,
              panel: <VersionsPart shown={shown} onOpen={openVersion} />,
            },
            {
              id: "answers",
              words: words.answers,
              panel: view === "answers" ? <AnswersPart shown={shown} /> : null,
            },
          ]}
        />
      </div>
    </div>
  );
}
