import { useMutation, useQueryClient } from "@tanstack/react-query";
import { use, useRef, useState } from "react";

import { loadModel, unloadModel, type LoadedModel } from "../api/catalog";
import { ApiError } from "../api/errors";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes, count } from "../i18n/format";
import { isAbsent } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";
import { CheckIcon } from "../ui/icons";
import { Refusal } from "./Refusal";
import { useLoaded } from "./useCatalog";
import { useSeconds } from "./useSeconds";

/** Whether a model is in memory, and what brings it there or lets it go. */
export function MemoryPart({ name }: { name: string }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.memory;
  const query = useLoaded();
  const work = useMemoryWork(name);
  const seconds = count(language, useSeconds(work.since));
  if (isAbsent(query.error) || query.isPending) return null; // they cannot be moved by hand here
  const found = query.data?.find((model) => model.name === name) ?? null;
  return (
    <section>
      <h2>{words.title}</h2>
      {found?.state === "ready" ? <InMemory model={found} /> : <p>{words.absent}</p>}
      {work.since !== null || found?.state === "loading" ? (
        <p className="waiting" role="status">
          <span className="pulse" aria-hidden="true" />
          <span>{work.doing === "unload" ? words.unloading(seconds) : words.loading(seconds)}</span>
        </p>
      ) : null}
      {work.failed ? <Refusal failure={failureFrom(work.failed)} /> : null}
      <div className="row">
        {work.doing === "load" ? (
          <button type="button" className="button" onClick={work.cancel}>
            {words.cancel}
          </button>
        ) : found === null ? (
          <button type="button" className="button" onClick={work.load}>
            {words.load}
          </button>
        ) : (
          <button
            type="button"
            className="button"
            aria-disabled={work.doing !== null}
            onClick={() => work.doing === null && work.unload(false)}
          >
            {words.unload}
          </button>
        )}
        {work.isBusy && found ? (
          <button type="button" className="button" onClick={() => work.unload(true)}>
            {words.force}
          </button>
        ) : null}
      </div>
    </section>
  );
}

function InMemory({ model }: { model: LoadedModel }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.memory;
  return (
    <p>
      <span className="state-sign good">
        <CheckIcon size={16} />
        {words.loaded(bytes(language, model.memory))}
      </span>{" "}
      {model.held ? words.held : words.idle}{" "}
      {model.leases > 0 ? words.answers(count(language, model.leases)) : ""}
    </p>
  );
}

/** Loading and unloading; a load that is given up is undone on the server too. */
function useMemoryWork(name: string) {
  const { key } = use(SettingsContext).settings;
  const queries = useQueryClient();
  const [since, setSince] = useState<number | null>(null);
  const abort = useRef<AbortController | null>(null);
  const begin = () => setSince(performance.now());
  const settle = () => {
    setSince(null);
    void queries.invalidateQueries({ queryKey: ["loaded"] });
    void queries.invalidateQueries({ queryKey: ["models"] });
  };
  const unload = useMutation({
    mutationFn: (force: boolean) => unloadModel({ key }, name, force),
    networkMode: "always",
    onMutate: begin,
    onSettled: settle,
  });
  const load = useMutation({
    mutationFn: async () => {
      abort.current = new AbortController();
      const { signal } = abort.current;
      try {
        await loadModel({ key }, name, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        unload.mutate(true);
      }
    },
    networkMode: "always",
    onMutate: begin,
    onSettled: settle,
  });
  const { error } = unload;
  return {
    since,
    doing: load.isPending ? ("load" as const) : unload.isPending ? ("unload" as const) : null,
    failed: load.error ?? unload.error,
    isBusy: error instanceof ApiError && error.failure.kind === "busy",
    load: () => {
      unload.reset();
      load.mutate();
    },
    cancel: () => abort.current?.abort(),
    unload: (force: boolean) => {
      load.reset();
      unload.mutate(force);
    },
  };
}
