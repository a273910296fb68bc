import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useState } from "react";
import { BrowserRouter, Navigate, Route, Routes } from "react-router";

import { ChatPage } from "../chat/ChatPage";
import { TalkContext, type Talk } from "../conversation/context";
import { ModelsPage } from "../models/ModelsPage";
import { SettingsPage } from "../settings/SettingsPage";
import { SettingsProvider } from "../settings/SettingsProvider";
import { ErrorBoundary } from "./ErrorBoundary";
import { MissingPage } from "./MissingPage";
import { Shell } from "./Shell";

/** Every page and its address. */
export function App({ talk }: { talk: Talk }) {
  const [queries] = useState(
    // Failures are shown at once with a button; asking again in silence would hide them.
    () => new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: "always" } } }),
  );
  return (
    <QueryClientProvider client={queries}>
      <SettingsProvider>
        <TalkContext value={talk}>
          {/* At once and not in a transition: between two pages a second press would send twice. */}
          <BrowserRouter useTransitions={false}>
            <Shell>
              <ErrorBoundary>
                <Routes>
                  <Route path="/" element={<Navigate to="/chat" replace />} />
                  <Route path="/chat" element={<ChatPage />} />
                  <Route path="/chat/:conversation" element={<ChatPage />} />
                  <Route path="/models" element={<ModelsPage />} />
                  <Route path="/settings" element={<SettingsPage />} />
                  <Route path="*" element={<MissingPage />} />
                </Routes>
              </ErrorBoundary>
            </Shell>
          </BrowserRouter>
        </TalkContext>
      </SettingsProvider>
    </QueryClientProvider>
  );
}
