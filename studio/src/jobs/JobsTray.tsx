import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type RefObject } from "react";
import { Link, useLocation } from "react-router";

import type { Job } from "../api/jobs";
import { useLanguage, useText } from "../i18n";
import type { Catalogue } from "../i18n/catalogue";
import { count, percent } from "../i18n/format";
import { CloseIcon, JobsIcon, WarnIcon } from "../ui/icons";
import { endedBetween, hasEnded, inOrder, shareOfAll } from "./job";
import { JobRow } from "./JobRow";
import { useJobEvents } from "./useJobEvents";
import { isAbsent, useJobs } from "./useJobs";

/** Ended jobs that the tray still shows; the page has all. */
const RECENT = 3;

/** The button in the rail and what it opens: whatever runs, from every page. */
export function JobsTray() {
  const text = useText();
  const language = useLanguage();
  const query = useJobs();
  useJobEvents();
  const dialog = useRef<HTMLDialogElement>(null);
  const [isShown, setShown] = useState(false);
  const jobs = query.data ?? [];
  const { said, failed, seen } = useEndings(query.data);
  useClosedByLeaving(dialog);
  useEffect(() => {
    if (isShown) dialog.current?.showModal(); // with what is in it, where the focus goes
  }, [isShown]);
  if (isAbsent(query.error)) return null;
  const open = jobs.filter((job) => !hasEnded(job));
  const share = shareOfAll(open);
  const shown = share === null ? null : percent(language, share);
  const name =
    open.length === 0 ? text.jobs.title : text.jobs.open(count(language, open.length), shown);
  return (
    <>
      <button
        type="button"
        className="to jobs-button"
        title={name}
        aria-haspopup="dialog"
        onClick={() => {
          seen();
          setShown(true);
          // Closed a moment ago, and the news of that still to come.
          if (isShown && dialog.current?.open === false) dialog.current.showModal();
        }}
      >
        {failed ? <WarnIcon /> : <JobsIcon />}
        <span className="unseen">{failed ? `${name}. ${text.jobs.failedSome}` : name}</span>
        <span aria-hidden="true">{text.jobs.title}</span>
        {open.length > 0 ? (
          <b className="badge" aria-hidden="true">
            {shown ?? count(language, open.length)}
          </b>
        ) : null}
      </button>
      <p role="status" className="unseen">
        {said}
      </p>
      <dialog
        ref={dialog}
        className="tray"
        aria-labelledby="tray-title"
        onClose={() => setShown(dialog.current?.open === true)}
        onClick={(event) => {
          if (event.target === dialog.current) dialog.current?.close(); // beside it
        }}
      >
        {isShown ? <TrayContent jobs={jobs} onClose={() => dialog.current?.close()} /> : null}
      </dialog>
    </>
  );
}

function TrayContent({ jobs, onClose }: { jobs: readonly Job[]; onClose: () => void }) {
  const text = useText();
  const body = useRef<HTMLDivElement>(null);
  const ordered = inOrder(jobs);
  const open = ordered.filter((job) => !hasEnded(job));
  const recent = ordered.filter(hasEnded).slice(0, RECENT);
  return (
    <div className="tray-body" ref={body} tabIndex={-1}>
      <header>
        <h2 id="tray-title">{text.jobs.title}</h2>
        <button
          type="button"
          className="button quiet square"
          aria-label={text.jobs.close}
          onClick={onClose}
        >
          <CloseIcon size={16} />
        </button>
      </header>
      {open.length === 0 ? (
        <div className="stack small">
          <p>{text.jobs.none}</p>
          <p className="soft">{text.jobs.noneWhy}</p>
        </div>
      ) : null}
      <ul className="jobs-list">
        {[...open, ...recent].map((job) => (
          <li key={job.id}>
            <JobRow job={job} onRemoved={() => body.current?.focus()} />
          </li>
        ))}
      </ul>
      <p>
        <Link className="button" to="/jobs">
          {text.jobs.all}
        </Link>
      </p>
    </div>
  );
}

/** A link inside leads to another page: what was opened over the old one closes. */
function useClosedByLeaving(dialog: RefObject<HTMLDialogElement | null>) {
  const { pathname } = useLocation();
  useEffect(() => dialog.current?.close(), [dialog, pathname]);
}

/**
 * Tells what has ended since the last look: to screen readers, by a sign when something failed, and
 * to the lists that a finished job changes.
 */
function useEndings(jobs: readonly Job[] | undefined) {
  const text = useText();
  const queries = useQueryClient();
  const [before, setBefore] = useState(jobs);
  const [said, setSaid] = useState("");
  const [failed, setFailed] = useState(false);
  const ended = jobs !== before && before && jobs ? endedBetween(before, jobs) : [];
  if (jobs !== before) {
    setBefore(jobs);
    if (ended.length > 0) setSaid(ended.map((job) => ending(text, job)).join(" "));
    if (ended.some((job) => job.state === "failed")) setFailed(true);
  }
  const endings = (jobs ?? []).filter(hasEnded).length;
  useEffect(() => {
    void queries.invalidateQueries({ queryKey: ["models"] });
    void queries.invalidateQueries({ queryKey: ["catalog"] });
  }, [queries, endings]);
  return { said, failed, seen: () => setFailed(false) };
}

function ending(text: Catalogue, job: Job): string {
  if (job.state === "done") return text.jobs.doneSaid(job.title);
  if (job.state === "failed") return text.jobs.failedSaid(job.title);
  return text.jobs.cancelledSaid(job.title);
}
