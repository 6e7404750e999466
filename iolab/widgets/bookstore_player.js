// The bookstore player: scenes of a measured run, played slowed down, and its timeline, with one cursor for both.
// One file, no imports, no network. All numbers and shapes come from the kernel's side, as the trait `played`.

const NS = "http://www.w3.org/2000/svg";
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const GLIDE_S = 0.45; // from the place of one scene to that of the next
const STYLE = `
.iolab-player { background: #fff; color: #222; font: 14px/1.4 sans-serif; border: 1px solid #767676; border-radius: 6px;
  padding: 10px 12px; max-width: 1000px; }
.iolab-player svg { display: block; width: 100%; height: auto; }
.iolab-player .scene { border-radius: 4px; }
.iolab-player .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 6px 0; }
.iolab-player .clock { font-variant-numeric: tabular-nums; color: #444; }
.iolab-player .clock strong { color: #222; font-size: 16px; }
.iolab-player .caption { min-height: 2.9em; margin: 4px 0; }
.iolab-player button, .iolab-player select { font: inherit; color: #222; background: #f2f2f2; border: 1px solid #767676;
  border-radius: 4px; padding: 3px 10px; min-height: 30px; min-width: 38px; }
.iolab-player button:hover { background: #e2e2e2; }
.iolab-player input[type=range] { flex: 1 1 240px; min-width: 160px; height: 26px; accent-color: #0072B2; }
.iolab-player :focus-visible, .iolab-player:focus { outline: 3px solid #0072B2; outline-offset: 2px; }
.iolab-player .signed { color: #5f5f5f; font-size: 12px; margin: 2px 0; }
.iolab-player .now { font-size: 13px; flex-basis: 100%; min-height: 2.8em; }
.iolab-player .legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; padding: 0; margin: 6px 0; font-size: 12px; }
.iolab-player .legend li { display: inline-flex; gap: 6px; align-items: center; margin: 0; }
.iolab-player .legend svg { width: 26px; height: 13px; }
.iolab-player .keys { color: #5f5f5f; font-size: 12px; margin: 0; }
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

function duration(ns) {
  for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (ns >= size) return `${ns / size >= 99.95 ? (ns / size).toFixed(0) : Number((ns / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(ns)} ns`;
}

function shapes(list, colour, attributes = {}) {
  const group = drawn("g", attributes);
  for (const [d, fill, stroke, width] of list) {
    group.append(drawn("path", {
      d, fill: fill === "state" ? colour : fill, stroke, "stroke-width": width, "stroke-linejoin": "round", "stroke-linecap": "round",
    }));
  }
  return group;
}

// The timeline's bars: colour and hatch of each state, as in every figure.
function hatches(looks, prefix) {
  const defs = drawn("defs");
  const lines = {
    "//": "M-2,2 L2,-2 M0,8 L8,0 M6,10 L10,6", "\\\\": "M-2,6 L2,10 M0,0 L8,8 M6,-2 L10,2", "||": "M2,0 L2,8 M6,0 L6,8",
    "..": "M2,2 L2.1,2 M6,6 L6.1,6", "xx": "M0,0 L8,8 M0,8 L8,0",
  };
  for (const [state, [colour, hatch]] of Object.entries(looks)) {
    const pattern = drawn("pattern", { id: `${prefix}-${state}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      drawn("rect", { width: 8, height: 8, fill: colour }));
    if (lines[hatch]) {
      pattern.append(drawn("path", { d: lines[hatch], stroke: "#222", "stroke-width": hatch === ".." ? 2 : 1, "stroke-linecap": "round" }));
    }
    defs.append(pattern);
  }
  return defs;
}

let players = 0;

