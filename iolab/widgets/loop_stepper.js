// The loop stepper: a run of an event loop, one step at a time; what the program sees beside what the kernel holds.
// One file, no imports, no network. The steps come from the kernel's side, as the trait `run`.

const NS = "http://www.w3.org/2000/svg";
const PLAY_MS = 1400;
const SPEAK_MS = 50; // that a region is empty before it is written again
const STYLE = `
.iolab-stepper { background: #fff; color: #222; font: 14px/1.4 sans-serif; border: 1px solid #767676; border-radius: 6px;
  padding: 10px 12px; max-width: 1000px; }
.iolab-stepper .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 6px 0; }
.iolab-stepper .says { min-height: 4.3em; margin: 4px 0; font-size: 15px; }
.iolab-stepper .changes { display: block; font-size: 13px; color: #444; }
.iolab-stepper .who { display: inline-block; border-radius: 10px; padding: 0 9px; margin-right: 6px; border: 1px solid #222; }
.iolab-stepper .who.client { background: #eec7dd; } .iolab-stepper .who.loop { background: #cfe8f7; }
.iolab-stepper .who.handler { background: #c4e8dc; }
.iolab-stepper .sides { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; }
@media (max-width: 640px) { .iolab-stepper .sides { grid-template-columns: 1fr; } }
.iolab-stepper .side { border: 1px solid #bbb; border-radius: 6px; padding: 6px 10px; min-height: 250px; }
.iolab-stepper .program { background: #fcf6ea; } .iolab-stepper .kernel { background: #e9f0f7; }
.iolab-stepper .head { font-weight: bold; margin: 0 0 4px; font-size: 15px; }
.iolab-stepper table { border-collapse: collapse; width: 100%; margin: 2px 0 8px; font-size: 13px; }
.iolab-stepper caption { text-align: left; color: #444; font-size: 12px; padding: 2px 0; }
.iolab-stepper th, .iolab-stepper td { text-align: left !important; padding: 2px 6px; border-bottom: 1px solid #ccc; font-weight: normal;
  vertical-align: middle; background: none; color: #222; }
.iolab-stepper thead th { color: #444; font-size: 12px; }
.iolab-stepper td.changed { box-shadow: inset 0 0 0 2px #D55E00; font-weight: bold; }
.iolab-stepper tr.running td, .iolab-stepper tr.running th { background: #b7e3d4; font-weight: bold; }
.iolab-stepper tr.running td:first-child::before, .iolab-stepper tr.running th:first-child::before { content: "▶ "; }
.iolab-stepper .bar { display: inline-block; height: 12px; background: #0072B2; border: 1px solid #222; vertical-align: middle; margin-right: 5px; }
.iolab-stepper .bar.out { background: #CC79A7; }
.iolab-stepper .lamp { display: inline-block; width: 12px; height: 12px; border-radius: 50%; border: 1px solid #222; vertical-align: middle; margin-right: 4px; }
.iolab-stepper .lamp.on { background: #F0E442; box-shadow: 0 0 5px #b59b00; }
.iolab-stepper svg { display: block; width: 100%; height: auto; }
.iolab-stepper button { font: inherit; color: #222; background: #f2f2f2; border: 1px solid #767676; border-radius: 4px; padding: 3px 10px; min-height: 30px; }
.iolab-stepper button:hover { background: #e2e2e2; }
.iolab-stepper input[type=range] { flex: 1 1 240px; min-width: 160px; height: 26px; accent-color: #0072B2; }
.iolab-stepper :focus-visible, .iolab-stepper:focus { outline: 3px solid #0072B2; outline-offset: 2px; }
.iolab-stepper .small { color: #5f5f5f; font-size: 12px; margin: 4px 0 0; }
.iolab-stepper .none { color: #5f5f5f; font-style: italic; }
`;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const count = number => Number(number).toLocaleString("en");

let steppers = 0;

