// A QLoRA step through one layer: tensors by dtype, the 16-bit copy, and the bytes of each moment.

const SIZE = { bf16: 2, fp32: 4 };
const DTYPES = [["nf4", "4 bits (NF4)"], ["bf16", "16 bits (bf16)"], ["fp32", "32 bits (fp32)"]];
const PHASES = { rest: "at rest", forward: "forward", between: "waiting", again: "forward again", backward: "backward", optimizer: "optimizer" };
const ROLES = [["base", "base"], ["states", "optimizer"], ["adapter", "adapter"], ["activations", "activations"], ["gradients", "gradients"], ["copy", "16-bit copy"]];

// Where a tensor is drawn: a place, its lanes (base and adapter in parallel), boxes of tensors.
const map = (name) => [
  ["base", [[`W_${name}`, [`W_${name}`]], [`W_${name}, copy`, [`W_${name}_16`]]]],
  ["adapter", [
    ["A, B", [`A_${name}`, `B_${name}`]],
    ["m, v", [`m_A_${name}`, `m_B_${name}`]],
    [name === "up" ? "A x" : "A SiLU(u)", [`a_${name}`]],
    ["∂A, ∂B", [`g_A_${name}`, `g_B_${name}`]],
    [name === "up" ? "∂(A x)" : "∂(A SiLU(u))", [`g_a_${name}`]],
  ]],
];
const PLACES = [
  ["input", [["", [["x", ["x"]], ["∂x", ["g_x"]]]]]],
  ["up", map("up")],
  ["SiLU", [["", [["u", ["u"]], ["SiLU(u)", ["s"]], ["∂u", ["g_u"]], ["∂SiLU(u)", ["g_s"]]]]]],
  ["down", map("down")],
  ["output", [["", [["y", ["y"]], ["∂y", ["g_y"]]]]]],
];

/** Return the bytes of so many weights in NF4 with double quantization. */
function nf4Bytes(elements) {
  const blocks = Math.ceil(elements / 64);
  return Math.ceil(elements / 2) + blocks + 4 * Math.ceil(blocks / 256) + 4;
}

/** Return the bytes of a tensor of the script, for the sizes that the model holds. */
function bytesOf(tensor, sizes) {
  const elements = sizes[tensor.shape[0]] * sizes[tensor.shape[1]];
  return tensor.dtype === "nf4" ? nf4Bytes(elements) : tensor.copies * elements * SIZE[tensor.dtype];
}

/** Return what labs_lib's `layer_step` does: for each moment the bytes of each living tensor. */
function layerStep(model, checkpointing) {
  const { tensors, plain, checkpointed } = model.get("script");
  const sizes = Object.fromEntries(["tokens", "width", "inner", "rank"].map((key) => [key, model.get(key)]));
  const moments = checkpointing ? checkpointed : plain;
  const live = moments.map((moment) =>
    Object.fromEntries(moment.live.map((name) => [name, bytesOf(tensors[name], sizes)])),
  );
  const totals = live.map((each) => Object.values(each).reduce((a, b) => a + b, 0));
  const waiting = live[moments.findIndex((moment) => moment.phase === "between")];
  const kept = Object.entries(waiting)
    .filter(([name]) => tensors[name].role === "activations")
    .reduce((sum, [, bytes]) => sum + bytes, 0);
  const restored = moments.filter((moment) => moment.restored === "W_up").length;
  return { moments, live, totals, peak: totals.indexOf(Math.max(...totals)), kept, restored };
}

function state(model) {
  const step = layerStep(model, model.get("checkpointing"));
  const other = layerStep(model, !model.get("checkpointing"));
  const now = Math.min(model.get("moment"), step.moments.length - 1);
  return { step, now, live: step.live[now], most: Math.max(...step.totals, ...other.totals) };
}

/** Return a number of bytes in GB, MB or kB. */
function megabytes(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e5 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}

/** Return the layer's places with a box for each group of tensors, and what renews them. */
function layerView(tensors) {
  const boxes = [];
  const box = ([name, members]) => {
    const size = html("span", { class: "size" });
    const made = html("div", {}, html("span", {}, name), size);
    boxes.push({ made, size, name, members, dtype: tensors[members[0]].dtype, role: tensors[members[0]].role });
    return made;
  };
  const lane = ([name, groups]) =>
    html("div", { class: "lane" }, ...(name ? [html("span", { class: "lane-name" }, name)] : []), ...groups.map(box));
  const view = html(
    "div", { class: "layer", role: "img" },
    ...PLACES.map(([name, lanes]) =>
      html("div", { class: `place place-${lanes.length}` }, html("b", {}, name), html("div", { class: "lanes" }, ...lanes.map(lane))),
    ),
  );
  const write = ({ live }) => {
    for (const { made, size, members, dtype, role } of boxes) {
      const bytes = members.reduce((sum, member) => sum + (live[member] ?? 0), 0);
      made.className = `box ${dtype} ${role} ${bytes ? "alive" : "away"}`;
      size.textContent = bytes ? megabytes(bytes) : "";
    }
    const names = boxes.filter(({ members }) => members.some((member) => member in live)).map(({ name }) => name);
    set(view, { "aria-label": `Tensors that live now: ${names.join("; ")}` });
  };
  return [view, write];
}

