import type { CatalogCard } from "../api/catalog";
import { useLanguage, useText } from "../i18n";
import { bytes, count } from "../i18n/format";
import { WarnIcon } from "../ui/icons";
import { VerdictSign } from "./VerdictSign";

/** What to expect of a model here, before it is fetched. */
export function FitPart({ card }: { card: CatalogCard }) {
  const text = useText();
  const language = useLanguage();
  const words = text.models.fit;
  const { fit, model } = card;
  const size = (value: number) => bytes(language, value);
  const disk = () => {
    const free = size(fit.disk_available);
    if (!model.installed) return fit.disk === null ? null : words.diskOf(size(fit.disk), free);
    return model.size === null ? null : words.diskHere(size(model.size), free);
  };
  const rows: [string, string | null][] = [
    [
      words.memory,
      fit.memory === null ? null : words.memoryOf(size(fit.memory), size(fit.memory_available)),
    ],
    [words.disk, disk()],
    [
      text.models.context,
      fit.context === null ? null : text.models.tokens(count(language, fit.context)),
    ],
    [
      words.speed,
      fit.prefill === null || fit.decode === null
        ? null
        : words.speedOf(count(language, fit.prefill), count(language, fit.decode)),
    ],
  ];
  const full = !model.installed && fit.disk !== null && fit.disk > fit.disk_available;
  return (
    <section>
      <h2>{words.title}</h2>
      <p>
        <VerdictSign verdict={fit.verdict} words={words[fit.verdict]} />
      </p>
      <dl className="facts numbers">
        {rows.map(([label, value]) =>
          value === null ? null : (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
      {full ? (
        <div className="notice warn">
          <WarnIcon size={18} />
          <p>{words.diskFull}</p>
        </div>
      ) : null}
      {fit.words.length > 0 ? (
        <details className="small soft">
          <summary>{words.exactly}</summary>
          <ul lang="en" className="said">
            {fit.words.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      ) : null}
    </section>
  );
}
