import { useId, useState } from "react";
import { Link } from "react-router";

import type { Model } from "../api/models";
import { useText } from "../i18n";
import { useDrawer } from "../sidebar/context";
import { ListButton } from "../sidebar/ListButton";
import { ColumnsIcon, PlusIcon } from "../ui/icons";
import { answering, MOST_MODELS, type Compare } from "./useCompare";

interface Props {
  models: readonly Model[] | undefined;
  /** Whether the server said so just now; otherwise nobody knows what is in memory. */
  fresh: boolean;
  model: string | null;
  onModel: (model: string) => void;
  compare: Compare;
  onCompare: (compare: Compare) => void;
  hasConversation: boolean;
}

export function ChatHeader({ models, fresh, model, onModel, hasConversation, ...more }: Props) {
  const text = useText();
  const narrow = useDrawer() !== null; // else the list, which begins new chats too, stands beside
  const [open, setOpen] = useState(false);
  const panel = useId();
  const { compare, onCompare } = more;
  const many = answering(compare.others, model, models).length;
  return (
    <header className="bar">
      <h1 className="unseen">{text.chat.title}</h1>
      <ListButton />
      <div className="picker">
        <select
          className="field"
          aria-label={text.chat.model}
          value={model ?? ""}
          disabled={!models || models.length === 0}
          onChange={(event) => onModel(event.target.value)}
        >
          {model === null ? <option value="">{text.chat.model}</option> : null}
          {models?.map((one) => (
            <option key={one.id} value={one.id} translate="no">
              {one.loaded && fresh ? text.chat.modelLoaded(one.id) : one.id}
            </option>
          ))}
        </select>
        {models && models.length > 1 ? (
          <button
            type="button"
            className="button quiet"
            aria-expanded={open}
            aria-controls={panel}
            title={text.chat.compare}
            onClick={() => setOpen(!open)}
          >
            <ColumnsIcon size={16} />
            <span className={many > 0 ? "" : "wide-only"}>
              {many > 0 ? text.chat.comparing(String(many + 1)) : text.chat.compare}
            </span>
          </button>
        ) : null}
      </div>
      {hasConversation && narrow ? (
        <Link className="button quiet" to="/chat">
          <PlusIcon size={16} />
          <span className="wide-only">{text.nav.newChat}</span>
        </Link>
      ) : null}
      <div id={panel} className="compare" hidden={!open}>
        {open && models ? (
          <ComparePanel models={models} model={model} compare={compare} onCompare={onCompare} />
        ) : null}
      </div>
    </header>
  );
}

type PanelProps = Pick<Props, "model" | "compare" | "onCompare"> & { models: readonly Model[] };

/** Which others answer beside the chosen model. */
function ComparePanel({ models, model, compare, onCompare }: PanelProps) {
  const text = useText();
  const others = answering(compare.others, model, models);
  const full = others.length >= MOST_MODELS - 1;
  return (
    <fieldset>
      <legend className="small soft">{text.chat.compareWhy}</legend>
      <div className="row">
        {models
          .filter((one) => one.id !== model)
          .map(({ id }) => {
            const chosen = others.includes(id);
            return (
              <label key={id} className="choice">
                <input
                  type="checkbox"
                  checked={chosen}
                  disabled={full && !chosen}
                  onChange={() =>
                    onCompare({
                      ...compare,
                      others: chosen ? others.filter((one) => one !== id) : [...others, id],
                    })
                  }
                />
                <span translate="no">{id}</span>
              </label>
            );
          })}
      </div>
      <label className="choice">
        <input
          type="checkbox"
          checked={compare.blind}
          onChange={() => onCompare({ ...compare, blind: !compare.blind })}
        />
        <span>{text.chat.blind}</span>
      </label>
    </fieldset>
  );
}
