import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import type { Connection } from "./api/client";
import { ConversationApi } from "./api/conversations";
import { browserEvents, EventLine } from "./api/events";
import { App } from "./app/App";
import { Acts } from "./conversation/acts";
import { Chats } from "./conversation/chats";
import { Drafts, Kept, Outbox } from "./conversation/store";
import { browserWorld } from "./conversation/world";
import { registerWorker } from "./install/worker";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/chat.css";
import "./styles/prose.css";
import "./styles/pages.css";
import "./styles/sidebar.css";
import "./styles/search.css";
import "./styles/settings.css";
import "./styles/models.css";
import "./styles/jobs.css";
import "./styles/training.css";
import "./styles/tokenizers.css";
import "./styles/steps.css";
import "./styles/assistants.css";
import "./styles/prompts.css";
import "./styles/mcp.css";

const connection: Connection = { key: null };
const line = new EventLine(() => connection, browserEvents);
const kept = new Kept(() => localStorage);
const api = new ConversationApi(() => connection);
const chats = new Chats(api, line, new Outbox(kept), browserWorld);
const talk = {
  chats,
  acts: new Acts(chats),
  drafts: new Drafts(kept, new Kept(() => sessionStorage)),
};

const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <App talk={talk} line={line} connection={connection} />
    </StrictMode>,
  );

registerWorker();
