// The NF4 line: a bell cut into slices gives the codes, a weight snaps to one, an update is merged.

const OUTERMOST = 1.84813; // standard deviations at ±1: the quantile of labs_lib's NF4_OUTERMOST
const TOP = 22, AXIS = 128, WEIGHT_ROW = 162, CODE_ROW = 214, CODE_WORDS = 234;
const ZOOM_TOP = 262, FOUR_BIT_ROW = 318, SIXTEEN_BIT_ROW = 372;
const PAD = 14, SEEN = 0.34; // how much of ±absmax the second part shows around the weight

/** Return the nearest of the ascending `values` for a weight, as labs_lib's `snap_weight` does. */
function snapped(weight, absmax, values) {
  const borders = values.slice(1).map((high, at) => (values[at] + high) / 2);
  const scaled = weight / absmax;
  const code = borders.filter((border) => scaled > border).length;
  const edges = [-Infinity, ...borders, Infinity];
  const restored = values[code] * absmax;
  return {
    code,
    value: values[code],
    restored,
    error: restored - weight,
    lowest: edges[code] * absmax,
    highest: edges[code + 1] * absmax,
  };
}

/** Return the bf16 number nearest to a number, by way of fp32. */
function toBf16(number) {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, number);
  const bits = view.getUint32(0);
  view.setUint32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  return view.getFloat32(0);
}

/** Return what `merge_update` does: the weight before and after an update, in 4 bits and in 16. */
function merged(weight, update, absmax, values) {
  const before = snapped(weight, absmax, values);
  const after = snapped(before.restored + update, absmax, values);
  const start = toBf16(weight);
  return {
    before,
    after,
    kept: after.restored - before.restored,
    least_down: before.lowest - before.restored,
    least_up: before.highest - before.restored,
    start_16: start,
    end_16: toBf16(start + update),
  };
}

function state(model) {
  const [book, weight, absmax] = ["book", "weight", "absmax"].map((key) => model.get(key));
  const merging = model.get("merging");
  const update = merging ? model.get("update") : 0;
  const { values, shares } = model.get("books")[book];
  return { book, weight, absmax, merging, update, values, shares, ...merged(weight, update, absmax, values) };
}

// ---- Drawing

const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });

/** Return the bell, cut at the values of the book, each a tick with its number. */
function bell(now, width) {
  const across = (value) => PAD + ((value + 1.2) / 2.4) * (width - 2 * PAD);
  const tall = (value) => AXIS - (AXIS - TOP - 6) * Math.exp(-((value * OUTERMOST) ** 2) / 2);
  const curve = (low, high) => {
    const steps = Math.max(2, Math.ceil((high - low) * 60));
    return Array.from({ length: steps + 1 }, (_, at) => {
      const value = low + ((high - low) * at) / steps;
      return `${across(value).toFixed(1)},${tall(value).toFixed(1)}`;
    });
  };
  const slices = now.values.slice(1).map((high, at) => {
    const low = now.values[at];
    const points = [`${across(low)},${AXIS}`, ...curve(low, high), `${across(high)},${AXIS}`];
    return svg("polygon", { points: points.join(" "), class: at % 2 ? "slice odd" : "slice" });
  });
  const outline = svg("polyline", { points: curve(-1.2, 1.2).join(" "), class: "outline" });
  const ticks = now.values.map((value) => line(across(value), AXIS, across(value), AXIS + 6, "tick"));
  const ends = [-1, 0, 1].map((value) =>
    words(across(value), AXIS + 19, fixed(value, 0), { "text-anchor": "middle", class: "lab-faint" }),
  );
  const title = words(PAD, 14, "Weights of a layer, as a bell curve cut at the codes");
  return svg("g", {}, title, ...slices, outline, line(PAD, AXIS, width - PAD, AXIS, "axis"), ...ticks, ...ends);
}

/** Return the codes below the weight, the one it gets, and the weights that get the same one. */
function codes(now, width) {
  const across = (value) => PAD + ((value + 1.2) / 2.4) * (width - 2 * PAD);
  const at = across(now.weight / now.absmax), to = across(now.before.value);
  const low = across(Math.max(-1, now.before.lowest / now.absmax));
  const high = across(Math.min(1, now.before.highest / now.absmax));
  const band = svg("rect", { x: low, y: WEIGHT_ROW - 12, width: high - low, height: CODE_ROW - WEIGHT_ROW + 12, class: "band" });
  const marks = now.values.map((value, code) => {
    const own = code === now.before.code;
    return svg("circle", { cx: across(value), cy: CODE_ROW, r: own ? 6 : 3.5, class: own ? "code own" : "code" });
  });
  const named = now.values.map((value, code) => {
    const own = code === now.before.code;
    const room = Math.abs(code - now.before.code) > 2 && (code === 0 || code === now.values.length - 1);
    if (!own && !room) return "";
    const text = own ? `code ${code}` : String(code);
    return words(across(value), CODE_WORDS, text, { "text-anchor": "middle", class: own ? "strong" : "lab-faint" });
  });
  const path = `M${at} ${WEIGHT_ROW} C ${at} ${CODE_ROW - 18}, ${to} ${WEIGHT_ROW + 18}, ${to} ${CODE_ROW - 7}`;
  return svg("g", {}, band, line(PAD, CODE_ROW, width - PAD, CODE_ROW, "axis"), svg("path", { d: path, class: "snap" }), ...marks, ...named);
}

