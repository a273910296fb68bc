// Runs before the first paint, so that a page chosen dark never flashes light, and before the
// scripts are read, so that the server already looks for the conversation of this address. It is
// a file and not an inline script because the page's policy allows no inline script.
(function () {
  var root = document.documentElement;
  var saved = {};
  try {
    saved = JSON.parse(localStorage.getItem("kataribe.settings") || "{}") || {};
  } catch {
    // Storage is closed or holds something else: the browser's own wishes stand.
  }
  var wish = (navigator.language || "").toLowerCase().indexOf("ja") === 0 ? "ja" : "en";
  root.lang = saved.language === "ja" || saved.language === "en" ? saved.language : wish;
  if (saved.theme === "light" || saved.theme === "dark") root.dataset.theme = saved.theme;
  var at = /^\/chat\/([a-z0-9]+)$/.exec(location.pathname);
  if (at === null || saved.key) return; // with a key it is asked for as everything else is
  var answer = fetch("/studio/api/conversations/" + at[1], { credentials: "same-origin" });
  answer.catch(function () {}); // it is asked for again, and told then
  window.kataribeEarly = { id: at[1], answer: answer };
})();
