// Rank as outer products: one column × row after the other, their sum, and what is left.
// `outer_products.py` in labs_lib/lowrank holds the same mathematics, and made the terms.

const KEYS = ["sources", "source", "rank"];
const PANELS = ["term", "sum", "matrix", "left"];
const SIDE = 170; // of a panel's drawing, in units
const STRIP = 14; // how thick a column and a row are drawn beside it
const CHART = { width: 350, height: 150, left: 46, right: 342, top: 24, bottom: 116 };

const unpacked = new WeakMap();

/** Return the terms of a source with their numbers read, each source once. */
function termsOf(model) {
  const packed = model.get("sources")[model.get("source")];
  if (!unpacked.has(packed)) {
    const read = (text) => text.split(" ").map(Number);
    const lists = Object.fromEntries(["columns", "rows", "grid"].map((key) => [key, packed[key].map(read)]));
    unpacked.set(packed, { ...packed, ...lists, spectrum: read(packed.spectrum) });
  }
  return unpacked.get(packed);
}

function figuresOf(terms, rank) {
  const squares = terms.spectrum.map((value) => value * value);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const total = sum(squares);
  const lost = total ? sum(squares.slice(rank)) / total : 0;
  const flat = 1 - terms.mean_kept;
  const [rows, columns] = terms.shape;
  return {
    kept: 1 - lost,
    error: Math.sqrt(lost),
    mean_kept: terms.mean_kept,
    mean_error: Math.sqrt(Math.max(0, flat)),
    over_mean: flat > 1e-9 ? 1 - lost / flat : 1,
    term_numbers: rank * (rows + columns),
    matrix_numbers: rows * columns,
  };
}

/** Return the sum of the terms from `first` up to `last`, drawn rows × drawn columns. */
function sumOf(terms, first, last) {
  const [height, width] = [terms.columns[0].length, terms.rows[0].length];
  const grid = Array.from({ length: height }, () => new Float64Array(width));
  for (let term = first; term < last; term++) {
    const [column, row] = [terms.columns[term], terms.rows[term]];
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) grid[i][j] += column[i] * row[j];
    }
  }
  return grid;
}

function largest(grid) {
  let most = 0;
  for (const row of grid) for (const value of row) most = Math.max(most, Math.abs(value));
  return most || 1;
}

/** Return the three colors of the heat scale as lists of channels, as the page's theme has them. */
function scaleOf(root) {
  const style = getComputedStyle(root);
  return ["negative", "zero", "positive"].map((name) => {
    const text = style.getPropertyValue(`--lab-${name}`).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  });
}

/** Return a grid as a picture to be put into a drawing: grey values, or heat up to ±`limit`. */
function pixels(grid, limit, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [grid[0].length, grid.length];
  const context = canvas.getContext("2d");
  const data = context.createImageData(canvas.width, canvas.height);
  let at = 0;
  for (const row of grid) {
    for (const value of row) {
      const share = Math.min(1, Math.abs(value) / limit);
      const end = scale && scale[value < 0 ? 0 : 2];
      for (let channel = 0; channel < 3; channel++) {
        const low = scale ? scale[1][channel] : 0;
        data.data[at++] = scale ? low + (end[channel] - low) * share : 255 * Math.min(1, Math.max(0, value));
      }
      data.data[at++] = 255;
    }
  }
  context.putImageData(data, 0, 0);
  return canvas.toDataURL();
}

/** Put a grid into a drawing: its numbers where they are few, else pixels. */
function put(group, grid, x, y, width, height, limit, scale) {
  const [rows, columns] = [grid.length, grid[0].length];
  if (rows > 8 || columns > 8) {
    const box = { x, y, width, height, preserveAspectRatio: "none", href: pixels(grid, limit, scale) };
    group.append(svg("image", { ...box, class: "lab-pixels" }));
    return;
  }
  const [wide, high] = [width / columns, height / rows];
  grid.forEach((row, i) =>
    [...row].forEach((value, j) => {
      const box = svg("rect", { x: x + j * wide + 0.5, y: y + i * high + 0.5, width: wide - 1, height: high - 1 });
      box.style.fill = heat(value, limit);
      group.append(box);
      if (Math.min(wide, high) < 20) return;
      const middle = { "text-anchor": "middle" };
      group.append(words(x + (j + 0.5) * wide, y + (i + 0.5) * high + 4, short(value), middle));
    }),
  );
}

