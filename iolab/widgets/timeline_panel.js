// The timeline panel in the page: controls, the figure, what is under the cursor. One file, no imports, no network.
//
//   model (kernel) ── change:figure ──> whole, draw()       controls ── model.set, save_changes ──> kernel
//
// Times are nanoseconds since the call began; what is shown counts from `zero`, the moment when the data was ready.
// Everything can be done by keyboard, and whatever the mouse finds is also said in text.

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 150, ROW = 46, BAR = 26, AXIS = 34, TOP = 8; // pixels
const NARROWEST = 20; // nanoseconds: nothing is measured finer
const SETTLE_MS = 30; // a key that is held down is one change
const SNAP = 7; // pixels from a pointer to a bar's edge
const ANSWER_MS = 2000; // a kernel that says nothing for so long is busy, or was restarted
const NO_ANSWER = "The kernel does not answer: it is busy, or was restarted; run the cell again.";

const STYLE = `
.iolab-timeline { font: 13px/1.45 system-ui, sans-serif; color: #222; background: #fff; border: 1px solid #bbb;
  border-radius: 4px; padding: 10px 12px; max-width: 1100px; box-sizing: border-box; }
.iolab-timeline :is(button, select, input) { font: inherit; color: inherit; accent-color: #0072B2; }
.iolab-timeline button { background: #f2f2f2; border: 1px solid #767676; border-radius: 3px; padding: 2px 9px; min-height: 26px; cursor: pointer; }
.iolab-timeline :is(button:disabled, button[aria-disabled=true]) { color: #6b6b6b; cursor: default; }
.iolab-timeline select { background: #fff; border: 1px solid #767676; border-radius: 3px; min-height: 26px; }
.iolab-timeline :is(button, select, input, summary, .plot):focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.iolab-timeline .row { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; margin: 4px 0; }
.iolab-timeline .tools { gap: 6px; }
.iolab-timeline label { display: inline-flex; gap: 6px; align-items: center; }
.iolab-timeline output { min-width: 58px; }
.iolab-timeline p { margin: 4px 0; }
.iolab-timeline .title { font-weight: 700; font-size: 14px; }
.iolab-timeline .small { font-size: 12px; color: #595959; }
.iolab-timeline .warning { background: #FFF3C4; padding: 2px 6px; }
.iolab-timeline .said { min-height: 39px; }
.iolab-timeline .plot { touch-action: pan-y; cursor: crosshair; border-radius: 2px; }
.iolab-timeline svg { display: block; width: 100%; user-select: none; }
.iolab-timeline svg text { font-size: 12px; fill: #222; }
.iolab-timeline .legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; padding: 0; margin: 6px 0; font-size: 12px; }
.iolab-timeline .legend li { display: inline-flex; gap: 6px; align-items: center; margin: 0; }
.iolab-timeline .legend svg { width: 26px; height: 13px; }
.iolab-timeline fieldset { border: 0; padding: 0; margin: 4px 0; }
.iolab-timeline legend { float: left; margin-right: 12px; padding: 4px 0 0; font: inherit; color: inherit; }
.iolab-timeline kbd { border: 1px solid #999; border-radius: 3px; padding: 0 4px; font-size: 12px; background: #f7f7f7; color: #222; }
`;

// ── words ────────────────────────────────────────────────────────────────────

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

/** Three figures and the unit that fits: "200 ms", "97.3 µs"; more figures where they are wanted. */
function duration(ns, figures = 3) {
  for (const [unit, name] of UNITS) {
    if (Math.abs(ns) >= unit * 0.99995) return `${trimmed(ns / unit, figures)} ${name}`;
  }
  return "0 ns";
}

function trimmed(value, figures) {
  const digits = Math.max(0, figures - Math.ceil(Math.log10(Math.abs(value) + 1e-12)));
  const text = value.toFixed(Math.min(digits, 6));
  return (text.includes(".") ? text.replace(/\.?0+$/, "") : text).replace("-", "−");
}

const moment = ns => (ns >= 0 ? "+" : "") + duration(ns, 6);
const bytes = n => n >= 1 << 20 && n % (1 << 20) === 0 ? `${n >> 20} MiB` : n >= 1024 && n % 1024 === 0 ? `${n >> 10} KiB`
  : `${n.toLocaleString("en")} byte${n === 1 ? "" : "s"}`;

