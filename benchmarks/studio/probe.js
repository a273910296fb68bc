// Looks at the page from inside, as a person would: what is drawn, and when. Needs `benchMarker`.
(() => {
  const bench = {
    usable: null, // ms: the composer can be written in
    opened: null, // ms: besides, the message with the marker is seen at its end
    clicked: null, // ms: the last click, as the browser received it
    entered: null, // ms: the last Enter
    keys: 0, // keys that were pressed down
    paints: [], // ms from each key to the frame after it
    events: [], // Event Timing entries: [name, interaction, ms]; shorter ones than 16 ms have none
    long: [], // ms of each long task
    shifts: [], // [value, just after input]
    frames: null, // while frames are watched: [ms since the frame before, what was seen]
  };
  window.bench = bench;

  const after = (run) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => run(performance.now());
    port2.postMessage(0); // behind the frame that is being made
  };

  const composer = () => document.querySelector('textarea[aria-label="Message"]');

  function usable() {
    const field = composer();
    return Boolean(field && !field.disabled && !field.readOnly && field.checkVisibility());
  }

  function opened() {
    const last = [...document.querySelectorAll("article")].at(-1);
    if (!last || !last.textContent.includes(window.benchMarker)) return false;
    const { top, bottom } = last.getBoundingClientRect();
    return bottom > top && bottom > 0 && bottom <= innerHeight;
  }

  function wait() {
    if (bench.usable === null && usable()) after((now) => (bench.usable ??= now));
    if (window.benchMarker && bench.opened === null && usable() && opened())
      after((now) => (bench.opened ??= now));
    if (bench.usable === null || (window.benchMarker && bench.opened === null))
      requestAnimationFrame(wait);
  }
  requestAnimationFrame(wait);

  // What a person sees in the middle of the page: messages, places of messages, or nothing.
  function seen() {
    const field = composer();
    const bottom = field ? field.getBoundingClientRect().top - 40 : innerHeight;
    const words = covered("article", bottom);
    const places = covered(".unread", bottom);
    if (words + places < 0.3) return "blank";
    return words < places ? "unread" : "words";
  }

  function covered(selector, bottom) {
    let height = 0;
    for (const one of document.querySelectorAll(selector)) {
      const box = one.getBoundingClientRect();
      height += Math.max(0, Math.min(box.bottom, bottom) - Math.max(box.top, 60));
    }
    return height / (bottom - 60);
  }

  bench.watchFrames = () => {
    bench.frames = [];
    let before = null;
    const frame = (now) => {
      if (bench.frames === null) return;
      const gap = before === null ? null : now - before;
      before = now;
      if (gap !== null) after(() => bench.frames?.push([gap, seen()]));
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };

  bench.takeFrames = () => {
    const { frames } = bench;
    bench.frames = null;
    return frames;
  };

  bench.clear = () => {
    for (const name of ["paints", "events", "long", "shifts"]) bench[name] = [];
    bench.keys = 0;
  };

  addEventListener("click", (event) => (bench.clicked = event.timeStamp), true);
  addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Enter") bench.entered = event.timeStamp;
      bench.keys += 1;
      requestAnimationFrame(() => after((now) => bench.paints.push(now - event.timeStamp)));
    },
    true,
  );

  const observe = (type, take, more = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({
      type,
      buffered: true,
      ...more,
    });
  const timed = ({ name, interactionId, duration }) =>
    bench.events.push([name, interactionId, duration]);
  observe("event", timed, { durationThreshold: 16 });
  observe("first-input", timed);
  observe("longtask", ({ duration }) => bench.long.push(duration));
  observe("layout-shift", ({ value, hadRecentInput }) => bench.shifts.push([value, hadRecentInput]));
})();
