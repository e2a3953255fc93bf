// What all instruments use: elements, controls tied to the state, numbers, drawing once a change.
// It exports nothing, so that it can stand before any module as one text.

// ---- Elements

/** Return an HTML element; `on…` attributes are listeners, children are nodes or words. */
function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element, as `html` does. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  set(element, attributes);
  element.append(...children);
  return element;
}

/**
 * Set attributes of an element: a function is a listener, false and null take it away.
 * What can have the focus keeps JupyterLab's shortcuts, the arrow keys among them, off itself.
 */
function set(element, attributes) {
  if ("tabindex" in attributes || /^(input|button|select|textarea)$/.test(element.localName)) {
    element.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === false || value === null) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Put the instrument's frame into `el`; return its parts: root, controls, stage, notes. */
function frame(el, title, name) {
  const controls = html("div", { class: "lab-controls" });
  const stage = html("div", { class: "lab-stage" });
  const notes = html("div", { class: "lab-notes", "aria-live": "polite" });
  const root = html(
    "section",
    { class: `lab-page lab-${name}`, "aria-label": title },
    html("p", { class: "lab-title" }, title),
    controls,
    stage,
    notes,
  );
  el.replaceChildren(root);
  return { root, controls, stage, notes };
}

/** Return a drawing of `width` × `height` units that shrinks with the page and has a name. */
function drawing(width, height, label, ...children) {
  const viewBox = `0 0 ${width} ${height}`;
  const made = svg("svg", { viewBox, role: "img", "aria-label": label, class: "lab-drawing" });
  made.style.maxWidth = `${width}px`;
  made.append(...children);
  return made;
}

/** Return an SVG text; `attributes` may give text-anchor, class and so on. */
function words(x, y, text, attributes = {}) {
  return svg("text", { x, y, ...attributes }, text);
}

// ---- State

/** Set several traits at once and tell the kernel, where there is one. */
function change(model, state) {
  for (const [key, value] of Object.entries(state)) model.set(key, value);
  model.save_changes();
}

/** Call `draw` now, and once after each change of these traits; return what ends it. */
function follow(model, keys, draw) {
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      draw();
    });
  };
  for (const key of keys) model.on(`change:${key}`, soon);
  draw();
  return () => {
    for (const key of keys) model.off(`change:${key}`, soon);
  };
}

/** Write the figures where a test, or another program, reads them. */
function report(root, figures) {
  root.dataset.figures = JSON.stringify(figures);
}

// ---- Controls, each with a label, each moved by keyboard, mouse and touch

let controlsMade = 0;
// In a page's own module this counts anew: a name that is random keeps two pages' controls apart.
const PAGE_KEY = Math.random().toString(36).slice(2, 8);

/**
 * Return a slider tied to the trait `key`.
 * `options`: label, min, max, step, show (value → words beside it). `range(min, max)` moves its ends.
 */
function slider(model, key, options) {
  const { label, min, max, step = 1, show = String } = options;
  const id = `lab-${PAGE_KEY}-${++controlsMade}`;
  const input = html("input", { type: "range", id, min, max, step, class: `lab-input-${key}` });
  const shown = html("output", { for: id });
  const control = html("div", { class: "lab-slider" }, html("label", { for: id }, label), input, shown);
  const write = () => {
    const value = model.get(key);
    if (Number(input.value) !== value) input.value = value;
    shown.textContent = show(value);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => change(model, { [key]: Number(input.value) }));
  model.on(`change:${key}`, write);
  write();
  control.range = (low, high) => {
    set(input, { min: low, max: high });
    input.value = model.get(key);
  };
  return control;
}

/** Return buttons of which one is chosen, tied to the trait `key`; `choices` is [value, words][]. */
function choice(model, key, label, choices) {
  const name = `lab-${PAGE_KEY}-${++controlsMade}`;
  const inputs = choices.map(([value, text]) => {
    const listener = () => change(model, { [key]: value });
    const input = html("input", { type: "radio", name, onchange: listener });
    return { value, input, label: html("label", {}, input, html("span", {}, text)) };
  });
  const write = () => {
    for (const each of inputs) each.input.checked = each.value === model.get(key);
  };
  model.on(`change:${key}`, write);
  write();
  const legend = html("legend", {}, label);
  return html("fieldset", { class: `lab-choice lab-input-${key}` }, legend, ...inputs.map((i) => i.label));
}

/** Return a box to tick, tied to the trait `key`. */
function tick(model, key, label) {
  const listener = () => change(model, { [key]: input.checked });
  const input = html("input", { type: "checkbox", class: `lab-input-${key}`, onchange: listener });
  const write = () => (input.checked = model.get(key));
  model.on(`change:${key}`, write);
  write();
  return html("label", { class: "lab-tick" }, input, html("span", {}, label));
}

/** Return a button; `pressed(element, on)` marks one that stays down. */
function button(label, action, attributes = {}) {
  return html("button", { type: "button", onclick: action, ...attributes }, label);
}

function pressed(element, on) {
  element.setAttribute("aria-pressed", String(on));
}

/**
 * Make an element of a drawing a slider that is dragged: by mouse and touch, by arrow keys, Home, End.
 * `options`: label, min, max, step, get(), put(value), at(x, y) → value of a point in the drawing's
 * units, show(value) → words. Returns a function that writes the present value for screen readers.
 */
