import { use } from "react";
import { useNavigate } from "react-router";

import { BIGGER_MODEL, DEFAULT_MODEL, type Model } from "../api/models";
import { failureFrom, useModels } from "../api/useModels";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { SettingsContext } from "../settings/context";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { CheckIcon } from "../ui/icons";

export function ModelsPage() {
  const text = useText();
  const query = useModels();
  const models = query.data;
  const missing = models && !models.some((model) => model.id === BIGGER_MODEL);
  return (
    <div className="page" tabIndex={-1}>
      <title>{`${text.models.title} · ${text.product}`}</title>
      <div className="column">
        <header>
          <h1>{text.models.title}</h1>
          <p className="soft">{text.models.intro}</p>
        </header>
        {query.isError ? (
          <Failed failure={failureFrom(query.error)} onRetry={() => void query.refetch()} />
        ) : null}
        {query.isPending ? <p role="status">{text.models.loading}</p> : null}
        {models && models.length > 0 ? <ModelTable models={models} fresh={!query.isError} /> : null}
        {models?.length === 0 ? (
          <section className="stack">
            <h2>{text.models.empty}</h2>
            <p>{text.models.emptyWhy}</p>
            <Command command={`kataribe models pull ${DEFAULT_MODEL}`} />
          </section>
        ) : null}
        {missing && models.length > 0 ? (
          <section className="stack small">
            <p className="soft">{text.models.add}</p>
            <Command command={`kataribe models pull ${BIGGER_MODEL}`} />
          </section>
        ) : null}
      </div>
    </div>
  );
}

interface TableProps {
  models: readonly Model[];
  /** Whether the server said so just now; otherwise nobody knows what is in memory. */
  fresh: boolean;
}

function ModelTable({ models, fresh }: TableProps) {
  const text = useText();
  const language = useLanguage();
  const navigate = useNavigate();
  const { change } = use(SettingsContext);
  return (
    <table className="models">
      <thead>
        <tr>
          <th scope="col">{text.models.name}</th>
          <th scope="col">{text.models.state}</th>
          <th scope="col">{text.models.context}</th>
          <th scope="col">{text.models.owner}</th>
          <th scope="col">
            <span className="unseen">{text.models.chat}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {models.map((model) => (
          <tr key={model.id}>
            <th scope="row" translate="no">
              {model.id}
            </th>
            <State loaded={fresh ? model.loaded : null} />
            <td className="number">
              {typeof model.max_model_len === "number"
                ? text.models.tokens(count(language, model.max_model_len))
                : text.models.unknown}
            </td>
            <td className="soft">{model.owned_by}</td>
            <td className="act">
              <button
                type="button"
                className="button"
                aria-label={text.models.chatWith(model.id)}
                onClick={() => {
                  change({ model: model.id });
                  void navigate("/chat");
                }}
              >
                {text.models.chat}
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function State({ loaded }: { loaded: boolean | null }) {
  const text = useText();
  if (!loaded)
    return <td className="soft">{loaded === null ? text.models.notKnown : text.models.idle}</td>;
  return (
    <td className="loaded">
      <CheckIcon size={16} />
      {text.models.loaded}
    </td>
  );
}
