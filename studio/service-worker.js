/*
 * Opens the studio when the server is away: its page, scripts and styles come from here, and the
 * page itself says that the server does not answer. Nothing of the API is ever kept, or even
 * touched: whatever is not named in FILES goes to the network as if this file did not exist.
 *
 * VERSION and FILES are written in by the build (vite.config.ts): another build is another cache.
 */
const VERSION = "__VERSION__";
const FILES = __FILES__;
const PAGE = "/index.html";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(VERSION)
      // Asked for anew, past the browser's own cache: a page of the build before would be kept.
      .then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name))),
      )
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    if (isPage(url.pathname)) event.respondWith(fetch(request).catch(() => kept(PAGE)));
  } else if (url.search === "" && FILES.includes(url.pathname)) {
    event.respondWith(
      url.pathname.startsWith("/assets/")
        ? kept(url.pathname).then((found) => (found.ok ? found : fetch(request)))
        : fetch(request).catch(() => kept(url.pathname)),
    );
  }
});

/** Addresses of the studio's own pages; the others (/docs, /v1…) are the server's to answer. */
function isPage(path) {
  return path === "/" || /^\/(chat|search|models|jobs|settings|sign-in)(\/|$)/.test(path);
}

async function kept(path) {
  const cache = await caches.open(VERSION);
  return (await cache.match(path)) ?? Response.error();
}
