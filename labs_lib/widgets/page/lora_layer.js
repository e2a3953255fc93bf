// The LoRA layer. Vectors lie on their side, so that the layer fits a phone: x above, y below, W at
// the left and A, then B at the right. `small_layer.py` holds the same mathematics.

const CELL = { width: 27, height: 20 };
const LEFT = 4;
const RIGHT = 194;
const MIDDLE = (LEFT + RIGHT) / 2;
const WIDE = 6 * CELL.width;
const MOST_STEPS = 60;
const KEYS = ["layer", "rank", "steps", "merged", "on", "width"];

function dot(a, b) {
  return a.reduce((sum, value, at) => sum + value * b[at], 0);
}

function times(matrix, vector) {
  return matrix.map((row) => dot(row, vector));
}

function plus(a, b, factor = 1) {
  return a.map((row, i) => row.map((value, j) => value + factor * b[i][j]));
}

function transposed(matrix) {
  return matrix[0].map((_, column) => matrix.map((row) => row[column]));
}

/** Return a · b of two matrices. */
function product(a, b) {
  const columns = transposed(b);
  return a.map((row) => times(columns, row));
}

function norm(matrix) {
  return Math.hypot(...matrix.flat());
}

/** Return y − wanted of every example, one a row, with a change of the weight. */
function missed(layer, change) {
  return plus(product(layer.inputs, transposed(plus(layer.weight, change))), layer.wanted, -1);
}

/** Return ∂L/∂A and ∂L/∂B for the mean over the examples of ½‖y − wanted‖². */
function gradients(layer, A, B) {
  const scaling = layer.alpha / A.length;
  const change = product(B, A).map((row) => row.map((value) => scaling * value));
  const part = scaling / layer.inputs.length;
  const scaled = transposed(missed(layer, change)).map((row) => row.map((value) => part * value));
  const hidden = product(layer.inputs, transposed(A));
  return [product(product(transposed(B), scaled), layer.inputs), product(scaled, hidden)];
}

function trained(layer, rank, steps) {
  let A = layer.start_a.slice(0, rank);
  let B = layer.weight.map(() => Array(rank).fill(0));
  for (let step = 0; step < steps; step++) {
    const [slopeA, slopeB] = gradients(layer, A, B);
    [A, B] = [plus(A, slopeA, -layer.rate), plus(B, slopeB, -layer.rate)];
  }
  return [A, B];
}

function figuresOf(model) {
  const [layer, rank, steps, merged, on, width] = KEYS.map((key) => model.get(key));
  const [A, B] = trained(layer, rank, steps);
  const scaling = layer.alpha / rank;
  const change = product(B, A).map((row) => row.map((value) => (on ? scaling * value : 0)));
  const weight = merged ? plus(layer.weight, change) : layer.weight;
  const x = layer.inputs[0];
  const through = times(weight, x);
  const update = times(change, x).map((value) => (merged ? 0 : value));
  const y = through.map((value, at) => value + update[at]);
  const [slopeA, slopeB] = gradients(layer, A, B);
  return {
    scaling,
    A,
    B,
    weight,
    hidden: times(A, x),
    through_weight: through,
    update,
    y,
    loss: norm(missed(layer, change)) ** 2 / (2 * layer.inputs.length),
    gradient_A: norm(slopeA),
    gradient_B: norm(slopeB),
    frozen: layer.weight.length * layer.weight[0].length,
    trained: rank * (layer.weight.length + layer.weight[0].length),
    wide_frozen: width ** 2,
    wide_trained: 2 * width * rank,
  };
}

