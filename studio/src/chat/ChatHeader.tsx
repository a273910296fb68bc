import { use } from "react";
import { Link } from "react-router";

import type { Model } from "../api/models";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { PlusIcon } from "../ui/icons";

interface Props {
  models: readonly Model[] | undefined;
  /** Whether the server said so just now; otherwise nobody knows what is in memory. */
  fresh: boolean;
  model: string | null;
  hasConversation: boolean;
}

export function ChatHeader({ models, fresh, model, hasConversation }: Props) {
  const text = useText();
  const { change } = use(SettingsContext);
  return (
    <header className="bar">
      <h1 className="unseen">{text.chat.title}</h1>
      <div className="picker">
        <select
          className="field"
          aria-label={text.chat.model}
          value={model ?? ""}
          disabled={!models || models.length === 0}
          onChange={(event) => change({ model: event.target.value })}
        >
          {model === null ? <option value="">{text.chat.model}</option> : null}
          {models?.map((one) => (
            <option key={one.id} value={one.id} translate="no">
              {one.loaded && fresh ? text.chat.modelLoaded(one.id) : one.id}
            </option>
          ))}
        </select>
      </div>
      {hasConversation ? (
        <Link className="button quiet" to="/chat">
          <PlusIcon size={16} />
          {text.nav.newChat}
        </Link>
      ) : null}
    </header>
  );
}