function render({ model, el, signal }) {
  const own = `iolab-stepper-${++steppers}`;
  // Lab asks whether its shortcuts are to be left out.
  const root = element("div", {
    class: "iolab-stepper", role: "group", tabindex: 0, "aria-describedby": `${own}-keys`, "data-lm-suppress-shortcuts": "true",
  });
  const says = element("p", { class: "says", role: "status", "aria-live": "polite" });
  const back = element("button", { type: "button" }, "◀ step");
  const play = element("button", { type: "button" }, "▶ play");
  const forth = element("button", { type: "button" }, "step ▶");
  back.setAttribute("aria-label", "One step back");
  forth.setAttribute("aria-label", "One step forward");
  play.setAttribute("aria-label", "Play");
  const turnBack = element("button", { type: "button", "aria-label": "One turn back" }, "◀◀ turn");
  const turnForth = element("button", { type: "button", "aria-label": "One turn forward" }, "turn ▶▶");
  const scrub = element("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "Step" });
  const where = element("span", { class: "where" });
  const program = element("section", { class: "side program", "aria-label": "What the program sees" });
  const kernel = element("section", { class: "side kernel", "aria-label": "What the kernel holds" });
  const keys = element("p", { class: "small", id: `${own}-keys` }, "Keys: ← → one step, Page Up and Page Down one turn, Home and End, space plays and pauses. An orange frame: changed by this step.");
  const origin = element("p", { class: "small" });
  root.append(element("style", {}, STYLE), element("div", { class: "row" }, turnBack, back, play, forth, turnForth, scrub, where), says,
    element("div", { class: "sides" }, program, kernel), origin, keys);
  el.append(root);

  let run, at = 0, timer = 0, frame = 0, changes = [];

  function load() {
    run = model.get("run");
    root.setAttribute("aria-label", `Loop stepper: ${run.kind} on ${run.mechanism}`);
    scrub.max = run.steps.length - 1;
    origin.textContent = model.get("origin");
    show(0);
  }

  function show(number) {
    at = Math.max(0, Math.min(number, run.steps.length - 1));
    const step = run.steps[at], before = at ? run.steps[at - 1] : step;
    scrub.value = at;
    scrub.setAttribute("aria-valuetext", `step ${at + 1} of ${run.steps.length}, turn ${step.turn}: ${step.title}`);
    where.textContent = `step ${at + 1} of ${run.steps.length}, turn ${step.turn}`;
    changes = [];
    const sides = run.kind === "reactor" ? reactor(step, before) : proactor(step, before);
    program.replaceChildren(element("p", { class: "head" }, "What the program sees"), ...sides[0]);
    kernel.replaceChildren(element("p", { class: "head" }, run.kind === "reactor" ? "What the kernel holds" : "What the kernel holds, and the rings that both share"), ...sides[1]);
    // While it plays a screen reader would be talked over by every step: it is told of the one where it stops.
    says.setAttribute("aria-live", timer ? "off" : "polite");
    say();
  }

  function say() {
    const step = run.steps[at];
    says.replaceChildren(element("span", { class: `who ${step.who}` }, step.who), element("strong", {}, `${step.title}. `), step.says);
    if (at) says.append(element("span", { class: "changes" }, ` Changed: ${changes.join("; ") || "nothing that is shown here"}.`));
  }

  // A screen reader reads what changes while a region is live: so it is emptied, and a moment later written again.
  function sayAgain() {
    says.setAttribute("aria-live", "polite");
    says.replaceChildren();
    clearTimeout(frame);
    frame = setTimeout(() => { if (!says.firstChild) say(); }, SPEAK_MS);
  }

  // A table whose cells are marked where they differ from the same row, by its key, of the step before. The same is put
  // into words, as `name: ...`: `columns` are the headings there, `title` is what a row is called; a row that is `alone` has no title.
  function table(caption, headings, rows, earlier, {
    running = () => false, words = value => String(value), cell = (...each) => [words(...each)], none = "nothing",
    name, columns = headings, title = row => String(row[1]).split(", fd ")[0], alone = false,
  }) {
    const made = element("table", {}, element("caption", {}, caption));
    const known = new Map(earlier.map(row => [row[0], row])), keys = new Set(rows.map(row => row[0]));
    const come = rows.filter(row => !known.has(row[0])).map(title), gone = earlier.filter(row => !keys.has(row[0])).map(title);
    if (come.length) changes.push(`${name}: ${come.join(", ")} new`);
    if (gone.length) changes.push(`${name}: ${gone.join(", ")} gone`);
    if (!rows.length) {
      made.append(element("tbody", {}, element("tr", {}, element("td", { class: "none" }, none))));
      return made;
    }
    made.append(element("thead", {}, element("tr", {}, ...headings.map(each => element("th", { scope: "col" }, each)))));
    const body = element("tbody");
    for (const row of rows) {
      const line = element("tr", running(row) ? { class: "running" } : {});
      const old = known.get(row[0]);
      row.slice(1).forEach((value, column) => {
        const changed = !old || JSON.stringify(old[column + 1]) !== JSON.stringify(value);
        line.append(element("td", changed ? { class: "changed" } : {}, ...cell(value, column, row)));
        if (changed && old) changes.push(`${alone ? "" : `${title(row)}: `}${columns[column]} from ${words(old[column + 1], column)} to ${words(value, column)}`);
      });
      body.append(line);
    }
    made.append(body);
    return made;
  }

  const most = () => Math.max(1, ...run.steps.flatMap(step => step.kernel.sockets.flatMap(([, , unread, unsent]) => [unread, unsent])));
  function bar(nbytes, kind = "") {
    if (!nbytes) return ["0 B"];
    const long = 6 + 74 * Math.log10(1 + nbytes) / Math.log10(1 + most());
    const made = element("span", { class: `bar ${kind}`, "aria-hidden": "true" });
    made.style.width = `${long}px`;
    return [made, `${count(nbytes)} B`];
  }

  function sockets(step, before) {
    const rows = each => each.kernel.sockets.map(([fd, name, unread, unsent]) => [fd, `${name}, fd ${fd}`, unread, unsent]);
    return table("Socket buffers (FIONREAD, SIOCOUTQ)", ["connection", "came, unread", "given, not acknowledged"], rows(step), rows(before),
      { name: "sockets", columns: ["", "unread", "not acknowledged"], words: (value, column) => (column ? `${count(value)} B` : value),
        cell: (value, column) => (column ? bar(value, column === 2 ? "out" : "") : [value]), none: "no connection" });
  }

  function reactor(step, before) {
    const handlers = each => each.program.handlers.map(([fd, name, kind, events]) => [fd, `${kind}, ${name}`, fd, events]);
    const told = each => each.program.told.map(([fd, name, events]) => [fd, name, fd, events]);
    const interests = each => each.kernel.interests.map(([fd, name, events]) => {
      const ready = each.kernel.ready.find(([other]) => other === fd);
      return [fd, `${name}, fd ${fd}`, events, ready ? ready[2] : ""];
    });
    const ready = value => (value ? `ready: ${value}` : "not ready");
    const lamp = value => [element("span", { class: `lamp ${value ? "on" : ""}`, "aria-hidden": "true" }), ready(value)];
    return [
      [
        table("Registered handlers", ["handler", "fd", "asked for"], handlers(step), handlers(before),
          { name: "handlers", title: row => row[1].replace(", ", " of "), running: row => row[0] === step.running }),
        table("What the last epoll_wait returned", ["descriptor", "fd", "events"], told(step), told(before), { name: "returned" }),
      ],
      [
        table("epoll's interest list (/proc/self/fdinfo), and who is ready (poll)", ["descriptor", "watched for", "state"], interests(step), interests(before),
          { name: "interest list", words: (value, column) => (column === 2 ? ready(value).replace(":", " for") : value), cell: (value, column) => (column === 2 ? lamp(value) : [value]) }),
        sockets(step, before),
        table("The listener's queue", ["connections that nobody has accepted"], [[0, step.kernel.not_accepted]], [[0, before.kernel.not_accepted]],
          { alone: true, columns: ["not accepted"] }),
      ],
    ];
  }

  // A queue as a row of slots: head and tail are the numbers that only grow, modulo the size they are places.
  function queue(name, [head, tail, room], entries, colour) {
    const slot = 22, svg = drawn("svg", { viewBox: `0 0 ${16 * slot + 60} 66`, role: "img" });
    const words = entries.length ? entries.join("; ") : "empty";
    svg.setAttribute("aria-label", `${name}: head ${head}, tail ${tail}, ${room} slots: ${words}`);
    svg.append(drawn("text", { x: 0, y: 30, "font-size": 13, "font-weight": "bold", fill: "#222" }, name));
    for (let place = 0; place < room; place++) {
      let full = false;
      for (let entry = head; entry < tail; entry++) full = full || entry % room === place;
      svg.append(drawn("rect", { x: 40 + place * slot, y: 14, width: slot - 2, height: 22, fill: full ? colour : "#fff", stroke: "#222" }));
      if (full) svg.append(drawn("path", { d: `M ${44 + place * slot} 31 L ${56 + place * slot} 19`, stroke: "#222", "stroke-width": 1.2 }));
    }
    const mark = (value, label, y, up) => {
      const x = 40 + (value % room) * slot + slot / 2 - 1;
      svg.append(drawn("path", { d: up ? `M ${x} 38 l -4 7 l 8 0 Z` : `M ${x} 12 l -4 -7 l 8 0 Z`, fill: "#222" }),
        drawn("text", { x: x + 7, y, "font-size": 11, fill: "#222" }, `${label} ${value}`));
    };
    mark(head, "head", 10, false);
    mark(tail, "tail", 48, true);
    return svg;
  }

  function proactor(step, before) {
    const under = each => each.program.operations.map(([id, kind, name]) => [id, `${kind} on ${name}`, id]);
    const told = each => each.program.told.map((row, number) => [`${number}${row}`, row[0], row[1], row[2], row[3] ? "yes" : "no"]);
    const sqe = ([id, kind, name]) => `${kind} on ${name}`;
    const cqes = each => each.kernel.cqes.map(([id, kind, name, result, buffer, more]) =>
      [`${id} ${result}`, `${kind} on ${name}`, result, buffer === null ? "–" : `buffer ${buffer}`, more ? "yes" : "no"]);
    const left = found => (found === null ? "none lent yet" : found[0] === null ? "this kernel does not say" : `${found[0]} of ${found[1]}`);
    const buffers = each => [[0, left(each.kernel.buffers),
      each.kernel.polls === null ? "this kernel does not say" : each.kernel.polls.join(", ") || "none"]];
    return [
      [
        table("Operations under way", ["operation", "user_data"], under(step), under(before), { name: "under way" }),
        table("What the last wait has told", ["handler's method", "for", "result", "more to come"], told(step), told(before),
          { name: "told", title: row => `${row[1]} for ${row[2]}` }),
      ],
      [
        queue("SQ", step.kernel.sq, step.kernel.sqes.map(sqe), "#E69F00"),
        queue("CQ", step.kernel.cq, step.kernel.cqes.map(sqe), "#56B4E9"),
        table("Entries in the SQ: nobody has handed them in", ["operation"], step.kernel.sqes.map(each => [each[0], sqe(each)]),
          before.kernel.sqes.map(each => [each[0], sqe(each)]), { name: "SQ" }),
        table("Entries in the CQ: nobody has taken them", ["operation", "result", "bytes lie in", "more to come"], cqes(step), cqes(before), { name: "CQ" }),
        sockets(step, before),
        table("Provided buffers, and what waits for readiness (fdinfo)", ["free buffers", "armed polls"], buffers(step), buffers(before), { alone: true }),
      ],
    ];
  }

  // Controls
  function stop() {
    clearInterval(timer);
    clearTimeout(frame);
    timer = 0;
  }

  function pause() {
    if (timer) sayAgain();
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ play";
    play.setAttribute("aria-label", "Play");
  }

  function start() {
    if (at === run.steps.length - 1) show(0);
    clearTimeout(frame);
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      show(at + 1);
      if (at === run.steps.length - 1) pause();
    }, PLAY_MS);
  }

  const toggle = () => (timer ? pause() : start());
  const go = number => { pause(); show(number); };
  function turn(by) {
    const now = run.steps[at].turn, turns = run.steps.map(step => step.turn);
    const begin = turns.indexOf(now);
    if (by > 0) return go(turns.findIndex(each => each > now) < 0 ? turns.length - 1 : turns.findIndex(each => each > now));
    return go(at > begin ? begin : Math.max(0, turns.indexOf(turns[Math.max(0, begin - 1)])));
  }

  const listen = (target, kind, deed) => target.addEventListener(kind, deed, signal ? { signal } : {});
  listen(back, "click", () => go(at - 1));
  listen(forth, "click", () => go(at + 1));
  listen(turnBack, "click", () => turn(-1));
  listen(turnForth, "click", () => turn(1));
  listen(play, "click", toggle);
  listen(scrub, "input", () => go(Number(scrub.value)));
  // A click that no control takes gives the keys to the panel.
  listen(root, "click", event => { if (!event.target.closest("button, input")) root.focus({ preventScroll: true }); });
  listen(root, "keydown", event => {
    event.stopPropagation(); // else Lab's notebook takes the keys
    const field = event.target === scrub;
    const deeds = {
      " ": event.target.tagName === "BUTTON" ? null : toggle,
      ArrowLeft: field ? null : () => go(at - 1), ArrowRight: field ? null : () => go(at + 1),
      PageUp: () => turn(-1), PageDown: () => turn(1),
      Home: field ? null : () => go(0), End: field ? null : () => go(run.steps.length - 1),
    };
    const deed = event.ctrlKey || event.metaKey || event.altKey ? null : deeds[event.key];
    if (deed) {
      event.preventDefault();
      deed();
    }
  });
  model.on("change:run", load);
  load();
  return () => {
    stop();
    model.off("change:run", load);
    root.remove();
  };
}

export default { render };
