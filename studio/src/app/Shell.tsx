import { useRef, type ReactNode } from "react";
import { NavLink } from "react-router";

import { useText } from "../i18n";
import { JobsTray } from "../jobs/JobsTray";
import { useSearchKey } from "../search/useSearchKey";
import {
  AssistantsIcon,
  BrandIcon,
  ChatIcon,
  KeysIcon,
  ModelsIcon,
  PromptsIcon,
  SettingsIcon,
  TokenizersIcon,
  TrainingIcon,
} from "../ui/icons";
import { KeysDialog, useKeysDialog } from "./KeysDialog";
import { useVisibleHeight } from "./useVisibleHeight";

/** The rail with the verbs, and beside it (on a phone: above it) the page. */
export function Shell({ children }: { children: ReactNode }) {
  const text = useText();
  const main = useRef<HTMLElement>(null);
  const [dialog, openKeys] = useKeysDialog();
  useVisibleHeight();
  useSearchKey();
  const to = (address: string, name: string, icon: ReactNode) => (
    <NavLink className="to" to={address} title={name}>
      {icon}
      <span>{name}</span>
    </NavLink>
  );
  return (
    <div className="shell">
      <button
        type="button"
        className="button skip"
        onClick={() => main.current?.focus({ preventScroll: true })}
      >
        {text.nav.skip}
      </button>
      <nav className="rail" aria-label={text.nav.label}>
        <p className="brand" translate="no">
          <BrandIcon />
          <span>{text.product}</span>
        </p>
        <div className="group">
          <p className="verb">{text.nav.use}</p>
          {to("/chat", text.nav.chat, <ChatIcon />)}
          {to("/assistants", text.nav.assistants, <AssistantsIcon />)}
          {to("/prompts", text.nav.prompts, <PromptsIcon />)}
        </div>
        <div className="group">
          <p className="verb">{text.nav.run}</p>
          {to("/models", text.nav.models, <ModelsIcon />)}
        </div>
        <div className="group">
          <p className="verb">{text.nav.make}</p>
          {to("/tokenizers", text.nav.tokenizers, <TokenizersIcon />)}
          {to("/training", text.nav.training, <TrainingIcon />)}
        </div>
        <div className="group foot">
          <JobsTray />
          <button type="button" className="to keys" title={text.nav.keys} onClick={openKeys}>
            <KeysIcon />
            <span>{text.nav.keys}</span>
          </button>
          {to("/settings", text.nav.settings, <SettingsIcon />)}
        </div>
      </nav>
      <main ref={main} tabIndex={-1}>
        {children}
      </main>
      <KeysDialog dialog={dialog} />
    </div>
  );
}
