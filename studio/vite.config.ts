import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** What the built page may load: its own server, nothing else. The server sends the same header. */
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** The policy stands in the page itself too, so that it holds whoever serves the files. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}

export default defineConfig({
  plugins: [react(), contentSecurityPolicy()],
  build: {
    outDir: "../src/kataribe/serve/studio",
    emptyOutDir: true,
    // The first browsers with light-dark(); nothing older is translated for.
    target: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0, // an inlined data: address would need a wider policy
    chunkSizeWarningLimit: 900, // kB before compression; what counts, 300 compressed, is tested
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8720", "/studio/api": "http://127.0.0.1:8720" } },
  test: { environment: "node", include: ["tests/**/*.test.{ts,tsx}"] },
});
