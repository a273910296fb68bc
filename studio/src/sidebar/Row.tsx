import { memo, useRef, useState } from "react";
import { NavLink } from "react-router";

import type { Summary } from "../api/conversations";
import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { plainLine } from "../prose/tame";
import { ClockIcon, MoreIcon, PinIcon } from "../ui/icons";
import { LineForm } from "../ui/LineForm";
import { useGoOn } from "../ui/useGoOn";
import { FOLDER_LENGTH } from "./FilterBar";
import { RemoveForever } from "./RemoveForever";
import { RowMenu } from "./RowMenu";
import type { Acts } from "./useActs";

interface Props {
  conversation: Summary;
  folders: readonly string[];
  /** The list's part of the address, which opening a conversation keeps. */
  query: string;
  acts: Acts;
}

const TITLE_LENGTH = 200;

/** A conversation in the list. F2 names it, Delete deletes it. */
export const Row = memo(function Row({ conversation, folders, query, acts }: Props) {
  const text = useText();
  const [mode, setMode] = useState<"shown" | "menu" | "name" | "folder" | "forever">("shown");
  const button = useRef<HTMLButtonElement>(null);
  const title = plainLine(conversation.title) || text.sidebar.untitled;
  const row = useGoOn(nextTo);
  const show = () => setMode("shown");
  const back = () => {
    button.current?.focus(); // first, because the menu takes the focus along
    show();
  };
  if (mode === "name" || mode === "folder")
    return (
      <li ref={row} className="editing">
        <LineForm
          label={mode === "name" ? text.sidebar.name : text.sidebar.folderName}
          value={mode === "name" ? conversation.title : conversation.folder}
          maxLength={mode === "name" ? TITLE_LENGTH : FOLDER_LENGTH}
          save={text.sidebar.save}
          {...(mode === "folder" ? { offers: folders } : {})}
          back={() => button.current}
          onCancel={show}
          onSave={(value) => {
            show();
            const now = mode === "name" ? conversation.title : conversation.folder;
            if (value !== now)
              acts.change(conversation, mode === "name" ? { title: value } : { folder: value });
          }}
        />
        {mode === "folder" ? <p className="soft small">{text.sidebar.folderWhy}</p> : null}
      </li>
    );
  return (
    <li ref={row}>
      <NavLink
        to={`/chat/${conversation.id}${query}`}
        title={title}
        onKeyDown={(event) => {
          if (event.key === "F2" && !conversation.deleted) setMode("name");
          else if (event.key === "Delete" && !conversation.deleted) acts.remove(conversation);
          else return;
          event.preventDefault();
        }}
      >
        {conversation.pinned ? (
          <span className="mark" title={text.sidebar.pinned}>
            <PinIcon size={14} />
            <span className="unseen">{text.sidebar.pinned}</span>
          </span>
        ) : null}
        <bdi className="title">{title}</bdi>
        <State conversation={conversation} />
      </NavLink>
      <button
        ref={button}
        type="button"
        className="button quiet square"
        aria-label={text.sidebar.actsFor(title)}
        title={text.sidebar.acts}
        aria-expanded={mode === "menu"}
        onClick={() => setMode(mode === "menu" ? "shown" : "menu")}
      >
        <MoreIcon size={16} />
      </button>
      {mode === "menu" ? (
        <RowMenu
          conversation={conversation}
          acts={acts}
          onClose={back}
          onLeave={show}
          onName={() => setMode("name")}
          onFolder={() => setMode("folder")}
          onForever={() => setMode("forever")}
        />
      ) : null}
      {mode === "forever" ? (
        <RemoveForever
          title={title}
          onClose={show}
          onRemove={() => acts.removeForever(conversation)}
        />
      ) : null}
    </li>
  );
});

/** The row beside one that goes; beside the last one the way back, or the choice of lists. */
function nextTo(gone: HTMLElement) {
  const list = gone.closest(".sidebar");
  const beside = gone.nextElementSibling ?? gone.previousElementSibling;
  return () =>
    (beside?.isConnected ? beside.querySelector("a") : null) ??
    list?.querySelector<HTMLElement>(".undo button") ??
    list?.querySelector("select");
}

/** That a reply is being written, and how many messages wait. */
function State({ conversation }: { conversation: Summary }) {
  const text = useText();
  const language = useLanguage();
  const { running, waiting } = conversation;
  if (!running && waiting === 0) return null;
  const said = running ? text.sidebar.running : text.sidebar.waiting(count(language, waiting));
  return (
    <span className={running ? "state running" : "state"} title={said}>
      <ClockIcon size={14} />
      {waiting > 0 ? <span aria-hidden="true">{count(language, waiting)}</span> : null}
      <span className="unseen">{said}</span>
    </span>
  );
}
