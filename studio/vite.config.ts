import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import react from "@vitejs/plugin-react";
import type { Plugin, Rollup } from "vite";
import { defineConfig } from "vitest/config";

/** What the built page may load: its own server, nothing else. The server sends the same header. */
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "font-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "frame-src 'none'",
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

/** The scripts and styles that the first page loads; what pages load later is left to them. */
function firstFiles(bundle: Rollup.OutputBundle): string[] {
  const found = new Set<string>();
  const take = (name: string) => {
    const chunk = bundle[name];
    if (found.has(name) || chunk?.type !== "chunk") return;
    found.add(name);
    for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
    for (const other of chunk.imports) take(other);
  };
  for (const [name, file] of Object.entries(bundle))
    if (file.type === "chunk" && file.isEntry) take(name);
  return [...found].sort();
}

/**
 * Writes the service worker for this very build: the files that the page needs to open without the
 * server, and a version that is made of their contents.
 */
function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const hash = createHash("sha256");
      const files = ["/index.html"];
      for (const name of readdirSync("public").sort()) {
        hash.update(name).update(readFileSync(join("public", name)));
        files.push(`/${name}`);
      }
      for (const [name, file] of Object.entries(bundle).sort(([one], [two]) =>
        one < two ? -1 : 1,
      ))
        hash.update(name).update(file.type === "chunk" ? file.code : file.source);
      files.push(...firstFiles(bundle).map((name) => `/${name}`));
      const source = readFileSync("service-worker.js", "utf-8")
        .replace("__VERSION__", `kataribe-${hash.digest("hex").slice(0, 16)}`)
        .replace("__FILES__", JSON.stringify(files));
      this.emitFile({ type: "asset", fileName: "sw.js", source });
    },
  };
}

export default defineConfig({
  plugins: [react(), contentSecurityPolicy(), serviceWorker()],
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