/** Put a block of rows × columns at (x, y); return what writes a matrix of at most that size into it. */
function block(parent, rows, columns, x, y, owner) {
  const { width, height } = CELL;
  const border = svg("rect", { x, y, rx: 2, class: `lab-border-${owner}` });
  const cells = Array.from({ length: rows * columns }, (_, at) => {
    const [left, top] = [x + (at % columns) * width, y + Math.floor(at / columns) * height];
    const box = svg("rect", { x: left + 0.5, y: top + 0.5, width: width - 1, height: height - 1 });
    const text = words(left + width / 2, top + 14, "", { "text-anchor": "middle" });
    return { group: svg("g", {}, box, text), box, text, value: null };
  });
  parent.append(...cells.map((cell) => cell.group), border);
  return (matrix, merged = false) => {
    set(border, { width: matrix[0].length * width, height: matrix.length * height });
    if (owner === "base") border.classList.toggle("lab-border-adapter", merged);
    cells.forEach((cell, at) => {
      const value = matrix[Math.floor(at / columns)]?.[at % columns];
      if (value === cell.value) return;
      cell.value = value;
      set(cell.group, { display: value === undefined ? "none" : false });
      if (value === undefined) return;
      cell.text.textContent = short(value);
      cell.box.style.fill = owner === "base" ? shade(value) : heat(value, 1);
    });
  };
}

function shade(value) {
  const share = Math.round(60 * Math.min(1, Math.abs(value)));
  return `color-mix(in srgb, var(--lab-base) ${share}%, var(--lab-zero))`;
}

/** Return the drawing, two paths from x to y, and what writes the present state into it. */
function layerDrawing() {
  const picture = drawing(360, 484, "");
  const adapter = svg("g");
  const [left, middle] = [LEFT + WIDE / 2, MIDDLE + WIDE / 2];
  const last = RIGHT + WIDE - CELL.width / 2; // clear of the words over A
  const besides = { "text-anchor": "end" };
  const wire = (parent, d) => parent.appendChild(svg("path", { d, class: "lab-wire" }));
  const say = (parent, ...place) => parent.appendChild(words(...place));
  wire(picture, `M${middle} 28V36H${left}V66M${left} 186V390M${left} 410V420H${middle}V434`);
  wire(adapter, `M${middle} 28V36H${last}V66M${last} 410V420H${middle}V434`);
  const through = wire(adapter, "");
  const labels = {
    weight: say(picture, LEFT, 60, ""),
    result: say(picture, LEFT, 384, ""),
    A: say(adapter, RIGHT, 60, ""),
    B: say(adapter, RIGHT - 7, 258, "", besides),
    scaled: say(adapter, RIGHT, 382, ""),
  };
  say(adapter, RIGHT - 7, 220, "A·x", besides);
  say(adapter, RIGHT - 7, 273, "trained", besides);
  say(picture, MIDDLE - 8, 22, "x", besides);
  say(picture, MIDDLE - 8, 448, "y", besides);
  say(picture, MIDDLE - 8, 474, "wanted", { ...besides, class: "lab-faint" });
  const write = {
    weight: block(picture, 6, 6, LEFT, 66, "base"),
    through: block(picture, 1, 6, LEFT, 390, "none"),
    A: block(adapter, 6, 6, RIGHT, 66, "adapter"),
    hidden: block(adapter, 1, 6, RIGHT, 206, "none"),
    B: block(adapter, 6, 6, RIGHT, 244, "adapter"),
    update: block(adapter, 1, 6, RIGHT, 390, "none"),
    x: block(picture, 1, 6, MIDDLE, 8, "input"),
    y: block(picture, 1, 6, MIDDLE, 434, "output"),
    wanted: block(picture, 1, 6, MIDDLE, 460, "none"),
  };
  picture.append(adapter);
  const draw = (model, figures) => {
    const [layer, rank, merged, on] = ["layer", "rank", "merged", "on"].map((key) => model.get(key));
    set(adapter, { class: merged || !on ? "lab-faded" : "" });
    const narrow = RIGHT + (rank * CELL.width) / 2; // the middle of what is r wide
    const down = [[66 + rank * CELL.height, 206], [226, 244], [364, 390]];
    set(through, { d: down.map(([from, to]) => `M${narrow} ${from}V${to}`).join("") });
    labels.weight.textContent = merged ? "W + α/r·B·A" : "W, frozen";
    labels.result.textContent = merged ? "all of y" : "W·x";
    labels.A.textContent = `A, ${rank} × 6, trained`;
    labels.B.textContent = `B, 6 × ${rank},`;
    labels.scaled.textContent = `${short(figures.scaling)} × B·A·x`;
    const right = rank < 3;
    set(labels.scaled, { x: narrow + (right ? 8 : -8), "text-anchor": right ? "start" : "end" });
    write.weight(figures.weight, merged);
    write.through([figures.through_weight]);
    write.A(figures.A);
    write.hidden([figures.hidden]);
    write.B(figures.B);
    write.update([figures.update]);
    write.x(layer.inputs.slice(0, 1));
    write.y([figures.y]);
    write.wanted(layer.wanted.slice(0, 1));
  };
  return [picture, draw];
}

