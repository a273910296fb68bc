import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Suspense, useState } from "react";
import { BrowserRouter, Navigate, Route, Routes } from "react-router";

import type { Connection } from "../api/client";
import type { EventLine } from "../api/events";
import { ChatPage } from "../chat/ChatPage";
import { TalkContext, type Talk } from "../conversation/context";
import { Door } from "../people/Door";
import { SearchPage } from "../search/SearchPage";
import { SettingsPage } from "../settings/SettingsPage";
import { SettingsProvider } from "../settings/SettingsProvider";
import { ChatLayout } from "../sidebar/ChatLayout";
import { ErrorBoundary } from "./ErrorBoundary";
import { later } from "./later";
import { Live } from "./Live";
import { MissingPage } from "./MissingPage";
import { Shell } from "./Shell";

// Pages beside the chat come when they are opened: the first page stays small.
const ModelsPage = later(async () => (await import("../models/ModelsPage")).ModelsPage);
const CardPage = later(async () => (await import("../models/CardPage")).CardPage);
const JobsPage = later(async () => (await import("../jobs/JobsPage")).JobsPage);
const JobPage = later(async () => (await import("../jobs/JobPage")).JobPage);
const MemoryPage = later(async () => (await import("../memory/MemoryPage")).MemoryPage);
const McpPage = later(async () => (await import("../mcp/McpPage")).McpPage);
const TokenizersPage = later(
  async () => (await import("../tokenizers/TokenizersPage")).TokenizersPage,
);
const AssistantsPage = later(
  async () => (await import("../assistants/AssistantsPage")).AssistantsPage,
);
const EditorPage = later(async () => (await import("../assistants/EditorPage")).EditorPage);
const PromptsPage = later(async () => (await import("../prompts/PromptsPage")).PromptsPage);
const PromptPage = later(async () => (await import("../prompts/PromptPage")).PromptPage);
const TrainingPage = later(async () => (await import("../training/TrainingPage")).TrainingPage);
const RunPage = later(async () => (await import("../training/RunPage")).RunPage);

interface Props {
  talk: Talk;
  line: EventLine;
  connection: Connection;
}

/** Every page and its address. */
export function App({ talk, line, connection }: Props) {
  const [queries] = useState(
    // Failures are shown at once with a button; asking again in silence would hide them.
    () => new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: "always" } } }),
  );
  return (
    <QueryClientProvider client={queries}>
      <SettingsProvider>
        <Live line={line} connection={connection}>
          <TalkContext value={talk}>
            {/* At once and not in a transition: between two pages a second press would send twice. */}
            <BrowserRouter useTransitions={false}>
              <Door>
                <Shell>
                  <ErrorBoundary>
                    <Suspense fallback={null}>
                      <Routes>
                        <Route path="/" element={<Navigate to="/chat" replace />} />
                        <Route element={<ChatLayout />}>
                          <Route path="/chat" element={<ChatPage />} />
                          <Route path="/chat/:conversation" element={<ChatPage />} />
                          <Route path="/search" element={<SearchPage />} />
                        </Route>
                        <Route path="/assistants" element={<AssistantsPage />} />
                        <Route path="/assistants/:assistant" element={<EditorPage />} />
                        <Route path="/prompts" element={<PromptsPage />} />
                        <Route path="/prompts/:prompt" element={<PromptPage />} />
                        <Route path="/models" element={<ModelsPage />} />
                        <Route path="/models/*" element={<CardPage />} />
                        <Route path="/tokenizers" element={<TokenizersPage />} />
                        <Route path="/training" element={<TrainingPage />} />
                        <Route path="/training/:run" element={<RunPage />} />
                        <Route path="/jobs" element={<JobsPage />} />
                        <Route path="/jobs/:job" element={<JobPage />} />
                        <Route path="/memory" element={<MemoryPage />} />
                        <Route path="/mcp-servers" element={<McpPage />} />
                        <Route path="/settings" element={<SettingsPage />} />
                        <Route path="*" element={<MissingPage />} />
                      </Routes>
                    </Suspense>
                  </ErrorBoundary>
                </Shell>
              </Door>
            </BrowserRouter>
          </TalkContext>
        </Live>
      </SettingsProvider>
    </QueryClientProvider>
  );
}
