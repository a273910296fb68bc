import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";

import { deleteKey, listKeys, makeKey, type ApiKey, type MadeKey } from "../api/people";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { CopyButton } from "../ui/CopyButton";
import { Failed } from "../ui/Failed";
import { useComposition } from "../ui/useComposition";
import { KeepOrDelete } from "../ui/KeepOrDelete";
import { moment } from "./time";
import { useFault } from "./useFault";

const KEYS = ["api-keys"];

/** API keys for programs: made and shown once, listed by their first letters, deleted by name. */
export function KeysPart() {
  const text = useText();
  const words = text.people.keys;
  const found = useQuery({
    queryKey: KEYS,
    queryFn: ({ signal }) => listKeys({ key: null }, signal),
  });
  const [leaving, setLeaving] = useState<ApiKey | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <section className="account">
      <h2>{words.title}</h2>
      <p className="small soft">{words.why}</p>
      {found.error ? (
        <Failed failure={failureFrom(found.error)} onRetry={() => void found.refetch()} />
      ) : null}
      {found.data?.length === 0 ? <p>{words.none}</p> : null}
      <ul className="things">
        {(found.data ?? []).map((one) => (
          <KeyRow
            key={one.id}
            one={one}
            onDelete={() => {
              setLeaving(one);
              dialog.current?.showModal();
            }}
          />
        ))}
      </ul>
      <NewKey />
      <dialog ref={dialog} className="ask" aria-labelledby="delete-key-title">
        {leaving ? (
          <DeleteKey key={leaving.id} one={leaving} onClose={() => dialog.current?.close()} />
        ) : null}
      </dialog>
    </section>
  );
}

function KeyRow({ one, onDelete }: { one: ApiKey; onDelete: () => void }) {
  const words = useText().people.keys;
  const language = useLanguage();
  return (
    <li>
      <div className="what">
        <span translate="no">{one.name}</span>
        <span className="small soft">
          <code translate="no">{`${one.begins}…`}</code>
        </span>
        <span className="small soft">
          {one.used_at === null ? words.unused : words.used(moment(language, one.used_at))}
        </span>
      </div>
      <button
        type="button"
        className="button danger"
        aria-label={words.deleteOf(one.name)}
        onClick={onDelete}
      >
        {words.delete}
      </button>
    </li>
  );
}

function NewKey() {
  const words = useText().people.keys;
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [empty, setEmpty] = useState(false);
  const id = useId();
  const { inForm } = useComposition();
  const make = useMutation({
    mutationFn: () => makeKey({ key: null }, name.trim()),
    networkMode: "always",
    onSuccess: () => {
      setName("");
      return queries.invalidateQueries({ queryKey: KEYS });
    },
  });
  const { fault } = useFault(make.error ? failureFrom(make.error) : null, words.signedOut);
  return (
    <>
      {make.data ? <Made made={make.data} onDone={() => make.reset()} /> : null}
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          setEmpty(name.trim() === "");
          if (name.trim() !== "" && !make.isPending) make.mutate();
        }}
      >
        <div className="entry">
          <label htmlFor={id}>{words.name}</label>
          <div className="row">
            <input
              id={id}
              className="field"
              autoComplete="off"
              maxLength={100}
              value={name}
              aria-describedby={`${id}-fault`}
              aria-invalid={empty}
              onChange={(event) => setName(event.target.value)}
              {...inForm}
            />
            <button type="submit" className="button" aria-disabled={make.isPending}>
              {words.make}
            </button>
          </div>
        </div>
        <p id={`${id}-fault`} className="fault" role="alert">
          {empty ? words.empty : fault}
        </p>
      </form>
    </>
  );
}

function Made({ made, onDone }: { made: MadeKey; onDone: () => void }) {
  const words = useText().people.keys;
  return (
    <div className="made" role="status">
      <p>{words.once(made.name)}</p>
      <div className="command">
        <code translate="no">{made.key}</code>
        <CopyButton text={made.key} label={words.copy} />
      </div>
      <button type="button" className="button fit" onClick={onDone}>
        {words.kept}
      </button>
    </div>
  );
}

function DeleteKey({ one, onClose }: { one: ApiKey; onClose: () => void }) {
  const words = useText().people.keys;
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: () => deleteKey({ key: null }, one.id),
    networkMode: "always",
    onSuccess: (left) => {
      queries.setQueryData(KEYS, left);
      onClose();
    },
  });
  return (
    <>
      <h2 id="delete-key-title">{words.ask(one.name)}</h2>
      <p>{words.final}</p>
      {remove.error ? <Failed failure={failureFrom(remove.error)} onRetry={null} /> : null}
      <KeepOrDelete
        keep={words.keep}
        remove={words.deleteOf(one.name)}
        pending={remove.isPending}
        onKeep={onClose}
        onRemove={() => remove.mutate()}
      />
    </>
  );
}