// ── small things of the page ─────────────────────────────────────────────────

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function shape(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** matplotlib's letters for hatches, as lines of an 8 by 8 tile. */
const HATCHES = {
  "/": "M-2,2 L2,-2 M0,8 L8,0 M6,10 L10,6", "\\": "M-2,6 L2,10 M0,0 L8,8 M6,-2 L10,2",
  "x": "M0,8 L8,0 M0,0 L8,8", "|": "M4,0 V8", "-": "M0,4 H8", "+": "M4,0 V8 M0,4 H8", ".": "M3.2,4 h1.6 M7.2,0 h1.6 M-0.8,0 h1.6 M7.2,8 h1.6 M-0.8,8 h1.6",
};

let panels = 0;

/** One <pattern> for each state that has a hatch; `fill(state)` is what a bar is filled with. */
function patterns(looks, name) {
  const defs = shape("defs", {});
  for (const [state, [colour, hatch]] of Object.entries(looks)) {
    if (!hatch) continue;
    defs.append(shape("pattern", { id: `${name}-${state}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      shape("rect", { width: 8, height: 8, fill: colour }),
      shape("path", { d: HATCHES[hatch[0]], stroke: "#222", "stroke-width": hatch[0] === "." ? 1.6 : 0.9, fill: "none" })));
  }
  return defs;
}

// ── what is drawn ────────────────────────────────────────────────────────────

/** The bars of a lane; refused polls less than a pixel apart as one band, as in the printed figure. */
function bands(spans, pixel) {
  const result = [];
  for (const span of spans) {
    const last = result[result.length - 1];
    if (last && last.state === "refused" && span.state === "refused" && span.start[0] - last.end[0] < pixel) {
      const calls = last.calls + span.calls;
      const together = { ...last, end: span.end, calls, band: true };
      together.labels = [`${calls.toLocaleString("en")} polls, all refused`, `${calls.toLocaleString("en")} polls`, "polls"];
      result[result.length - 1] = together;
    } else if (!(last && last.state === "refused" && span.state === "user" && span.end[0] - span.start[0] < pixel)) {
      result.push(span);
    }
  }
  return result;
}

/** Round numbers for an axis: between 4 and 10 of them, and the unit in which they are short. */
function ticks(low, high) {
  const raw = (high - low) / 7, power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map(each => each * power).find(each => each >= raw));
  const [unit, name] = UNITS.find(([size]) => size <= step * 5) || UNITS[3];
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(Math.round(at));
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit)));
  return { found, name, words: at => (at / unit).toFixed(digits).replace("-", "−") };
}

function render({ model, el }) {
  const own = `iolab-${++panels}`;
  const choices = model.get("choices"), looks = choices.looks;
  const state = { view: [0, 1], kind: "whole", cursor: null, lane: null, A: null, B: null, hidden: new Set() };
  let figure, shadow, lanes = [], width = 900, settling = 0, asked = 0, answering = 0, silent = false;

  // Controls ──────────────────────────────────────────────────────────────────

  const select = make("select", {});
  for (const [name, reason] of choices.models) select.append(new Option(name + (reason ? " (recording only)" : ""), name));
  const list = (values, wanted) => [...new Set([...values, wanted])].sort((a, b) => a - b);
  const slider = (trait, values, words) => {
    let allowed = list(values, model.get(trait));
    const input = make("input", { type: "range", min: 0, step: 1, "data-setting": trait }), shown = make("output", { "aria-hidden": "true" });
    const say = () => {
      const text = words(allowed[input.value]);
      shown.textContent = text;
      input.setAttribute("aria-valuetext", text);
    };
    let pulled = false; // between input and change the thumb is in somebody's hand
    const take = () => {
      if (pulled) return;
      allowed = list(values, model.get(trait));
      input.max = allowed.length - 1;
      input.value = allowed.indexOf(model.get(trait));
      say();
    };
    input.addEventListener("input", () => { pulled = true; say(); });
    input.addEventListener("change", () => { pulled = false; settle(trait, () => allowed[input.value]); });
    input.addEventListener("blur", () => { pulled = false; take(); });
    take();
    return { input, shown, take, trait };
  };
  const sliders = [
    slider("wait_ms", choices.waits_ms, ms => ms ? duration(ms * 1e6) : "0 ms"),
    slider("nbytes", choices.sizes, bytes),
    slider("senders", Array.from({ length: choices.senders }, (_, n) => n + 1), n => `${n} sender${n > 1 ? "s" : ""}`),
  ];
  const labels = ["Wait", "Bytes", "Senders"];
  const go = make("button", { type: "button", class: "go" }, "Run again");
  const compare = make("input", { type: "checkbox" });
  const controls = make("div", { class: "row", role: "group", "aria-label": "The experiment" },
    make("label", {}, "Model ", select), ...sliders.map((each, n) => make("label", {}, labels[n], each.input, each.shown)),
    go, make("label", {}, compare, "compare: keep the last run as a shadow"));

  function settle(trait, value) {
    asked = performance.now();
    model.set(trait, value());
    clearTimeout(settling);
    settling = setTimeout(() => ask(() => model.save_changes()), SETTLE_MS);
  }
  /** Tell the kernel something, and wait for its answer; what was told is not lost while it is busy. */
  function ask(deed) {
    answering ||= setTimeout(() => { silent = true; news(); }, ANSWER_MS);
    try {
      deed();
      model.send({ do: "answer" });
    } catch { // a kernel that was restarted has no such panel: nobody listens, and nobody will answer
      silent = true;
      news();
    }
  }
  function answered() {
    clearTimeout(answering);
    answering = 0;
    if (silent) { silent = false; news(); }
  }
  select.addEventListener("change", () => settle("model", () => select.value));
  compare.addEventListener("change", () => { model.set("compare", compare.checked); ask(() => model.save_changes()); });
  go.addEventListener("click", () => {
    asked = performance.now();
    ask(() => model.send({ do: model.get("running") ? "cancel" : "run" }));
  });

  // The figure's own parts ──────────────────────────────────────────────────────

  const warning = make("p", { class: "warning", hidden: "" });
  const title = make("p", { class: "title" }), signature = make("p", { class: "small" });
  const live = make("p", { class: "live", role: "status" }), before = make("p", { class: "before small" });
  const svg = shape("svg", { role: "img" });
  const plot = make("div", { class: "plot", tabindex: 0, role: "application", "aria-roledescription": "timeline", "aria-describedby": `${own}-keys` }, svg);
  const said = make("p", { class: "said", role: "status" }), between = make("p", { class: "between", role: "status" });
  const button = (text, deed, label) => {
    const made = make("button", { type: "button", ...(label ? { "aria-label": label } : {}) }, text);
    made.addEventListener("click", () => { deed(); draw(); });
    return made;
  };
  const nearer = button("Close-up", () => look("close-up"), "Close-up: from ready until done");
  const tools = make("div", { class: "row tools", role: "group", "aria-label": "View and markers" },
    button("Zoom in", () => zoom(0.5)), button("Zoom out", () => zoom(2)), button("Whole run", () => look("whole")),
    nearer, button("◀", () => step(-1), "Previous edge"), button("▶", () => step(1), "Next edge"),
    button("Lane ▲", () => change_lane(-1), "Lane above"), button("Lane ▼", () => change_lane(1), "Lane below"),
    button("Mark A", () => mark("A")), button("Mark B", () => mark("B")), button("Clear markers", () => { state.A = state.B = null; }));
  const switches = make("div", { class: "row" });
  const legend = make("ul", { class: "legend" });
  const key = text => make("kbd", {}, text);
  const keys = make("details", {}, make("summary", {}, "Keys and mouse"), make("p", { id: `${own}-keys` },
    "On the figure: ", key("←"), " ", key("→"), " next edge in the lane, ", key("↑"), " ", key("↓"), " lane, ", key("+"), " ", key("−"),
    " zoom at the cursor, ", key("0"), " whole run, ", key("C"), " close-up of the moment after ready, ", key("Page Up"), " ", key("Page Down"),
    " move the view, ", key("A"), " ", key("B"), " markers, ", key("Esc"), " clear them. Mouse: the wheel zooms, dragging moves, a click sets marker A, Shift and a click marker B."));
  const root = make("div", { class: "iolab-timeline", role: "region", "aria-label": "Timeline panel", "data-lm-suppress-shortcuts": "true" },
    make("style", {}, STYLE), controls, warning, title, signature, live, before, plot, tools, said, between,
    make("fieldset", {}, make("legend", {}, "Lanes:"), switches), legend, keys);
  el.append(root);

  // Where things are ──────────────────────────────────────────────────────────

  const x = ns => LEFT + (ns - state.view[0]) / (state.view[1] - state.view[0]) * (width - LEFT - 10);
  const at = pixel => state.view[0] + (pixel - LEFT) / (width - LEFT - 10) * (state.view[1] - state.view[0]);
  const pixel_ns = () => (state.view[1] - state.view[0]) / (width - LEFT - 10);
  const spans_of = (run, lane) => run.spans.filter(span => span.lane === lane);
  const shown_lanes = () => lanes.filter(([lane]) => !state.hidden.has(lane));
  const whole = () => {
    const low = Math.min(0, ...figure.spans.map(span => span.start[0])), high = Math.max(...figure.spans.filter(span => span.lane === "application").map(span => span.end[0]));
    const before = shadow ? shadow.zero_ns - figure.zero_ns : 0;
    const first = shadow ? Math.min(low, -before) : low, last = shadow ? Math.max(high, shadow.done_ns - before) : high;
    return [first - (last - first) * 0.01, last + (last - first) * 0.02];
  };
  const close_up = () => {
    const runs = shadow && shadow.zero_ns ? [figure, shadow] : [figure];
    const after = Math.max(...runs.map(run => run.done_ns - run.zero_ns), 1000);
    return [figure.zero_ns - 0.5 * after, figure.zero_ns + 1.1 * after];
  };
  /** Why this run has no close-up; "" where it has one. */
  const no_close_up = () => figure.zero_ns ? "" : figure.lanes.filter(([lane]) => lane.startsWith("peer")).length > 1
    ? "There is no close-up of several senders: the data of each was ready at another time."
    : "There is no close-up: this run does not say when the data was ready.";

  function look(kind) {
    if (kind === "close-up" && no_close_up()) { said.textContent = no_close_up(); return; }
    state.kind = kind;
    state.view = kind === "whole" ? whole() : close_up();
  }
  function zoom(factor, around) {
    const [low, high] = state.view, limits = whole();
    const middle = around ?? (state.cursor !== null && state.cursor >= low && state.cursor <= high ? state.cursor : (low + high) / 2);
    const wide = Math.min(Math.max((high - low) * factor, NARROWEST), limits[1] - limits[0]);
    const part = (middle - low) / (high - low);
    state.view = [middle - part * wide, middle + (1 - part) * wide];
    state.kind = wide === limits[1] - limits[0] ? "whole" : "own";
    if (state.kind === "whole") state.view = limits;
  }
  function move(by) {
    const [low, high] = whole(), wide = state.view[1] - state.view[0];
    const start = Math.min(Math.max(state.view[0] + by, low - wide / 2), high - wide / 2);
    state.view = [start, start + wide];
    state.kind = "own";
  }
  const edges = lane => [...new Map(spans_of(figure, lane).flatMap(span => [span.start, span.end]).map(stamp => [stamp[0], stamp])).values()].sort((a, b) => a[0] - b[0]);

  /** The next edge that can be told from where the cursor is at this magnification. */
  function step(direction) {
    const here = state.cursor ?? (direction > 0 ? -Infinity : Infinity), apart = pixel_ns();
    const candidates = edges(state.lane).filter(stamp => direction > 0 ? stamp[0] > here + apart : stamp[0] < here - apart);
    const next = direction > 0 ? candidates[0] : candidates[candidates.length - 1];
    if (!next) return;
    state.cursor = next[0];
    const wide = state.view[1] - state.view[0];
    if (next[0] < state.view[0] || next[0] > state.view[1]) { state.view = [next[0] - wide / 2, next[0] + wide / 2]; state.kind = "own"; }
    tell();
  }
  function change_lane(direction) {
    const names = shown_lanes().map(([lane]) => lane), place = names.indexOf(state.lane) + direction;
    if (names[place] !== undefined) state.lane = names[place];
    tell();
  }
  /** A marker stands at an edge, with the edge's interval, where one is near; else at a place that nobody measured. */
  function mark(name) {
    if (state.cursor === null) state.cursor = figure.zero_ns;
    const near = edges(state.lane).map(stamp => [Math.abs(stamp[0] - state.cursor), stamp]).sort((a, b) => a[0] - b[0])[0];
    state[name] = near && near[0] <= SNAP * pixel_ns() ? near[1] : [state.cursor, null, null, ""];
    state.cursor = state[name][0];
  }

  // Words about it ──────────────────────────────────────────────────────────────

  const since = ns => moment(ns - figure.zero_ns);
  const stamp_words = ([ns, low, high, source]) => `${since(ns)}${low === high ? "" : `, between ${since(low)} and ${since(high)}`}, by ${source}`;
  const lane_name = lane => (lanes.find(([name]) => name === lane) || ["", lane])[1];

  function span_words(span) {
    const call = span.call ? `, ${span.call}${span.calls > 1 ? ` × ${span.calls.toLocaleString("en")}` : ""}` : "";
    const carried = span.nbytes ? `, ${bytes(span.nbytes)}` : "";
    return `${looks[span.state][2]}${call}${carried}: ${duration(span.end[0] - span.start[0])}; from ${stamp_words(span.start)}; ` +
      `to ${stamp_words(span.end)}. Evidence: ${span.evidence}.`;
  }
  /** What the lane did in the run before, as long after "ready". */
  function before_words(here) {
    const then = here - figure.zero_ns + shadow.zero_ns;
    const span = spans_of(shadow, state.lane).filter(each => each.start[0] <= then && then < each.end[0]).pop();
    return `In the run before (${shadow.model}) at this time: ${span ? `${looks[span.state][2]}${span.call ? `, ${span.call}` : ""}` : "nothing"}.`;
  }
  function tell() {
    if (state.cursor === null || !state.lane) { said.textContent = "Move over the figure, or use the arrow keys on it: each bar says what it is, and how we know."; return; }
    const here = state.cursor;
    let span = spans_of(figure, state.lane).filter(each => each.start[0] <= here && here < each.end[0]).pop();
    if (span && span.state !== "copy" && pixel_ns() > 1) { // a hair line under the pointer is meant, too
      span = spans_of(figure, state.lane).find(each => each.start[0] >= here && each.start[0] - here < pixel_ns() && each.end[0] - each.start[0] < 3 * pixel_ns()) || span;
    }
    said.textContent = `${lane_name(state.lane)}, ${since(here)}: ${span ? span_words(span) : "nothing."}${shadow ? ` ${before_words(here)}` : ""}`;
  }
  function difference() {
    const { A, B } = state;
    const one = name => state[name] ? `${name} at ${since(state[name][0])}${state[name][1] === null ? " (no edge there)" : ""}` : "";
    if (!A || !B) { between.textContent = [one("A"), one("B")].filter(Boolean).join(" ") || "No marker is set."; return; }
    const known = A[1] !== null && B[1] !== null && (A[1] !== A[2] || B[1] !== B[2]);
    const claim = known ? `, by the stamps' intervals between ${duration(B[1] - A[2])} and ${duration(B[2] - A[1])}` : "";
    between.textContent = `${one("A")}, ${one("B")}: B − A = ${duration(B[0] - A[0], 4)}${claim}.`;
  }

  // Drawing ───────────────────────────────────────────────────────────────────

  const fill = name => looks[name][1] ? `url(#${own}-${name})` : looks[name][0];

  function draw_bar(parts, span, top, tall, offset, opacity, write) {
    let low = x(span.start[0] + offset), high = x(span.end[0] + offset);
    if (high < LEFT || low > width - 10) return;
    low = Math.max(low, LEFT); high = Math.min(high, width - 10);
    const wide = Math.max(high - low, 1.2);
    parts.append(shape("rect", { x: low, y: top, width: wide, height: tall, fill: fill(span.state), stroke: "#222", "stroke-width": wide > 2.5 ? 0.6 : 0,
      opacity, "data-state": span.state, class: write ? "bar" : "shadow" }));
    const text = write && span.labels.map(each => each.replace("\n", " ")).find(each => each.length * 6.6 + 8 < wide);
    if (text) {
      parts.append(shape("rect", { x: (low + high) / 2 - text.length * 3.2 - 3, y: top + tall / 2 - 9, width: text.length * 6.4 + 6, height: 18, fill: "#fff", opacity: 0.82 }),
        shape("text", { x: (low + high) / 2, y: top + tall / 2 + 4, "text-anchor": "middle", textLength: text.length * 6.2 }, text));
    }
  }
  function draw_link(parts, [kind, from, from_ns, to, to_ns], rows) {
    const first = rows.get(from), last = rows.get(to);
    if (first === undefined || last === undefined) return;
    const down = last > first ? 1 : -1;
    const a = [x(from_ns), TOP + first * ROW + 4 + BAR / 2 + down * BAR / 2], b = [x(to_ns), TOP + last * ROW + 4 + BAR / 2 - down * BAR / 2];
    if (Math.max(a[0], b[0]) < LEFT || Math.min(a[0], b[0]) > width - 10) return;
    const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1, u = [(b[0] - a[0]) / long, (b[1] - a[1]) / long];
    const head = back => {
      const tip = [b[0] - u[0] * back, b[1] - u[1] * back], foot = [tip[0] - u[0] * 7, tip[1] - u[1] * 7];
      return `M${foot[0] - u[1] * 3.5},${foot[1] + u[0] * 3.5} L${tip} L${foot[0] + u[1] * 3.5},${foot[1] - u[0] * 3.5}`;
    };
    const open = kind === "ready" || kind === "signal";
    parts.append(shape("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], stroke: "#222", "stroke-width": 1.1, "data-link": kind, ...(choices.arrows[kind][0] ? { "stroke-dasharray": "4 3" } : {}) }));
    for (const back of kind === "complete" ? [0, 7] : [0]) {
      parts.append(shape("path", { d: head(back) + (open ? "" : " Z"), fill: open ? "none" : "#222", stroke: "#222", "stroke-width": 1.3 }));
    }
  }
  function vertical(parts, ns, colour, dash, name) {
    if (ns < state.view[0] || ns > state.view[1]) return;
    const bottom = TOP + shown_lanes().length * ROW;
    parts.append(shape("line", { x1: x(ns), y1: 2, x2: x(ns), y2: bottom, stroke: colour, "stroke-width": 1.4, "stroke-dasharray": dash, ...(name ? { "data-marker": name } : {}) }));
    if (name) parts.append(shape("rect", { x: x(ns) - 8, y: 0, width: 16, height: 15, fill: colour, rx: 2 }), shape("text", { x: x(ns), y: 12, "text-anchor": "middle", style: "fill:#fff;font-weight:700" }, name));
  }
  function draw() {
    if (!figure) return;
    const visible = shown_lanes(), rows = new Map(visible.map(([lane], row) => [lane, row])), bottom = TOP + visible.length * ROW;
    svg.setAttribute("viewBox", `0 0 ${width} ${bottom + AXIS}`);
    svg.setAttribute("height", bottom + AXIS);
    const parts = shape("g", {});
    const axis = ticks(state.view[0] - figure.zero_ns, state.view[1] - figure.zero_ns);
    for (const tick of axis.found) {
      const place = x(tick + figure.zero_ns);
      parts.append(shape("line", { x1: place, y1: TOP, x2: place, y2: bottom + 4, stroke: "#e4e4e4" }), shape("text", { x: place, y: bottom + 16, "text-anchor": "middle" }, axis.words(tick)));
    }
    const unit = { s: "seconds", ms: "milliseconds", "µs": "microseconds", ns: "nanoseconds" }[axis.name];
    const notes = [`${unit} since ${figure.zero_ns ? "the data was ready" : "the call"}`];
    if (figure.ready.length && width > 640) notes.push("⊢⊣ is where “ready” lies by the evidence");
    if (shadow) notes.push(`thin bars: the run before, ${shadow.model}`);
    parts.append(shape("text", { x: width > 640 ? LEFT : 8, y: bottom + 31, class: "unit" }, notes.join("; ")));
    visible.forEach(([lane, name], row) => {
      const top = TOP + row * ROW + 4;
      if (lane === state.lane) parts.append(shape("rect", { x: 0, y: top - 4, width, height: ROW - 4, fill: "#EEF4F8" }));
      parts.append(shape("text", { x: 8, y: top + BAR / 2 + 4, "data-lane": lane }, (lane === state.lane ? "▸ " : "") + name));
      for (const span of bands(spans_of(figure, lane), pixel_ns())) draw_bar(parts, span, top, BAR, 0, 1, true);
      if (shadow) for (const span of bands(spans_of(shadow, lane), pixel_ns())) draw_bar(parts, span, top + BAR + 2, 8, figure.zero_ns - shadow.zero_ns, 0.75, false);
    });
    for (const link of figure.links) draw_link(parts, link, rows);
    if (figure.ready.length && rows.has("kernel")) {
      const [low, high] = figure.ready.map(x), height = TOP + rows.get("kernel") * ROW + BAR + 8;
      if (high > LEFT && low < width - 10) parts.append(shape("path", { d: `M${Math.max(low, LEFT)},${height - 4} v8 m0,-4 H${Math.min(high, width - 10)} m0,-4 v8`, stroke: "#222", fill: "none", "stroke-width": 1.3, class: "bracket" }));
    }
    if (state.cursor !== null) vertical(parts, state.cursor, "#555", "2 3");
    for (const name of ["A", "B"]) if (state[name]) vertical(parts, state[name][0], name === "A" ? "#0072B2" : "#A34700", "none", name);
    svg.replaceChildren(patterns(looks, own), parts);
    svg.dataset.view = state.view.map(Math.round).join(" ");
    difference();
  }

  /** A box for each lane. The focus stays where it is: a run ends at any time, also under somebody's fingers. */
  function show_switches() {
    const focused = switches.contains(document.activeElement) ? document.activeElement.dataset.show : null;
    const had = [...switches.children].map(each => each.dataset.name).join();
    if (had === lanes.map(([, name]) => name).join()) return;
    switches.replaceChildren(...lanes.map(([lane, name]) => {
      const box = make("input", { type: "checkbox", "data-show": lane });
      box.checked = !state.hidden.has(lane);
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](lane);
        if (state.hidden.has(state.lane)) state.lane = (shown_lanes()[0] || [null])[0];
        tell(); draw();
      });
      return make("label", { "data-name": name }, box, name);
    }));
    if (focused) ([...switches.querySelectorAll("input")].find(each => each.dataset.show === focused) || switches.querySelector("input")).focus({ preventScroll: true });
  }

  // News from the kernel ────────────────────────────────────────────────────────

  function new_figure() {
    figure = model.get("figure");
    const earlier = model.get("shadow");
    const old = figure && state.zero !== undefined ? [state.view[0] - state.zero, state.view[1] - state.zero] : null;
    shadow = earlier.spans ? earlier : null;
    const names = new Set(figure.lanes.map(([lane]) => lane));
    lanes = [...figure.lanes, ...(shadow ? shadow.lanes.filter(([lane]) => !names.has(lane)) : [])];
    state.A = state.B = state.cursor = null;
    if (!names.has(state.lane)) state.lane = "application";
    if (Boolean(figure.zero_ns) !== Boolean(state.zero)) state.kind = "whole"; // one sender, or several
    nearer.setAttribute("aria-disabled", Boolean(no_close_up())); // it keeps the focus, and says why
    nearer.title = no_close_up();
    state.zero = figure.zero_ns;
    if (state.kind === "own" && old) state.view = [old[0] + figure.zero_ns, old[1] + figure.zero_ns];
    else look(state.kind);
    title.textContent = figure.title;
    signature.textContent = figure.signature.join(" · ");
    svg.setAttribute("aria-label", `${figure.title}. Lanes: ${figure.lanes.map(([, name]) => name).join(", ")}.`);
    plot.setAttribute("aria-label", figure.title);
    show_switches();
    const states = new Set(figure.spans.map(span => span.state)), kinds = new Set(figure.links.map(link => link[0]));
    legend.replaceChildren(...Object.entries(looks).filter(([name]) => states.has(name)).map(([name, [, , meaning]]) =>
      make("li", {}, shape("svg", { viewBox: "0 0 26 13", "aria-hidden": "true" }, patterns({ [name]: looks[name] }, `${own}-legend`), shape("rect", { x: 0.5, y: 0.5, width: 25, height: 12, stroke: "#222",
        "stroke-width": 0.6, fill: looks[name][1] ? `url(#${own}-legend-${name})` : looks[name][0] })), meaning)),
    ...Object.entries(choices.arrows).filter(([kind]) => kinds.has(kind)).map(([, [, sign, meaning]]) => make("li", {}, make("span", { "aria-hidden": "true" }, sign), meaning)));
    tell(); draw();
    root.dataset.runs = Number(root.dataset.runs || 0) + 1;
    root.dataset.tookMs = asked ? Math.round(performance.now() - asked) : "";
    root.dataset.runMs = Math.round(figure.run_ns / 1e6);
  }
  function news() {
    const running = model.get("running"), failure = model.get("failure");
    const reason = (choices.models.find(([name]) => name === model.get("model")) || [])[1];
    go.textContent = running ? "Cancel" : "Run again";
    root.dataset.running = running;
    plot.style.opacity = running ? 0.55 : 1;
    live.textContent = silent ? NO_ANSWER : running ? `Running ${model.get("model")} …` : failure || model.get("sentence");
    live.classList.toggle("warning", silent || !running && Boolean(failure));
    before.textContent = shadow ? `Before: ${shadow.sentence}` : "";
    warning.hidden = !figure || !figure.origin;
    warning.textContent = figure && figure.origin ? `${figure.origin}. Wait, bytes and senders are those of the recording.` : "";
    select.value = model.get("model");
    for (const each of sliders) { each.take(); each.input.disabled = Boolean(reason); }
    go.disabled = Boolean(reason);
    compare.checked = model.get("compare");
  }
  const heard = () => { if (model.get("figure").spans) { new_figure(); news(); } };
  const settings = ["running", "failure", "sentence", "model", "wait_ms", "nbytes", "senders", "compare"].map(name => `change:${name}`);
  model.on("change:figure", heard);
  model.on("msg:custom", answered);
  for (const name of settings) model.on(name, news);

  // Mouse and keys ──────────────────────────────────────────────────────────────

  const place = event => {
    const box = svg.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - TOP) / ROW), shown = shown_lanes()[row];
    return { pixel: event.clientX - box.left, lane: shown && shown[0] };
  };
  let pulled = null, outside = 0;
  const elsewhere = event => { if (!plot.contains(event.target)) outside = event.timeStamp; };
  // A page that is being scrolled is not caught when the figure comes under the pointer.
  window.addEventListener("wheel", elsewhere, { passive: true, capture: true });
  plot.addEventListener("wheel", event => {
    if (event.timeStamp - outside < 400) { outside = event.timeStamp; return; }
    if (event.deltaY > 0 && state.kind === "whole") return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.3 : 1 / 1.3, at(Math.max(place(event).pixel, LEFT)));
    draw();
  }, { passive: false });
  plot.addEventListener("pointermove", event => {
    const { pixel, lane } = place(event);
    if (pulled) {
      pulled.moved ||= Math.abs(event.clientX - pulled.x) > 4;
      if (pulled.moved) { move(-(event.clientX - pulled.last) * pixel_ns()); pulled.last = event.clientX; draw(); }
      return;
    }
    if (!lane || pixel < LEFT) return;
    state.lane = lane; state.cursor = at(pixel);
    tell(); draw();
  });
  plot.addEventListener("pointerdown", event => { pulled = { x: event.clientX, last: event.clientX }; plot.setPointerCapture(event.pointerId); });
  plot.addEventListener("pointercancel", () => { pulled = null; });
  plot.addEventListener("pointerup", event => {
    const click = pulled && !pulled.moved;
    pulled = null;
    const { pixel, lane } = place(event);
    if (!click || pixel < LEFT || !lane) return;
    state.lane = lane; state.cursor = at(pixel);
    mark(event.shiftKey ? "B" : "A");
    tell(); draw();
  });
  const ON_KEY = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => change_lane(-1), ArrowDown: () => change_lane(1),
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "−": () => zoom(2), 0: () => look("whole"), c: () => look("close-up"),
    PageUp: () => move(-(state.view[1] - state.view[0]) / 2), PageDown: () => move((state.view[1] - state.view[0]) / 2),
    a: () => mark("A"), b: () => mark("B"), Escape: () => { state.A = state.B = null; },
  };
  plot.addEventListener("keydown", event => {
    const deed = ON_KEY[event.key] || ON_KEY[event.key.toLowerCase()];
    if (!deed || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); event.stopPropagation();
    deed(); draw();
  });
  // Lab's notebook would take the arrow keys from the sliders, on their way up.
  root.addEventListener("keydown", event => event.stopPropagation());
  const watch = new ResizeObserver(() => { const now = Math.round(plot.clientWidth); if (now && now !== width) { width = now; draw(); } });
  watch.observe(plot);
  const leaving = () => { if (model.get("running")) model.send({ do: "cancel" }); };
  window.addEventListener("pagehide", leaving);

  width = plot.clientWidth || width;
  heard();
  return () => {
    watch.disconnect();
    window.removeEventListener("wheel", elsewhere, { capture: true });
    window.removeEventListener("pagehide", leaving);
    clearTimeout(settling);
    clearTimeout(answering);
    model.off("change:figure", heard);
    model.off("msg:custom", answered);
    for (const name of settings) model.off(name, news);
  };
}

export default { render };