function draggable(handle, options) {
  const { label, min, max, step, get, put, at, show = String } = options;
  const clamp = (value) => Math.min(max, Math.max(min, value));
  set(handle, { role: "slider", tabindex: 0, "aria-label": label, class: "lab-handle" });
  set(handle, { "aria-valuemin": min, "aria-valuemax": max });
  // A screen reader takes an image as one thing and would not find the slider in it.
  handle.ownerSVGElement?.setAttribute("role", "group");
  const moved = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY);
    const { x, y } = point.matrixTransform(handle.ownerSVGElement.getScreenCTM().inverse());
    put(clamp(at(x, y)));
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    event.preventDefault();
  });
  // Chromium scrolls the page from a part of a drawing, whatever its touch-action says.
  handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) moved(event);
  });
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
  handle.addEventListener("keydown", (event) => {
    const ends = { Home: min, End: max };
    const value = event.key in steps ? get() + steps[event.key] * step : ends[event.key];
    if (value === undefined) return;
    // A page may turn to the next one by these keys.
    event.preventDefault();
    event.stopPropagation();
    put(clamp(value));
  });
  const write = () => set(handle, { "aria-valuenow": get(), "aria-valuetext": show(get()) });
  write();
  return write;
}

// ---- Figures

/**
 * Return a table and a function that renews its values: one a label, or a list where the table has
 * `columns`.
 */
function table(caption, labels, columns = []) {
  const cells = labels.map(() => (columns.length ? columns : [""]).map(() => html("td")));
  const rows = labels.map((label, at) => html("tr", {}, html("th", { scope: "row" }, label), ...cells[at]));
  const titles = columns.map((column) => html("th", { scope: "col" }, column));
  const head = columns.length ? [html("thead", {}, html("tr", {}, html("td"), ...titles))] : [];
  const body = html("tbody", {}, ...rows);
  const made = html("table", { class: "lab-figures" }, html("caption", {}, caption), ...head, body);
  const write = (values) =>
    values.forEach((value, at) =>
      [value].flat().forEach((each, column) => (cells[at][column].textContent = each)),
    );
  return [made, write];
}

/** Return a number with so many digits after the point, and a true minus. */
function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** Return a number in at most four characters: ".35", "−.35", "1.2", "2". */
function short(value) {
  const size = Math.abs(value);
  const text = String(Number(size.toFixed(size >= 0.995 ? 1 : 2))).replace(/^0\./, ".");
  return text !== "0" && value < 0 ? `−${text}` : text;
}

/** Return a whole number with commas between thousands. */
function count(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Return a share as per cent, to three figures; below 1 it is never rounded up to 100 %. */
function percent(share) {
  const value = 100 * share;
  if (value >= 99.95) return share >= 1 ? `${count(value)} %` : `${Math.min(value, 99.999).toFixed(3)} %`;
  return value >= 10 ? `${value.toFixed(1)} %` : `${Number(value.toPrecision(3))} %`;
}

// ---- Colors

/** Return the fill of a cell: blue below zero, orange above, full at ±`limit`. */
function heat(value, limit) {
  const share = Math.round(100 * Math.min(1, Math.abs(value) / limit));
  const end = value < 0 ? "var(--lab-negative)" : "var(--lab-positive)";
  return `color-mix(in srgb, ${end} ${share}%, var(--lab-zero))`;
}

/** Tell whether the reader asked for less motion. */
function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Call `draw` when the page's theme changes: for a canvas, whose colors are not CSS's. */
function onTheme(draw) {
  const attributes = ["data-theme", "theme", "data-jp-theme-light", "data-jp-theme-name", "class"];
  const watcher = new MutationObserver(draw);
  for (const element of [document.documentElement, document.body]) {
    watcher.observe(element, { attributes: true, attributeFilter: attributes });
  }
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", draw);
  return () => {
    watcher.disconnect();
    media.removeEventListener("change", draw);
  };
}

// ---- Width

/** Call `draw(width)` now and whenever the element has another width; return what ends it. */
function onWidth(element, draw) {
  let last = 0;
  const look = () => {
    const width = Math.round(element.clientWidth);
    if (width && width !== last) draw((last = width));
  };
  const watcher = new ResizeObserver(look);
  watcher.observe(element);
  look();
  return () => watcher.disconnect();
}

// ---- A static page

/** Return a model that keeps the state in the page: what anywidget's model is in a notebook. */
function pageModel(state) {
  const listeners = new Map();
  return {
    get: (key) => state[key],
    set: (key, value) => {
      if (JSON.stringify(state[key]) === JSON.stringify(value)) return;
      state[key] = value;
      for (const listener of listeners.get(`change:${key}`) ?? []) listener();
    },
    save_changes: () => {},
    on: (event, listener) => {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listener);
    },
    off: (event, listener) => listeners.get(event)?.delete(listener),
  };
}

/** Bring the first instrument of this name that waits on the page to life. */
function startOnPage(name, render) {
  const place = document.querySelector(`[data-instrument="${name}"]:not([data-alive])`);
  place.dataset.alive = "";
  const state = JSON.parse(place.querySelector('script[type="application/json"]').textContent);
  place.model = pageModel(state);
  render({ model: place.model, el: place.querySelector(".lab-instrument-view") });
}