/** Return the bar of the present bytes by role, and what renews it. */
function memoryBar(tensors) {
  const parts = ROLES.map(([role, name]) => {
    const dtype = Object.values(tensors).find((tensor) => tensor.role === role).dtype;
    return { role, name, made: html("div", { class: `part ${dtype} ${role}` }), dtype };
  });
  const view = html("div", { class: "bar", role: "img" }, ...parts.map(({ made }) => made));
  const write = ({ live, most }, width) => {
    const said = [];
    for (const { role, name, made } of parts) {
      const bytes = Object.keys(live).reduce((sum, key) => sum + (tensors[key].role === role ? live[key] : 0), 0);
      const share = bytes / most;
      made.style.width = `${100 * share}%`;
      const text = `${name} ${megabytes(bytes)}`;
      made.textContent = share * width > 7 * text.length ? text : "";
      if (bytes) said.push(text);
    }
    set(view, { "aria-label": said.join(", ") });
  };
  return [view, write];
}

/** Return the columns of all moments, each a button for the eye and the pointer, for `width` units. */
function history({ step, now, most }, tensors, width, go) {
  const slot = width / step.moments.length, base = 108, tall = 90;
  const columns = step.live.map((live, at) => {
    let y = base;
    const stack = DTYPES.map(([dtype]) => {
      const bytes = Object.keys(live).reduce((sum, key) => sum + (tensors[key].dtype === dtype ? live[key] : 0), 0);
      const height = (tall * bytes) / most;
      y -= height;
      return svg("rect", { x: at * slot + 1, y, width: slot - 2, height, class: `fill ${dtype}` });
    });
    const ground = svg("rect", { x: at * slot, y: 0, width: slot, height: base + 6, class: "ground" });
    const mark = at === step.peak ? [words((at + 0.5) * slot, y - 4, "peak", { "text-anchor": "middle", class: "lab-faint" })] : [];
    return svg("g", { class: at === now ? "column now" : "column", onclick: () => go(at) }, ground, ...stack, ...mark);
  });
  const marker = svg("rect", { x: now * slot + 1, y: base + 2, width: slot - 2, height: 4, class: "marker" });
  const limit = svg("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" });
  return [...columns, limit, marker];
}

function render({ model, el }) {
  const title = "A QLoRA step through one layer";
  const { root, controls, stage, notes } = frame(el, title, "qlora-step");
  const { tensors } = model.get("script");
  const go = (at) => change(model, { moment: Math.max(0, Math.min(state(model).step.moments.length - 1, at)) });
  const back = button("Back", () => go(state(model).now - 1));
  const next = button("Next", () => go(state(model).now + 1));
  const moment = slider(model, "moment", { label: "Moment", min: 0, max: 20, show: (value) => `${value + 1}` });
  controls.append(
    back, next, moment,
    tick(model, "checkpointing", "gradient checkpointing"),
    slider(model, "tokens", { label: "Tokens", min: 64, max: 4096, step: 64, show: count }),
    slider(model, "rank", { label: "Rank", min: 4, max: 256, step: 4 }),
  );
  const heading = html("p", { class: "moment" });
  const key = html("p", { class: "key" }, ...DTYPES.flatMap(([dtype, name]) => [html("span", { class: `box ${dtype} alive` }, name), " "]));
  const [layer, writeLayer] = layerView(tensors);
  const [bar, writeBar] = memoryBar(tensors);
  let width = 640;
  const columns = drawing(width, 116, "Bytes at each moment of the step");
  columns.style.maxWidth = "none";
  const [figures, write] = table("In bytes", ["Now", "Peak in this layer", "Waits between the passes", "in all layers", "Each weight restored"]);
  const said = html("p");
  stage.append(heading, notes, layer, key, bar, columns, figures);
  notes.append(said);

  const draw = () => {
    const all = state(model);
    const { step, now } = all;
    const { phase, title: name, words: text } = step.moments[now];
    moment.range(0, step.moments.length - 1);
    back.disabled = now === 0;
    next.disabled = now === step.moments.length - 1;
    heading.textContent = `${now + 1} of ${step.moments.length} · ${PHASES[phase]} · ${name}`;
    layer.dataset.phase = phase;
    writeLayer(all);
    writeBar(all, width);
    set(columns, { viewBox: `0 0 ${width} 116` });
    columns.replaceChildren(...history(all, tensors, width, go));
    said.textContent = text;
    const layers = model.get("layers");
    write([
      megabytes(step.totals[now]),
      `${megabytes(step.totals[step.peak])} (moment ${step.peak + 1})`,
      megabytes(step.kept),
      `${megabytes(step.kept * layers)} (${layers} layers)`,
      `${step.restored} times`,
    ]);
    report(root, { live: all.live, totals: step.totals, peak: step.peak, kept: step.kept, restored: step.restored });
  };
  const ends = [
    follow(model, ["moment", "checkpointing", "tokens", "rank"], draw),
    onWidth(stage, (wide) => {
      width = wide;
      draw();
    }),
  ];
  return () => ends.forEach((end) => end());
}

export default { render };
