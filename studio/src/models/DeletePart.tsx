import { useMutation, useQueryClient } from "@tanstack/react-query";
import { use, useRef } from "react";
import { useNavigate } from "react-router";

import { deleteModel, type CatalogCard, type CatalogModel } from "../api/catalog";
import { failureFrom } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { bytes } from "../i18n/format";
import { SettingsContext } from "../settings/context";
import { KeepOrDelete } from "../ui/KeepOrDelete";
import { Refusal } from "./Refusal";

/** Deletes a model after asking by its name: that cannot be undone. */
export function DeletePart({ card }: { card: CatalogCard }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.remove;
  const { key } = use(SettingsContext).settings;
  const queries = useQueryClient();
  const navigate = useNavigate();
  const dialog = useRef<HTMLDialogElement>(null);
  const { name } = card.model;
  const remove = useMutation({
    mutationFn: () => deleteModel({ key }, name),
    networkMode: "always",
    onSuccess: ({ freed }) => {
      queries.setQueryData<CatalogModel[]>(["catalog", key], (list) => list && without(list, name));
      void queries.invalidateQueries({ queryKey: ["catalog"] });
      void queries.invalidateQueries({ queryKey: ["models"] });
      void navigate("/models", { state: { deleted: name, freed } });
    },
  });
  const frees = card.frees > 0 ? words.why(bytes(language, card.frees)) : words.link;
  return (
    <section>
      <h2>{words.title}</h2>
      <p className="small soft">{frees}</p>
      <button
        type="button"
        className="button fit danger"
        onClick={() => {
          remove.reset();
          dialog.current?.showModal();
        }}
      >
        {words.open(name)}
      </button>
      <dialog ref={dialog} className="ask" aria-labelledby="delete-title">
        <h2 id="delete-title">{words.ask(name)}</h2>
        <p>{frees}</p>
        <p>{words.final}</p>
        {remove.error ? <Refusal failure={failureFrom(remove.error)} /> : null}
        <KeepOrDelete
          keep={words.keep}
          remove={words.open(name)}
          pending={remove.isPending}
          onKeep={() => dialog.current?.close()}
          onRemove={() => remove.mutate()}
        />
      </dialog>
    </section>
  );
}

/** Until the server says it anew: gone from this machine, to be had again where it has a source. */
function without(list: CatalogModel[], name: string): CatalogModel[] {
  return list.map((one) => (one.name === name ? { ...one, installed: false, loaded: false } : one));
}
