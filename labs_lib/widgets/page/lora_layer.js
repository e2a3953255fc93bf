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

/** Return a number in at most four characters: ".35", "−.35", "1.2", "2". */
function short(value) {
  const size = Math.abs(value);
  const text = String(Number(size.toFixed(size >= 0.995 ? 1 : 2))).replace(/^0\./, ".");
  return text !== "0" && value < 0 ? `−${text}` : text;
}

/** Return a matrix, cell by cell, with a border that says whose it is. */
function block(matrix, x, y, owner) {
  const { width, height } = CELL;
  const cells = matrix.flatMap((row, i) =>
    row.flatMap((value, j) => {
      const [left, top] = [x + j * width, y + i * height];
      const box = svg("rect", { x: left + 0.5, y: top + 0.5, width: width - 1, height: height - 1 });
      const share = Math.round(60 * Math.min(1, Math.abs(value)));
      box.style.fill =
        owner.startsWith("base")
          ? `color-mix(in srgb, var(--lab-base) ${share}%, var(--lab-zero))`
          : heat(value, 1);
      return [box, words(left + width / 2, top + 14, short(value), { "text-anchor": "middle" })];
    }),
  );
  const [wide, high] = [matrix[0].length * width, matrix.length * height];
  const border = { x, y, width: wide, height: high, rx: 2, class: `lab-border-${owner}` };
  return svg("g", {}, ...cells, svg("rect", border));
}

function path(d, quiet = false) {
  return svg("path", { d, class: quiet ? "lab-wire lab-quiet" : "lab-wire" });
}

/** Return the drawing's parts: two paths from x to y, or one where the adapter is merged. */
function parts(model, figures) {
  const [layer, rank, merged, on] = ["layer", "rank", "merged", "on"].map((key) => model.get(key));
  const quiet = merged || !on;
  const [left, middle] = [LEFT + WIDE / 2, MIDDLE + WIDE / 2];
  const narrow = RIGHT + (rank * CELL.width) / 2; // the middle of what is r wide
  const last = RIGHT + WIDE - CELL.width / 2; // clear of the words over A
  const bottomA = 66 + rank * CELL.height;
  const besides = { "text-anchor": "end" };
  const scaled = rank < 3 ? [narrow + 8, {}] : [narrow - 8, besides];
  const adapter = svg(
    "g",
    { class: quiet ? "lab-faded" : "" },
    path(`M${middle} 28V36H${last}V66`, quiet),
    path(`M${narrow} ${bottomA}V206`, quiet),
    path(`M${narrow} 226V244`, quiet),
    path(`M${narrow} 364V390`, quiet),
    path(`M${last} 410V420H${middle}V434`, quiet),
    words(RIGHT, 60, `A, ${rank} × 6, trained`),
    block(figures.A, RIGHT, 66, "adapter"),
    words(RIGHT - 7, 220, "A·x", besides),
    block([figures.hidden], RIGHT, 206, "none"),
    words(RIGHT - 7, 258, `B, 6 × ${rank},`, besides),
    words(RIGHT - 7, 273, "trained", besides),
    block(figures.B, RIGHT, 244, "adapter"),
    words(scaled[0], 382, `${short(figures.scaling)} × B·A·x`, scaled[1]),
    block([figures.update], RIGHT, 390, "none"),
  );
  return [
    path(`M${middle} 28V36H${left}V66`),
    path(`M${left} 186V390`),
    path(`M${left} 410V420H${middle}V434`),
    words(LEFT, 60, merged ? "W + α/r·B·A" : "W, frozen"),
    block(figures.weight, LEFT, 66, merged ? "base lab-border-adapter" : "base"),
    words(LEFT, 384, merged ? "all of y" : "W·x"),
    block([figures.through_weight], LEFT, 390, "none"),
    adapter,
    words(MIDDLE - 8, 22, "x", besides),
    block([layer.inputs[0]], MIDDLE, 8, "input"),
    words(MIDDLE - 8, 448, "y", besides),
    block([figures.y], MIDDLE, 434, "output"),
    words(MIDDLE - 8, 474, "wanted", { ...besides, class: "lab-faint" }),
    block([layer.wanted[0]], MIDDLE, 460, "none"),
  ];
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
  const picture = drawing(360, 484, "");
  const side = html("div", { class: "lab-side" }, notes, counts, training);
  stage.append(picture, side);
  const draw = () => {
    const figures = figuresOf(model);
    const [merged, on, steps] = ["merged", "on", "steps"].map((key) => model.get(key));
    picture.replaceChildren(...parts(model, figures));
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
