// Runs before the first paint, so that a page chosen dark never flashes light. It is a file and
// not an inline script because the page's policy allows no inline script.
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
})();