/** Return the second part: the update on the restored weight, in 4 bits and in 16. */
function merge(now, width) {
  const middle = now.before.restored, half = SEEN * now.absmax;
  const across = (value) => width / 2 + (Math.max(-half, Math.min(half, value - middle)) / half) * (width / 2 - PAD);
  const inside = (value) => Math.abs(value - middle) <= half;
  const parts = [words(PAD, ZOOM_TOP, "Merged in 4 bits (enlarged)")];
  parts.push(line(PAD, FOUR_BIT_ROW, width - PAD, FOUR_BIT_ROW, "axis"));
  now.values.forEach((value, code) => {
    const place = value * now.absmax;
    if (!inside(place)) return;
    const own = code === now.after.code;
    parts.push(svg("circle", { cx: across(place), cy: FOUR_BIT_ROW, r: own ? 6 : 3.5, class: own ? "code own" : "code" }));
    parts.push(words(across(place), FOUR_BIT_ROW + 20, String(code), { "text-anchor": "middle", class: own ? "strong" : "lab-faint" }));
  });
  for (const border of [now.before.lowest, now.before.highest]) {
    if (inside(border)) parts.push(line(across(border), ZOOM_TOP + 10, across(border), FOUR_BIT_ROW + 6, "border"));
  }
  parts.push(...arrow(across(middle), across(middle + now.update), FOUR_BIT_ROW - 20));
  const sum = across(middle + now.update), end = across(now.after.restored);
  parts.push(svg("path", { d: `M${sum} ${FOUR_BIT_ROW - 20} L ${end} ${FOUR_BIT_ROW - 8}`, class: "snap" }));
  parts.push(words(PAD, SIXTEEN_BIT_ROW - 14, "Merged in 16 bits"));
  parts.push(line(PAD, SIXTEEN_BIT_ROW, width - PAD, SIXTEEN_BIT_ROW, "axis"));
  const start = across(middle), moved = across(middle + now.end_16 - now.start_16);
  parts.push(svg("circle", { cx: start, cy: SIXTEEN_BIT_ROW, r: 3.5, class: "code" }));
  parts.push(...arrow(start, moved, SIXTEEN_BIT_ROW));
  parts.push(svg("circle", { cx: moved, cy: SIXTEEN_BIT_ROW, r: 6, class: "code own" }));
  return svg("g", {}, ...parts);
}

function arrow(from, to, y) {
  const size = Math.sign(to - from) * Math.min(8, Math.abs(to - from));
  const head = `${to},${y} ${to - size},${y - 5} ${to - size},${y + 5}`;
  return [line(from, y, to - size / 2, y, "update"), svg("polygon", { points: head, class: "head" })];
}

// ---- Words

const range = (low, high) => (low === high ? percent(low) : `${percent(low)} to ${percent(high)}`);

/** Say which share of normal weights each slice has, or the least and the most. */
function sliceWords({ values, shares }) {
  const side = (up) => {
    const own = shares.filter((_, at) => values[at] >= 0 === up).map((share) => Number(share.toPrecision(3)));
    return [Math.min(...own), Math.max(...own)];
  };
  const [above, below] = [side(true), side(false)];
  if (above[0] === above[1]) return `Each slice above 0 has ${percent(above[0])} of the weights, each below 0 ${percent(below[0])}.`;
  return `The slices are equally wide and have from ${range(Math.min(above[0], below[0]), Math.max(above[1], below[1]))} of the weights.`;
}

/** Say what became of the update. */
function mergeWords(now) {
  if (now.update === 0) return "Without an update the weight keeps its code.";
  const border = now.update > 0 ? now.least_up : now.least_down;
  if (now.kept !== 0) {
    return `The update of ${fixed(now.update, 4)} goes beyond the border (${fixed(border, 4)} away): the weight moves by ${fixed(now.kept, 4)}, the gap between two codes.`;
  }
  if (!Number.isFinite(border)) return `The update of ${fixed(now.update, 4)} is lost: there is no code beyond this one.`;
  return `The update of ${fixed(now.update, 4)} is lost: the border is ${fixed(border, 4)} away, so the sum gets the same code.`;
}