function render({ model, el, signal }) {
  const prefix = `iolab-player-${++players}`;
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let run, starts, total; // what is played; when each scene begins, in seconds of playing
  let chosen = 0, at = 0, playing = false, speed = 1, frame = 0, last = 0, index = -1, parts = null;

  // The frame of the panel
  // Lab asks whether its shortcuts are to be left out.
  const root = element("div", {
    class: "iolab-player", role: "group", tabindex: 0, "aria-describedby": `${prefix}-keys`, "data-lm-suppress-shortcuts": "true",
  });
  const scene = drawn("svg", { class: "scene", role: "img" });
  const lanes = drawn("svg", { class: "lanes", role: "img" });
  const clock = element("div", { class: "clock row" });
  const caption = element("p", { class: "caption", role: "status", "aria-live": "polite" });
  const back = element("button", { type: "button", "aria-label": "One scene back" }, "◀ scene");
  const play = element("button", { type: "button", "aria-label": "Play" }, "▶ play");
  const forth = element("button", { type: "button", "aria-label": "One scene forward" }, "scene ▶");
  const scrub = element("input", { type: "range", min: 0, max: 1000, step: 1, value: 0, "aria-label": "Position in the run" });
  const pace = element("select", { "aria-label": "Speed" });
  for (const each of SPEEDS) pace.append(element("option", { value: each }, `${each} ×`));
  pace.value = "1";
  const which = element("select", { "aria-label": "Model" });
  const legend = element("ul", { class: "legend" });
  const signed = element("p", { class: "signed" });
  const keys = element("p", { class: "keys", id: `${prefix}-keys` }, "Keys: space plays and pauses, ← → one scene, Home and End, + and − speed.");
  const controls = element("div", { class: "row" }, which, back, play, forth, scrub, pace);
  root.append(element("style", {}, STYLE), scene, clock, caption, controls, lanes, legend, signed, keys);
  el.append(root);

  function load() {
    const played = model.get("played");
    which.replaceChildren(...played.runs.map((each, number) => element("option", { value: number }, each.name)));
    which.hidden = played.runs.length < 2;
    chosen = Math.min(chosen, played.runs.length - 1);
    which.value = String(chosen);
    run = played.runs[chosen];
    starts = [];
    total = 0;
    for (const each of run.scenes) {
      starts.push(total);
      total += each.seconds;
    }
    root.setAttribute("aria-label", `Bookstore player: ${run.name}`);
    signed.textContent = run.signed;
    scrub.max = Math.round(total * 100);
    index = -1;
    drawLanes();
    show(0);
  }

  // What is seen at one moment of playing
  function sceneAt(seconds) {
    let number = starts.length - 1;
    while (number > 0 && starts[number] > seconds + 1e-9) number--;
    return number;
  }

  function show(seconds) {
    at = Math.max(0, Math.min(seconds, total));
    const number = sceneAt(at);
    if (number !== index) setScene(number);
    const part = run.scenes[number];
    const inside = at - starts[number];
    const share = part.seconds ? Math.min(1, inside / part.seconds) : 1;
    move(part, share, inside);
    const now = part.start_ns + share * (part.end_ns - part.start_ns);
    for (const line of parts.cursors) line(now);
    const times = (part.end_ns - part.start_ns) / 1e9 / part.seconds;
    const tempo = times < 1 ? `slowed down ${Math.round(speed ? 1 / times / speed : 0).toLocaleString("en")} times` : "not slowed down";
    clock.replaceChildren(element("strong", {}, `${(now / 1e6).toFixed(4)} ms`),
      ` since the first call · scene ${number + 1} of ${run.scenes.length} took ${duration(part.end_ns - part.start_ns)}, ${tempo}`,
      element("span", { class: "now" }, states(now)));
    scrub.value = Math.round(at * 100);
    scrub.setAttribute("aria-valuetext", `${(now / 1e6).toFixed(3)} milliseconds, scene ${number + 1} of ${run.scenes.length}`);
  }

  // What the red line crosses in each lane, in words.
  function states(now) {
    const looks = model.get("played").looks;
    return run.lanes.map((lane, row) => {
      const bar = run.bars.filter(each => each[0] === row && each[2] <= now && now < each[3]).pop();
      return `${lane}: ${bar ? looks[bar[1]][2] : "nothing"}`;
    }).join(" · ");
  }

  function setScene(number) {
    const stage = model.get("played").stage;
    const part = run.scenes[number], before = number > 0 ? run.scenes[number - 1] : part;
    index = number;
    // While it plays a screen reader would be talked over by every scene: it is told when it pauses or steps.
    caption.setAttribute("aria-live", playing ? "off" : "polite");
    caption.textContent = part.caption;
    scene.setAttribute("viewBox", `0 0 ${stage.width} ${stage.height}`);
    scene.setAttribute("aria-label", `The scene: ${part.caption}`);
    const cursors = parts ? parts.cursors : [];
    scene.replaceChildren(shapes(stage.set, ""));
    for (const [x, words] of [[200, "the shop: the kernel"], [462, "at home: your program"], [8, "the street"]]) {
      scene.append(drawn("text", { x, y: 24, "font-size": 16, "font-style": "italic", fill: "#222" }, words));
    }
    for (const prop of run.props) scene.append(shapes(stage.props[prop], ""));
    const ringing = part.rings.map(place => shapes(stage.ringing[place], ""));
    scene.append(...ringing);
    const boards = [[stage.shelf, "shelf"], [stage.buffer, "home"]].map(([place, key]) => {
      const group = drawn("g");
      scene.append(group);
      return { group, x: place[0], key, counts: null };
    });
    const vans = part.vans.some(count => count) ? shapes(stage.van, "") : null;
    if (vans) scene.append(vans);
    const actors = part.actors.map((actor, place) => {
      const group = drawn("g");
      const lean = actor.posture === "asleep" ? stage.lean / stage.scale : 0;
      group.append(shapes(stage.postures[actor.posture], actor.colour, { transform: `scale(${stage.scale})` }),
        shapes(stage.roles[actor.role], actor.colour, { transform: `scale(${stage.scale}) translate(${lean} 0)` }));
      for (let book = 0; book < actor.books[1]; book++) {
        group.append(drawn("rect", { x: 32, y: -62 - 11 * (book + 1), width: 44, height: 10, fill: stage.carried, stroke: "#222" }));
      }
      const name = drawn("text", { y: stage.labels[place % 3] + 4, "text-anchor": "middle", "font-size": 15, fill: "#222" }, actor.label);
      group.append(name);
      if (actor.says) {
        const width = 16 + actor.says.length * 9;
        group.append(drawn("rect", { x: -width / 2, y: -190, width, height: 28, rx: 8, fill: "#fff", stroke: "#222" }),
          drawn("path", { d: "M -6 -162 L 0 -150 L 8 -162", fill: "#fff", stroke: "#222" }),
          drawn("text", { y: -171, "text-anchor": "middle", "font-size": 16, fill: "#222" }, actor.says));
      }
      scene.append(group);
      if (actor.role === "owner") scene.append(shapes(stage.counter, ""));
      const earlier = before.actors.find(each => each.name === actor.name);
      const from = earlier && part !== before ? earlier.to_x : actor.x;
      return { group, actor, from };
    });
    const came = !before.vans.some(count => count) || part === before;
    parts = { actors, boards, vans, came, before, ringing, cursors };
  }

  function move(part, share, inside) {
    const stage = model.get("played").stage;
    const quiet = still.matches;
    const glide = quiet ? 0 : Math.min(GLIDE_S, part.seconds / 2);
    for (const { group, actor, from } of parts.actors) {
      let x;
      if (quiet) x = actor.x + 0.25 * (actor.to_x - actor.x);
      else if (inside < glide) x = from + (actor.x - from) * (inside / glide);
      else x = actor.x + (actor.to_x - actor.x) * ((inside - glide) / Math.max(1e-6, part.seconds - glide));
      const walks = !quiet && (inside < glide ? Math.abs(actor.x - from) > 4 : actor.to_x !== actor.x);
      const bob = walks ? -Math.abs(Math.sin(inside * 9)) * 5 : 0;
      group.setAttribute("transform", `translate(${x.toFixed(1)} ${(stage.floor + bob).toFixed(1)})`);
    }
    for (const board of parts.boards) {
      const counts = part[board.key].map((count, sender) => {
        const had = parts.before[board.key][sender];
        return count > had && board.key === "shelf" ? Math.round(had + (count - had) * share) : count;
      });
      const shown = counts.join();
      if (shown !== board.counts) {
        board.counts = shown;
        board.group.replaceChildren(...counts.flatMap((count, sender) => books(stage, board.x, sender, count)));
      }
    }
    if (parts.vans) {
      const x = parts.came && !quiet ? Math.min(stage.van_x, -80 + (stage.van_x + 80) * (inside / Math.max(1e-6, glide))) : stage.van_x;
      parts.vans.setAttribute("transform", `translate(${x.toFixed(1)} ${stage.floor + 24})`);
    }
    for (const bell of parts.ringing) {
      bell.setAttribute("transform", quiet ? "" : `translate(${(Math.sin(inside * 40) * 2).toFixed(1)} 0)`);
    }
  }

  function books(stage, x, sender, count) {
    const floor = stage.floor - (sender % stage.rows) * stage.row_height - 5;
    return Array.from({ length: count }, (_, number) => {
      const high = [40, 36, 42][number % 3];
      return drawn("rect", {
        x: x + number * (stage.book_width + 1), y: floor - high, width: stage.book_width, height: high, fill: stage.lying, stroke: "#222",
      });
    });
  }

  // The timeline, whole and close up
  function drawLanes() {
    const looks = model.get("played").looks;
    const height = 26, left = 118, wide = 1000, gap = 40;
    const views = run.views;
    const tall = views.length * (run.lanes.length * height + gap);
    lanes.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
    lanes.setAttribute("aria-label", `The timeline: ${run.sentence}`);
    lanes.replaceChildren(hatches(looks, prefix));
    const cursors = [];
    views.forEach((view, number) => {
      const top = number * (run.lanes.length * height + gap);
      const x = ns => left + (ns - view.from_ns) / (view.to_ns - view.from_ns) * (wide - left - 8);
      run.lanes.forEach((lane, row) => {
        lanes.append(drawn("text", { x: left - 8, y: top + row * height + 17, "text-anchor": "end", "font-size": 13, fill: "#222" }, lane));
      });
      for (const [row, state, from, to] of run.bars) {
        const low = Math.max(x(from), left), high = Math.min(x(to), wide - 8);
        if (x(to) < left || x(from) > wide - 8) continue;
        const bar = drawn("rect", {
          x: low.toFixed(2), y: top + row * height + 3, width: Math.max(1.2, high - low).toFixed(2), height: height - 7,
          fill: `url(#${prefix}-${state})`, stroke: "#222", "stroke-width": high - low > 3 ? 0.6 : 0,
        });
        bar.append(drawn("title", {}, `${run.lanes[row]}: ${looks[state][2]}, ${duration(to - from)}`));
        lanes.append(bar);
      }
      const base = top + run.lanes.length * height + 2;
      lanes.append(drawn("path", { d: `M ${left} ${base} L ${wide - 8} ${base}`, stroke: "#222" }));
      for (const [ns, words] of view.ticks) {
        lanes.append(drawn("path", { d: `M ${x(ns)} ${base} l 0 5`, stroke: "#222" }),
          drawn("text", { x: x(ns), y: base + 18, "text-anchor": "middle", "font-size": 12, fill: "#222" }, words));
      }
      lanes.append(drawn("text", { x: 4, y: base + 18, "font-size": 12, fill: "#222" }, view.unit));
      const line = drawn("path", { stroke: "#B3261E", "stroke-width": 2.5 });
      lanes.append(line);
      cursors.push(now => {
        const place = Math.max(left, Math.min(x(now), wide - 8));
        line.setAttribute("d", `M ${place.toFixed(2)} ${top} L ${place.toFixed(2)} ${base}`);
        line.setAttribute("opacity", x(now) < left - 0.5 || x(now) > wide - 7.5 ? 0.25 : 1);
      });
    });
    parts = { ...(parts || {}), cursors };
    const seen = new Set(run.bars.map(bar => bar[1]));
    legend.replaceChildren(...Object.entries(looks).filter(([state]) => seen.has(state)).map(([state, [, , meaning]]) =>
      element("li", {}, drawn("svg", { viewBox: "0 0 26 13", "aria-hidden": "true" }, drawn("rect", {
        x: 0.5, y: 0.5, width: 25, height: 12, fill: `url(#${prefix}-${state})`, stroke: "#222", "stroke-width": 0.6,
      })), meaning)));
  }

  // Controls
  function tick(stamp) {
    if (!playing) return;
    show(at + Math.min(0.25, (stamp - last) / 1000) * speed);
    last = stamp;
    if (at >= total) pause();
    else frame = requestAnimationFrame(tick);
  }

  // A screen reader reads what changes while a region is live: so it is emptied, and a frame later written again.
  function sayAgain() {
    caption.setAttribute("aria-live", "polite");
    caption.textContent = "";
    frame = requestAnimationFrame(() => { if (!caption.textContent) caption.textContent = run.scenes[index].caption; });
  }

  function start() {
    cancelAnimationFrame(frame);
    if (at >= total) show(0);
    playing = true;
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-label", "Pause");
    last = performance.now();
    frame = requestAnimationFrame(tick);
  }

  function stop() {
    playing = false;
    cancelAnimationFrame(frame);
  }

  function pause() {
    if (!playing) return;
    stop();
    play.textContent = "▶ play";
    play.setAttribute("aria-label", "Play");
    sayAgain();
  }

  function step(by) {
    pause();
    const here = sceneAt(at);
    const later = by < 0 && at - starts[here] > 0.02 && here > 0 ? here - 1 : here + by;
    const to = Math.max(0, Math.min(later, starts.length - 1));
    // Into the scene, behind the glide: what is seen standing still is the scene itself.
    show(starts[to] + Math.min(GLIDE_S, run.scenes[to].seconds / 2));
  }

  function faster(by) {
    const now = SPEEDS.indexOf(speed) + by;
    speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, now))];
    pace.value = String(speed);
    show(at);
  }

  const listen = (target, kind, deed) => target.addEventListener(kind, deed, signal ? { signal } : {});
  listen(play, "click", () => (playing ? pause() : start()));
  listen(back, "click", () => step(-1));
  listen(forth, "click", () => step(1));
  listen(scrub, "input", () => { pause(); show(Number(scrub.value) / 100); });
  listen(pace, "change", () => { speed = Number(pace.value); show(at); });
  listen(which, "change", () => { pause(); chosen = Number(which.value); load(); });
  // A click that no control takes gives the keys to the panel.
  listen(root, "click", event => { if (!event.target.closest("button, input, select")) root.focus({ preventScroll: true }); });
  listen(root, "keydown", event => {
    event.stopPropagation(); // else Lab's notebook takes the keys
    const inField = event.target === scrub || event.target.tagName === "SELECT";
    const deeds = {
      " ": event.target.tagName === "BUTTON" || event.target.tagName === "SELECT" ? null : () => (playing ? pause() : start()),
      ArrowLeft: inField ? null : () => step(-1), ArrowRight: inField ? null : () => step(1),
      Home: inField ? null : () => { pause(); show(0); }, End: inField ? null : () => { pause(); show(total); },
      "+": () => faster(1), "-": () => faster(-1),
    };
    const deed = event.ctrlKey || event.metaKey || event.altKey ? null : deeds[event.key];
    if (deed) {
      event.preventDefault();
      deed();
    }
  });
  listen(lanes, "click", event => {
    // A click into the timeline is the mouse's way to scrub.
    const box = lanes.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * 1000, y = (event.clientY - box.top) / box.height;
    const view = run.views[Math.min(run.views.length - 1, Math.floor(y * run.views.length))];
    const ns = view.from_ns + (x - 118) / (1000 - 126) * (view.to_ns - view.from_ns);
    const number = run.scenes.findIndex(each => ns < each.end_ns);
    if (number < 0 || ns < 0) return;
    const part = run.scenes[number];
    pause();
    show(starts[number] + part.seconds * Math.max(0, (ns - part.start_ns) / (part.end_ns - part.start_ns)));
  });
  model.on("change:played", load);
  load();
  return () => {
    stop();
    model.off("change:played", load);
    root.remove();
  };
}

export default { render };