/** Say in words what the present state shows. */
function said(model, figures) {
  const [rank, steps, merged, on] = ["rank", "steps", "merged", "on"].map((key) => model.get(key));
  if (merged) {
    return "Merged: one matrix gives the same y, at no extra cost, and can no longer be switched off.";
  }
  if (!on) return "Switched off: y is W·x again, to the last digit. A and B keep their numbers.";
  if (steps === 0) {
    return "B is 0, so y is W·x: the layer answers as the base does. Only B has a gradient: B is a factor of A's.";
  }
  if (steps === 1) return "The first step changed B alone. Now that B is not 0, A has a gradient too.";
  const wider = rank >= 3 ? " At this rank A and B hold as many numbers as W, or more." : "";
  return `${steps} steps have changed A and B; W is as it was.${wider}`;
}

function render({ model, el }) {
  const { root, controls, stage, notes } = frame(el, "The LoRA layer", "lora-layer");
  const start = button("start (B = 0)", () => change(model, { steps: 0, merged: false, on: true }));
  const step = button("one step", () => change(model, { steps: model.get("steps") + 1 }));
  const more = button("ten steps", () => change(model, { steps: Math.min(MOST_STEPS, model.get("steps") + 10) }));
  const merge = button("merge", () => change(model, { merged: !model.get("merged") }));
  const off = button("switch off", () => change(model, { on: !model.get("on") }));
  const rank = slider(model, "rank", { label: "rank r", min: 1, max: 6 });
  controls.append(rank, html("div", { class: "lab-buttons" }, start, step, more, merge, off));
  const [counts, writeCounts] = table(
    "Numbers in the layer",
    ["W, frozen", "A and B, trained", "trained, of W"],
    ["6 × 6", `${model.get("width")} × ${model.get("width")}`],
  );
  const [training, writeTraining] = table("Training", [
    "scaling α/r",
    "steps",
    "loss, mean of ½‖y − wanted‖²",
    "gradient of A, size",
    "gradient of B, size",
  ]);
  const [picture, drawLayer] = layerDrawing();
  const side = html("div", { class: "lab-side" }, notes, counts, training);
  stage.append(picture, side);
  const draw = () => {
    const figures = figuresOf(model);
    const [merged, on, steps] = ["merged", "on", "steps"].map((key) => model.get(key));
    drawLayer(model, figures);
    const text = said(model, figures);
    set(picture, { "aria-label": `x passes W and, in parallel, A and B of rank ${model.get("rank")}. ${text}` });
    notes.textContent = text;
    writeCounts([
      [count(figures.frozen), count(figures.wide_frozen)],
      [count(figures.trained), count(figures.wide_trained)],
      [percent(figures.trained / figures.frozen), percent(figures.wide_trained / figures.wide_frozen)],
    ]);
    const gone = merged || !on;
    writeTraining([
      `${model.get("layer").alpha}/${model.get("rank")} = ${Number(figures.scaling.toFixed(2))}`,
      String(steps),
      fixed(figures.loss, 3),
      gone ? "–" : fixed(figures.gradient_A, 3),
      gone ? "–" : fixed(figures.gradient_B, 3),
    ]);
    for (const each of [step, more]) set(each, { disabled: merged || !on || steps >= MOST_STEPS });
    set(merge, { disabled: !on });
    set(off, { disabled: merged });
    pressed(merge, merged);
    pressed(off, !on);
    report(root, figures);
  };
  return follow(model, KEYS, draw);
}

export default { render };
