import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app/App";
import { browserWorld, Chats } from "./conversation/chats";
import { Drafts, TabStore } from "./conversation/store";
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

const storage = () => sessionStorage;
const store = new TabStore(storage);
const chats = new Chats(store, browserWorld);

// Whatever is unsaved when the page is left is saved at that moment.
window.addEventListener("pagehide", () => {
  for (const conversation of chats.takeUnsaved()) store.saveNow(conversation);
});

const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <App talk={{ chats, drafts: new Drafts(storage) }} />
    </StrictMode>,
  );