/** Keep what does not change while the rank does: the matrix, how it is colored. */
function source(terms) {
  const grid = terms.grid.length ? terms.grid : sumOf(terms, 0, terms.columns.length);
  const [rows, columns] = [grid.length, grid[0].length];
  const unit = SIDE / Math.max(rows, columns);
  return { terms, grid, limit: largest(grid), width: columns * unit, height: rows * unit };
}

/** Draw one panel: a grid, and for a term its column at the left and its row above. */
function panel(view, made, title, grid, scale, strips) {
  const { width, height, limit } = made;
  const gap = STRIP + 4;
  const group = svg("g", {}, words(0, 12, title));
  put(group, grid, gap, 20 + gap, width, height, limit, scale);
  if (strips) {
    const [column, row] = strips;
    const most = largest([column, row]);
    put(group, column.map((value) => [value]), 0, 20 + gap, STRIP, height, most, scale);
    put(group, [row], gap, 20, width, STRIP, most, scale);
  }
  group.append(svg("rect", { x: gap, y: 20 + gap, width, height, class: "lab-edge" }));
  set(view, { viewBox: `0 0 ${SIDE + gap + 2} ${height + gap + 24}` });
  view.replaceChildren(group);
}

/** Return a chart of values by rank, ranks by doublings, with a mark that `move(rank)` moves. */
function chart(title, values, ticks, base) {
  const { width, height, left, right, top, bottom } = CHART;
  const last = values.length - 1;
  const across = (rank) => left + (right - left) * (last ? Math.log2(rank + 1) / Math.log2(last + 1) : 0);
  const [low, high] = [ticks[0][0], ticks[ticks.length - 1][0]];
  const up = (value) => bottom - ((bottom - top) * (Math.max(low, value) - low)) / (high - low || 1);
  const apart = Math.ceil(last / 200);
  const drawn = (rank) => values[rank] !== null && (rank < 40 || rank % apart === 0 || rank === last);
  const shown = values.map((_, rank) => rank).filter(drawn);
  const line = shown.map((rank) => `${across(rank).toFixed(1)},${up(values[rank]).toFixed(1)}`).join(" ");
  const marks = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256].filter((rank) => rank < last && across(rank) < right - 26);
  const end = { "text-anchor": "end", class: "lab-faint" };
  const middle = { "text-anchor": "middle", class: "lab-faint" };
  const mark = svg("line", { y1: top, y2: bottom, class: "lab-mark" });
  const dot = svg("circle", { r: 4, class: "lab-dot" });
  const made = drawing(
    width,
    height,
    title,
    words(left, 12, title),
    svg("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "lab-axis" }),
    ...ticks.map(([value, text]) => words(left - 5, up(value) + 4, text, end)),
    ...[...marks, last].map((rank) => words(across(rank), bottom + 15, String(rank), middle)),
    words(right, height - 3, "terms (by doublings)", end),
  );
  if (base) {
    const y = up(base.value);
    const above = y > top + 16 ? y - 5 : y + 14;
    made.append(svg("path", { d: `M${left} ${y}H${right}`, class: "lab-base-line" }));
    made.append(words(right, above, base.text, { ...end, class: "lab-faint lab-on-line" }));
  }
  made.append(svg("polyline", { points: line, class: "lab-curve" }), mark, dot);
  const move = (rank) => {
    set(mark, { x1: across(rank), x2: across(rank) });
    set(dot, { cx: across(rank), cy: up(values[rank] ?? high), opacity: values[rank] === null ? 0 : 1 });
  };
  return [made, move];
}

function charts(terms) {
  const all = terms.spectrum.map((_, rank) => figuresOf(terms, rank).error).concat(0);
  const base = { value: figuresOf(terms, 0).mean_error, text: "mean value alone" };
  const shares = [0, 0.5, 1].map((value) => [value, String(value)]);
  const errors = chart("relative error by number of terms", all, shares, terms.mean_kept > 0.01 ? base : null);
  const first = terms.spectrum[0] || 1;
  const sizes = terms.spectrum.map((value) => Math.log10(Math.max(value / first, 1e-4)));
  const powers = [[-4, "≤ 10⁻⁴"], [-2, "10⁻²"], [0, "1"]];
  return [errors, chart("size of each term, σ / largest σ (log)", [null, ...sizes], powers)];
}

