import { use } from "react";
import { Link, useNavigate } from "react-router";

import type { Job } from "../api/jobs";
import { useLanguage, useText } from "../i18n";
import { bytes, count, percent } from "../i18n/format";
import { hasEnded, shareOf } from "../jobs/job";
import { useJobs } from "../jobs/useJobs";
import { SettingsContext } from "../settings/context";
import { CheckIcon, JobsIcon, PauseIcon, WarnIcon } from "../ui/icons";
import { canChat, sizeOf, type Entry } from "./entries";
import { VerdictSign } from "./VerdictSign";
import { purposeOf } from "./words";

interface TableProps {
  entries: readonly Entry[];
  /** Whether the server said so just now; otherwise nobody knows what is in memory. */
  fresh: boolean;
  /** Whether there is a catalogue, and with it sizes, licences and verdicts. */
  catalog: boolean;
}

export function ModelTable({ entries, fresh, catalog }: TableProps) {
  const text = useText();
  const jobs = useJobs().data ?? [];
  return (
    <table className="models">
      <thead>
        <tr>
          <th scope="col">{text.models.name}</th>
          {catalog ? (
            <>
              <th scope="col">{text.models.size}</th>
              <th scope="col">{text.models.licence}</th>
              <th scope="col">{text.models.verdict}</th>
            </>
          ) : null}
          <th scope="col">{text.models.state}</th>
          <th scope="col">
            <span className="unseen">{text.models.chat}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <tr key={entry.name}>
            <NameCell entry={entry} />
            {catalog ? <CardCells entry={entry} /> : null}
            <td>
              <EntryState
                entry={entry}
                fresh={fresh}
                job={jobs.find((job) => job.id === entry.card?.job) ?? null}
              />
            </td>
            <td className="act">
              <Act entry={entry} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function NameCell({ entry }: { entry: Entry }) {
  const text = useText();
  const language = useLanguage();
  const { card, context } = entry;
  return (
    <th scope="row">
      <Link to={`/models/${encodeURIComponent(entry.name)}`} translate="no">
        {entry.name}
      </Link>
      {card ? <p className="small soft">{purposeOf(text, language, card)}</p> : null}
      {context !== null ? (
        <p className="small soft numbers">
          {text.models.context} {text.models.tokens(count(language, context))}
        </p>
      ) : null}
    </th>
  );
}

function CardCells({ entry }: { entry: Entry }) {
  const text = useText();
  const language = useLanguage();
  const { card } = entry;
  const size = sizeOf(entry);
  const download = card?.download ?? null;
  return (
    <>
      <td className="numbers">
        <span className="narrow-label">{text.models.size} </span>
        {size === null ? (
          <span className="soft">{text.models.notKnown}</span>
        ) : (
          bytes(language, size)
        )}
        {download !== null && download > 0 && download !== size ? (
          <p className="small soft">
            {text.models.download} {bytes(language, download)}
          </p>
        ) : null}
      </td>
      <td className="licence">
        <span className="narrow-label">{text.models.licence} </span>
        {card?.licence ? (
          <span translate="no">{card.licence}</span>
        ) : (
          <span className="soft">{text.models.unknown}</span>
        )}
      </td>
      <td>
        {card ? (
          <VerdictSign verdict={card.verdict} words={text.models.verdicts[card.verdict]} />
        ) : null}
      </td>
    </>
  );
}

/** Where a model is: in memory, on disk, on its way, elsewhere. */
export function EntryState({
  entry,
  fresh,
  job,
}: {
  entry: Entry;
  fresh: boolean;
  job: Job | null;
}) {
  const text = useText();
  const language = useLanguage();
  if (job && !hasEnded(job)) {
    const share = shareOf(job);
    const shown = share === null ? null : percent(language, share);
    const paused = job.state === "paused";
    return (
      <span className="state-sign numbers">
        {paused ? <PauseIcon size={16} /> : <JobsIcon size={16} />}
        {paused ? text.models.paused(shown) : text.models.fetching(shown)}
      </span>
    );
  }
  if (entry.card?.problem)
    return (
      <span className="state-sign bad">
        <WarnIcon size={16} />
        {text.models.broken}
      </span>
    );
  if (!entry.here) return <span className="soft">{text.models.absent}</span>;
  if (!fresh) return <span className="soft">{text.models.notKnown}</span>;
  if (!entry.loaded) return <span className="soft">{text.models.here}</span>;
  return (
    <span className="state-sign good">
      <CheckIcon size={16} />
      {text.models.loaded}
    </span>
  );
}

function Act({ entry }: { entry: Entry }) {
  const text = useText();
  if (!entry.here)
    return (
      <Link
        className="button"
        to={`/models/${encodeURIComponent(entry.name)}`}
        aria-label={text.models.getName(entry.name)}
      >
        {text.models.get}
      </Link>
    );
  return canChat(entry) ? <ChatButton name={entry.name} /> : null;
}

/** Chooses the model and goes to the chat. */
export function ChatButton({ name }: { name: string }) {
  const text = useText();
  const navigate = useNavigate();
  const { change } = use(SettingsContext);
  return (
    <button
      type="button"
      className="button"
      aria-label={text.models.chatWith(name)}
      onClick={() => {
        change({ model: name });
        void navigate("/chat");
      }}
    >
      {text.models.chat}
    </button>
  );
}
