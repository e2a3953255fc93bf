// What the loss sees: a row as tokens; which of them the loss counts, under four switches.

const IGNORED = -100;

/** Return what `loss_view` of labs_lib does: labels, what counts, what the cut took away. */
function lossView(row, maskPrompt, endMark, maxLength) {
  const end = row.ids.length - row.end_tokens;
  const whole = endMark === "missing" ? end : row.ids.length;
  const tokens = Math.min(whole, maxLength);
  const labels = row.ids.slice(0, tokens).map((id, at) => {
    const masked = (maskPrompt && at < row.prompt_tokens) || (endMark === "masked" && id === row.end_id);
    return masked ? IGNORED : id;
  });
  const counted = labels.map((label, at) => at > 0 && label !== IGNORED);
  const lost = whole - Math.max(tokens, row.prompt_tokens);
  const terms = counted.filter(Boolean).length;
  return { tokens, labels, counted, lost, learns_end: counted[end] ?? false, terms };
}

function state(model) {
  const row = model.get("rows")[model.get("template") ? "template" : "plain"];
  const endMark = model.get("end_mark");
  const view = lossView(row, model.get("mask_prompt"), endMark, model.get("max_length"));
  const token = Math.min(model.get("token"), row.ids.length - 1);
  return { row, view, token, endMark };
}

/** Return how a token is drawn: counted, read only, or not in the row. */
function look({ view }, at) {
  if (at >= view.tokens) return "gone";
  return view.counted[at] ? "counted" : "read";
}

/** Say what becomes of the token that is looked at. */
function tokenWords({ row, view, token }) {
  const name = `Token ${token + 1}, “${row.texts[token]}”, id ${row.ids[token]}`;
  if (token >= view.tokens) return `${name}: it is not in the row.`;
  const label = view.labels[token] === IGNORED ? "−100" : view.labels[token];
  const before = token === 1 ? "the token before it" : `the ${token} tokens before it`;
  if (view.counted[token]) return `${name}, label ${label}: the loss counts how well it is predicted from ${before}.`;
  if (token === 0) return `${name}, label ${label}: no token comes before it, so it is not predicted.`;
  return `${name}, label ${label}: the model reads it, and the loss does not count its prediction.`;
}

/** Say what this setting teaches, and what it fails to. */
function lessons({ view, endMark }, model) {
  const said = [];
  if (view.terms === 0) return ["The loss counts no token: this row teaches nothing."];
  if (!model.get("mask_prompt")) said.push("The loss counts the question too: the model also learns to write questions.");
  if (!model.get("template")) said.push("Without the template no mark says where the question ends and the answer begins.");
  if (view.lost > 0) said.push(`The cut takes ${view.lost} token${view.lost === 1 ? "" : "s"} of the answer and its end.`);
  if (!view.learns_end) {
    const why = {
      masked: "Padding and end token have one id, and the collator masks that id.",
      missing: "No end token follows the answer.",
      learned: "The end token is cut off.",
    };
    said.push(`${why[endMark]} From this row the model does not learn to stop.`);
  }
  return said.length ? said : ["The loss counts the answer and its end, and nothing else."];
}

function render({ model, el }) {
  const title = "What the loss sees of a training row";
  const { root, controls, stage, notes } = frame(el, title, "loss-tokens");
  const longest = Math.max(...Object.values(model.get("rows")).map((row) => row.ids.length));
  controls.append(
    tick(model, "mask_prompt", "mask the prompt"),
    tick(model, "template", "chat template"),
    choice(model, "end_mark", "End token", [
      ["learned", "counted"],
      ["masked", "masked"],
      ["missing", "missing"],
    ]),
    slider(model, "max_length", { label: "max_length", min: 1, max: longest }),
  );
  const key = html(
    "p", { class: "key" },
    html("span", { class: "token counted" }, "counted"), " in the loss  ",
    html("span", { class: "token read" }, "read"), " only  ",
    html("span", { class: "token gone" }, "gone"), " not in the row",
  );
  const id = `lab-${PAGE_KEY}-token`;
  const list = html("div", { class: "tokens", role: "listbox", tabindex: 0, "aria-label": "Tokens of the row" });
  const said = html("p", { class: "about" });
  const [figures, write] = table("The row", ["Tokens", "Terms of the loss", "End token"]);
  stage.append(key, list, said, figures);

  let boxes = [], shownRow = null;
  const build = (row) => {
    boxes = row.texts.map((text, at) =>
      html("span", { role: "option", id: `${id}-${at}`, onclick: () => change(model, { token: at }) }, text),
    );
    list.replaceChildren(...boxes.flatMap((box) => [box, " "]));
    shownRow = row;
  };
  list.addEventListener("keydown", (event) => {
    const last = boxes.length - 1, { token } = state(model);
    const to = { ArrowLeft: token - 1, ArrowRight: token + 1, ArrowUp: token - 1, ArrowDown: token + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    change(model, { token: Math.max(0, Math.min(last, to)) });
  });

  const draw = () => {
    const now = state(model);
    if (shownRow !== now.row) build(now.row);
    const masked = now.row.prompt_tokens;
    boxes.forEach((box, at) => {
      const kind = look(now, at);
      const role = at < masked ? "prompt" : "answer";
      const context = at < now.token && now.token < now.view.tokens ? " context" : "";
      box.className = `token ${kind} ${role}${context}`;
      set(box, { "aria-selected": String(at === now.token), "aria-label": `${box.textContent}, ${kind}` });
    });
    set(list, { "aria-activedescendant": `${id}-${now.token}` });
    said.textContent = tokenWords(now);
    const { view } = now;
    const whole = now.row.ids.length;
    write([
      view.tokens === whole ? String(whole) : `${view.tokens} of ${whole}`,
      `${view.terms}${view.tokens ? ` (${percent(view.terms / view.tokens)} of the tokens)` : ""}`,
      view.learns_end ? "counted" : "not counted",
    ]);
    notes.replaceChildren(...lessons(now, model).map((text) => html("p", {}, text)));
    report(root, view);
  };
  return follow(model, ["template", "mask_prompt", "end_mark", "max_length", "token", "rows"], draw);
}

export default { render };
