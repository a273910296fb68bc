import { use } from "react";

import { Link } from "react-router";

import { BIGGER_MODEL, isSmallDefault, type Model } from "../api/models";
import { useText } from "../i18n";
import { SettingsContext } from "../settings/context";
import { CloseIcon, InfoIcon, WarnIcon } from "../ui/icons";
import { Command } from "../ui/Command";

interface Props {
  model: string;
  models: readonly Model[];
  /** The person has written Japanese to it. */
  writesJapanese: boolean;
  /** In one line that opens: beside a conversation there is little room. */
  compact: boolean;
  /** Has another model answer from now on. */
  onUse: (model: string) => void;
  /** What was pressed is going: the focus needs a place. */
  onDone: () => void;
}

/**
 * Says that the small default hardly speaks Japanese, and what does. In amber where Japanese is
 * written or read; quietly otherwise.
 */
export function SmallModelNotice({ model, models, writesJapanese, compact, ...more }: Props) {
  const text = useText();
  const { settings, change } = use(SettingsContext);
  const strong = writesJapanese || settings.language === "ja";
  const name = strong ? "small-model-japanese" : "small-model";
  const closed =
    settings.dismissed.includes(name) || settings.dismissed.includes("small-model-japanese");
  if (!isSmallDefault(model) || closed) return null;
  const title = strong ? text.small.title : text.small.body(model);
  return (
    <aside
      className={strong ? "notice warn closable" : "notice closable"}
      aria-label={text.small.title}
    >
      {strong ? <WarnIcon size={18} /> : <InfoIcon size={18} />}
      {compact ? (
        <details>
          <summary>{title}</summary>
          <Offer model={model} models={models} strong={strong} {...more} />
        </details>
      ) : (
        <div className="stack">
          {strong ? <strong>{title}</strong> : <p>{title}</p>}
          <Offer model={model} models={models} strong={strong} {...more} />
        </div>
      )}
      <button
        type="button"
        className="button quiet square close"
        aria-label={text.notice.dismiss}
        title={text.notice.dismiss}
        onClick={() => {
          change({ dismissed: [...settings.dismissed, name] });
          more.onDone();
        }}
      >
        <CloseIcon size={16} />
      </button>
    </aside>
  );
}

type OfferProps = Omit<Props, "writesJapanese" | "compact"> & { strong: boolean };

function Offer({ model, models, strong, onUse, onDone }: OfferProps) {
  const text = useText();
  const here = models.some((one) => one.id === BIGGER_MODEL);
  return (
    <div className="stack">
      {strong ? <p>{text.small.bodyJapanese(model)}</p> : null}
      <p>{here ? text.small.here(BIGGER_MODEL) : text.small.offer(BIGGER_MODEL)}</p>
      {here ? (
        <button
          type="button"
          className="button fit"
          onClick={() => {
            onUse(BIGGER_MODEL);
            onDone();
          }}
        >
          {text.small.use(BIGGER_MODEL)}
        </button>
      ) : (
        <>
          <Command command={`kataribe models pull ${BIGGER_MODEL}`} />
          <Link className="button fit" to={`/models/${BIGGER_MODEL}`}>
            {text.small.page(BIGGER_MODEL)}
          </Link>
        </>
      )}
    </div>
  );
}
