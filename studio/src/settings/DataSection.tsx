import { useQuery, useQueryClient } from "@tanstack/react-query";
import { use, useId, useState } from "react";

import type { Failure } from "../api/errors";
import { exportAll, importAll, readStorage, type Imported } from "../api/preferences";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes, count } from "../i18n/format";
import { Failed } from "../ui/Failed";
import { CheckIcon } from "../ui/icons";
import { saveFile } from "../ui/saveFile";
import { SettingsContext } from "./context";

/** Where everything lies and how large it is, and the way out and in. */
export function DataSection() {
  const text = useText();
  const { key } = use(SettingsContext).settings;
  const query = useQuery({
    queryKey: ["storage", key],
    queryFn: ({ signal }) => readStorage({ key }, signal),
  });
  return (
    <section>
      <h2>{text.settings.data}</h2>
      {query.isPending ? <p className="small soft">{text.settings.measuring}</p> : null}
      {query.isError ? (
        <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
      ) : null}
      {query.data ? <Shown storage={query.data} /> : null}
      <Transfer />
    </section>
  );
}

function Shown({ storage }: { storage: Awaited<ReturnType<typeof readStorage>> }) {
  const text = useText();
  const language = useLanguage();
  const sizes: [string, number][] = [
    [text.settings.sizeDatabase, storage.database],
    [text.settings.sizeModels, storage.models],
    [text.settings.sizeDownloads, storage.downloads],
    [text.settings.sizeOther, storage.other],
    [text.settings.sizeFree, storage.free],
  ];
  return (
    <>
      <p className="small">
        {text.settings.folder}{" "}
        <code className="path" translate="no">
          {storage.folder}
        </code>
      </p>
      <dl className="sizes">
        {sizes.map(([name, size]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{bytes(language, size)}</dd>
          </div>
        ))}
      </dl>
      <h3>{text.settings.hosted}</h3>
      <p className="small soft">{text.settings.hostedWhy}</p>
      <dl className="sizes">
        {storage.keys.map((one) => (
          <div key={one.name}>
            <dt>
              <code>{one.name}</code>
            </dt>
            <dd>{one.set ? text.settings.isSet : text.settings.notSet}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

type Came = { done: Imported } | { failed: Failure; again: () => void } | null;

function Transfer() {
  const text = useText();
  const language = useLanguage();
  const queries = useQueryClient();
  const { key } = use(SettingsContext).settings;
  const [busy, setBusy] = useState<"" | "out" | "in">("");
  const [came, setCame] = useState<Came>(null);
  const id = useId();
  const doing = async (what: "out" | "in", work: () => Promise<Came>) => {
    setBusy(what);
    setCame(null);
    try {
      setCame(await work());
    } catch (error) {
      const failed = failureFrom(error instanceof Error ? error : new Error(String(error)));
      setCame({ failed, again: () => void doing(what, work) });
    } finally {
      setBusy("");
    }
  };
  const bringIn = (file: File) =>
    void doing("in", async () => {
      const done = await importAll({ key }, file);
      void queries.invalidateQueries();
      return { done };
    });
  const takeOut = () =>
    void doing("out", async () => {
      const { file, name } = await exportAll({ key });
      saveFile(file, name);
      return null;
    });
  const say = (value: number) => count(language, value);
  return (
    <>
      <h3>{text.settings.transfer}</h3>
      <p className="small soft">{text.settings.transferWhy}</p>
      <div className="row">
        <button type="button" className="button" disabled={busy !== ""} onClick={takeOut}>
          {busy === "out" ? text.settings.exporting : text.settings.export}
        </button>
        <label htmlFor={id} className="button" aria-disabled={busy !== ""}>
          {busy === "in" ? text.settings.importing : text.settings.import}
          <input
            id={id}
            type="file"
            className="unseen"
            accept=".json,application/json"
            disabled={busy !== ""}
            onChange={({ target }) => {
              const file = target.files?.[0];
              target.value = ""; // so that the same file can be chosen again
              if (file) bringIn(file);
            }}
          />
        </label>
      </div>
      <div role="status">
        {came && "done" in came ? (
          <p className="small good">
            <CheckIcon size={16} />
            {text.settings.imported(
              say(came.done.conversations),
              say(came.done.messages),
              say(came.done.jobs),
            )}{" "}
            {came.done.skipped > 0 ? text.settings.skipped(say(came.done.skipped)) : ""}
          </p>
        ) : null}
      </div>
      {came && "failed" in came ? <Failed failure={came.failed} onRetry={came.again} /> : null}
    </>
  );
}