const digits = (value) => (Number.isFinite(value) ? fixed(value, 4) : "none");

function rows(now) {
  const { before } = now;
  const first = [
    `${fixed(now.weight, 3)} ÷ ${now.absmax} = ${fixed(now.weight / now.absmax, 3)}`,
    `${before.code}, which is ${digits(before.value)}`,
    digits(before.restored),
    digits(before.error),
  ];
  const second = [
    `${digits(now.least_down)} or ${digits(now.least_up)}`,
    `${now.after.code}, moved by ${digits(now.kept)}`,
    `moved by ${digits(now.end_16 - now.start_16)}`,
  ];
  return [first, second];
}

const finite = (snap) => ({
  ...snap,
  lowest: Number.isFinite(snap.lowest) ? snap.lowest : null,
  highest: Number.isFinite(snap.highest) ? snap.highest : null,
});

/** Return the figures as Python's `figures()` does; infinity is null, as JSON has none. */
function figuresOf(now) {
  const { before, after, kept, least_down, least_up, start_16, end_16 } = now;
  const [down, up] = [least_down, least_up].map((value) => (Number.isFinite(value) ? value : null));
  return { before: finite(before), after: finite(after), kept, least_down: down, least_up: up, start_16, end_16 };
}

function render({ model, el }) {
  const merging = model.get("merging");
  const title = merging ? "The NF4 line: merging an update" : "The NF4 line: sixteen values for a weight";
  const { root, controls, stage, notes } = frame(el, title, "nf4-line");
  const absmax = model.get("absmax");
  const step = absmax / 500;
  controls.append(
    choice(model, "book", "Codes at", [
      ["nf4", "equal steps of probability (NF4)"],
      ["int4", "equal distances (int4)"],
    ]),
  );
  if (merging) {
    const span = 0.3 * absmax;
    controls.append(slider(model, "update", { label: "Update", min: -span, max: span, step: absmax / 1000, show: (v) => fixed(v, 4) }));
  }
  controls.append(slider(model, "weight", { label: "Weight", min: -absmax, max: absmax, step, show: (v) => fixed(v, 3) }));
  let width = 640;
  const handle = svg("circle", { r: 10 });
  const back = svg("g", { "aria-hidden": "true" });
  const picture = drawing(width, 100, title, back, handle); // the handle stays: it has the focus
  picture.style.maxWidth = "none";
  const across = (weight) => PAD + ((weight / absmax + 1.2) / 2.4) * (width - 2 * PAD);
  const write = draggable(handle, {
    label: "weight", min: -absmax, max: absmax, step,
    get: () => model.get("weight"),
    put: (value) => change(model, { weight: Number(value.toFixed(6)) }),
    at: (x) => Math.round((((x - PAD) / (width - 2 * PAD)) * 2.4 - 1.2) * absmax / step) * step,
    show: (value) => `${fixed(value, 3)}, code ${state(model).before.code}`,
  });
  const [table1, write1] = table("One weight", ["Weight ÷ absmax", "Nearest code", "Restored", "Error"]);
  const [table2, write2] = table("Merging", ["Least update for another code", "Code in 4 bits", "In 16 bits"]);
  const tables = html("div", { class: "tables" }, table1, ...(merging ? [table2] : []));
  stage.append(picture, tables);
  const said = html("p");
  notes.append(said, html("p", { class: "hint" }, "The blue weight can be dragged, or moved by arrow keys."));

  const draw = () => {
    const now = state(model);
    set(picture, { viewBox: `0 0 ${width} ${merging ? 392 : 246}` });
    set(handle, { cx: across(now.weight), cy: WEIGHT_ROW });
    back.replaceChildren(bell(now, width), codes(now, width), ...(merging ? [merge(now, width)] : []));
    write();
    const [first, second] = rows(now);
    write1(first);
    write2(second);
    said.textContent = merging ? mergeWords(now) : sliceWords(now);
    set(picture, { "aria-label": `${title}. Weight ${fixed(now.weight, 3)} gets code ${now.before.code}. ${said.textContent}` });
    report(root, figuresOf(now));
  };
  const ends = [
    follow(model, ["book", "weight", "update"], draw),
    onWidth(stage, (wide) => {
      width = Math.min(760, wide);
      draw();
    }),
  ];
  return () => ends.forEach((end) => end());
}

export default { render };