function render({ model, el }) {
  const { root, controls, stage, notes } = frame(el, "Rank as outer products", "outer-products");
  const names = Object.keys(model.get("sources"));
  const most = () => model.get("sources")[model.get("source")].columns.length;
  const which = choice(model, "source", "matrix", names.map((name) => [name, name]));
  const rank = slider(model, "rank", { label: "terms added", min: 0, max: most() });
  const step = (by) => () => change(model, { rank: Math.min(most(), Math.max(0, model.get("rank") + by)) });
  const [less, more] = [button("− one term", step(-1)), button("+ one term", step(1))];
  controls.append(which, rank, html("div", { class: "lab-buttons" }, less, more));
  const views = PANELS.map((name) => drawing(SIDE, SIDE, name));
  const [figuresTable, write] = table("What the sum keeps", [
    "energy kept, share of ‖M‖²",
    "relative error",
    "the mean value alone keeps",
    "of what the mean leaves, kept",
    "numbers in the terms",
    "numbers in the matrix",
  ]);
  const plots = html("div", { class: "lab-plots" });
  stage.append(html("div", { class: "lab-panels" }, ...views), html("div", { class: "lab-below" }, plots, figuresTable));

  let made, moves;
  let colors = scaleOf(root);
  const draw = () => {
    const terms = termsOf(model);
    const at = Math.min(model.get("rank"), terms.columns.length);
    const redrawn = made?.terms !== terms;
    if (redrawn) {
      made = source(terms);
      const drawn = charts(terms);
      plots.replaceChildren(...drawn.map(([each]) => each));
      moves = drawn.map(([, move]) => move);
      rank.range(0, terms.columns.length);
    }
    for (const move of moves) move(at);
    const figures = figuresOf(terms, at);
    const sum = sumOf(terms, 0, at);
    const left = made.grid.map((row, i) => Array.from(row, (value, j) => value - sum[i][j]));
    const grey = terms.picture ? null : colors;
    const term = Math.max(0, at - 1);
    const titles = [
      at ? `term ${at}: column × row` : "no term yet",
      at ? `the sum of ${at} ${at === 1 ? "term" : "terms"}` : "the sum of none",
      `the matrix, ${terms.shape.join(" × ")}`,
      "what is left",
    ];
    const shown = at ? sumOf(terms, term, at) : sum;
    // A late term is faint next to the matrix: its pixels have a scale of their own.
    const own = terms.step > 1 || terms.picture ? { ...made, limit: largest(shown) } : made;
    panel(views[0], own, titles[0], shown, colors, at ? [terms.columns[term], terms.rows[term]] : null);
    panel(views[1], made, titles[1], sum, grey);
    if (redrawn) panel(views[2], made, titles[2], made.grid, grey);
    panel(views[3], made, titles[3], left, colors);
    views.forEach((view, index) => set(view, { "aria-label": titles[index] }));
    write([
      percent(figures.kept),
      fixed(figures.error, 4),
      figures.mean_kept < 1e-5 ? "< 0.001 %" : percent(figures.mean_kept),
      at ? percent(figures.over_mean) : "–",
      count(figures.term_numbers),
      count(figures.matrix_numbers),
    ]);
    notes.textContent = said(terms, at, figures);
    set(less, { disabled: at === 0 });
    set(more, { disabled: at === terms.columns.length });
    report(root, figures);
  };
  onTheme(() => {
    colors = scaleOf(root);
    made = null;
    draw();
  });
  // A source with fewer terms holds the rank down before anything is drawn.
  model.on("change:source", () => {
    if (model.get("rank") > most()) change(model, { rank: most() });
  });
  return follow(model, KEYS, draw);
}

/** Say in words what the present state shows. */
function said(terms, rank, figures) {
  const parts = [];
  if (figures.term_numbers > figures.matrix_numbers) {
    parts.push("These terms hold more numbers than the matrix.");
  }
  if (rank && figures.error < 1e-6) parts.push("Nothing is left: the matrix has no higher rank.");
  if (terms.picture && rank === 1) {
    parts.push("Most of a picture's energy is its brightness: compare with the mean value alone.");
  }
  if (terms.step > 1) parts.push(`Drawn: one row and one column in ${terms.step}; the figures are of all.`);
  if (terms.step > 1 || terms.picture) parts.push("The term has a scale of its own.");
  return parts.join(" ");
}

export default { render };
