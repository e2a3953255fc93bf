"""What a training step costs here, beside three other ways to take the same step.

    python benchmarks/training.py [--steps N] [--methods lora,qlora,full] [--json results.json]

Four contenders train on the same rows in the same order, from the same weights, with the same
optimiser, learning rate and number of steps:

- trl: TRL's `SFTTrainer` with its defaults, in fp32 where the CPU has no bf16 instructions
- plain: transformers' `Trainer` on a model that PEFT wrapped, rows padded, every logit computed
- loop: forward, backward, clip, step, written by hand over the same batches
- ours: the trainer of `labs_lib.training`

Each lives in a process of its own, and they take turns step by step, so that a machine that slows
down slows all of them. The first step warms up and is not counted; the last runs under a counter
of live tensor bytes and is not timed. Then each tells its loss on the same held-out rows: the same
training must give the same loss.

The share of the matrix rate is the products that a step needs, over its seconds, over the rate of
a 2,048 × 2,048 product measured between the steps, in the precision that the course trains in.
A step needs 2 operations a weight and token forward, 2 backward, 2 more where the weight learns;
the vocabulary's projection only where a token is predicted; padding and attention's own products
are not counted. A second share counts the tokens that the layers were given: padding too, and a
beginning that rows share once, where it was computed once. The exit status is 0 whatever the
figures.

Takes about 25 minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from record import write_record

CONTENDERS = ("trl", "plain", "loop", "ours")
METHODS = ("lora", "qlora", "full")
LENGTHS = {"short": 0, "long": 3}
"""Solved examples put before each request: a row of some 65 tokens, and one of some 185."""

BATCH_SIZE = 4
HELD_OUT_ROWS = 16
MARK = "@bench "
LEARNING_RATE = {"lora": 1e-3, "qlora": 1e-3, "full": 1e-4}


# --- the parent: starts the contenders and lets them step in turns


def main() -> None:
    """Run every cell of the table and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each contender")
    parser.add_argument("--methods", default=",".join(METHODS), help="which of lora,qlora,full")
    parser.add_argument("--lengths", default=",".join(LENGTHS), help="which of short,long")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    methods, lengths = arguments.methods.split(","), arguments.lengths.split(",")
    for option, chosen, legal in (("methods", methods, METHODS), ("lengths", lengths, LENGTHS)):
        if unknown := [name for name in chosen if name not in legal]:
            parser.error(f"--{option}: {unknown[0]!r} is none of {', '.join(legal)}")
    if arguments.steps < 1:
        parser.error(f"--steps: {arguments.steps} is not legal; 1 or more")
    if arguments.contender:
        contend(arguments.contender, methods[0], lengths[0], arguments.steps + 2)
        return

    from labs_lib import hardware

    precision = hardware.detect().precision
    rows = []
    for method in methods:
        for length in lengths:
            print(f"{method}, {length} rows …", file=sys.stderr, flush=True)
            cell = measured_cell(method, length, arguments.steps, precision)
            rows += cell
            print(table(cell), flush=True)
    if arguments.json:
        write_record(arguments.json, steps=arguments.steps, rows=rows)


def measured_cell(method: str, length: str, steps: int, precision: str) -> list[dict[str, Any]]:
    """Return a row for each contender, all of them having stepped in turns."""
    command = [sys.executable, __file__, "--methods", method, "--lengths", length]
    command += ["--steps", str(steps), "--contender"]
    workers = {name: Worker([*command, name]) for name in CONTENDERS}
    ready = {name: worker.hear() for name, worker in workers.items()}
    told: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    rates = [matrix_rate(precision)]
    for step in range(steps + 2):
        turn = CONTENDERS[step % len(CONTENDERS) :] + CONTENDERS[: step % len(CONTENDERS)]
        for name in turn:
            told[name].append(workers[name].ask())
        rates.append(matrix_rate(precision))
    ends = {name: worker.ask() for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    rate = statistics.median(rates)
    rows = []
    for name in CONTENDERS:
        timed = told[name][1:-1]
        seconds = [each["seconds"] for each in timed]
        needed, given = (
            sum(
                each[counted] * ready[name]["operations_per_token"]
                + each["labels"] * ready[name]["operations_per_label"]
                for each in timed
            )
            for counted in ("tokens", "tokens_given")
        )
        rows.append(
            {
                "method": method,
                "length": length,
                "contender": name,
                "seconds_per_step": statistics.median(seconds),
                "seconds_least": min(seconds),
                "seconds_most": max(seconds),
                "tokens_per_second": sum(each["tokens"] for each in timed) / sum(seconds),
                "matrix_share": needed / sum(seconds) / rate,
                "given_share": given / sum(seconds) / rate,
                "matrix_gflops": rate / 1e9,
                "peak_bytes": ends[name]["peak_bytes"],
                "held_out_loss": ends[name]["held_out_loss"],
            }
        )
    base = rows[0]
    for row in rows:
        row["times_trl"] = row["tokens_per_second"] / base["tokens_per_second"]
        row["loss_against_trl"] = row["held_out_loss"] / base["held_out_loss"] - 1
    return rows


def matrix_rate(precision: str, size: int = 2048, repeats: int = 5) -> float:
    """Return the floating-point operations a second of a square matrix product, at its best."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


class Worker:
    """A contender's process: it takes a step when asked to and tells what that cost."""

    def __init__(self, command: Sequence[str]):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> dict[str, float]:
        """Return what the contender says next; the program ends where it says nothing more."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        assert self._process.stderr
        raise SystemExit(f"a contender ended early:\n{self._process.stderr.read()[-3000:]}")

    def ask(self) -> dict[str, float]:
        """Let the contender go on, and return what it says then."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """Wait until the process has ended."""
        self._process.communicate()


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = [
        f"{'method':7}{'rows':6}{'way':6}{'s/step':>7}{'(range)':>14}{'tokens/s':>10}"
        f"{'x TRL':>7}{'of matrix rate':>16}{'as given':>10}{'peak MiB':>10}"
        f"{'held-out loss':>15}{'to TRL':>9}"
    ]
    for row in rows:
        spread = f"{row['seconds_least']:.2f}-{row['seconds_most']:.2f}"
        lines.append(
            f"{row['method']:7}{row['length']:6}{row['contender']:6}"
            f"{row['seconds_per_step']:7.2f}{spread:>14}{row['tokens_per_second']:10.0f}"
            f"{row['times_trl']:7.2f}{row['matrix_share']:16.0%}{row['given_share']:10.0%}"
            f"{row['peak_bytes'] / 2**20:10.0f}"
            f"{row['held_out_loss']:15.4f}{row['loss_against_trl']:+9.2%}"
        )
    return "\n".join([*lines, f"matrix rate {rows[0]['matrix_gflops']:.0f} GFLOP/s", ""])


# --- a contender: its own process


def contend(name: str, method: str, length: str, steps: int) -> None:
    """Build one contender and step when told to."""
    from labs_lib.training.engine.quiet import quiet_libraries

    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        model, take_steps, data = BUILD[name](method, length, steps, folder)
        say(operations(model, method))
        clock = Clock(steps, model, data)
        take_steps(clock)
        wait()
        say({"peak_bytes": clock.peak_bytes, "held_out_loss": held_out_loss(model, length)})


def say(values: dict[str, float]) -> None:
    """Tell the parent."""
    print(MARK + json.dumps(values), flush=True)


def wait() -> None:
    """Return once the parent says go."""
    if not sys.stdin.readline():
        raise SystemExit(1)


class Clock:
    """Waits for the parent before each step, times it, and counts the last one's live bytes."""

    def __init__(self, steps: int, model: Any, batches: list[tuple[int, int]]):
        self._steps, self._model, self._batches = steps, model, batches
        self._step, self._started, self._counter = 0, 0.0, None
        self._before = self._tokens_given = 0
        self.peak_bytes = 0
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        inner.get_input_embeddings().register_forward_pre_hook(self._count)

    def _count(self, embedding: Any, inputs: tuple[Any, ...]) -> None:
        self._tokens_given += inputs[0].numel()

    def begin(self) -> None:
        """Start a step."""
        from labs_lib.training.engine.measure import LiveBytes, resident_bytes

        wait()
        if self._step == self._steps - 1:
            self._before = resident_bytes(self._model)
            self._counter = LiveBytes()
            self._counter.__enter__()
        self._tokens_given = 0
        self._started = time.perf_counter()

    def end(self, optimizer: Any) -> None:
        """End a step and tell its seconds and tokens."""
        from labs_lib.training.engine.measure import optimizer_bytes

        seconds = time.perf_counter() - self._started
        if self._counter:
            self._counter.__exit__(None, None, None)
            self.peak_bytes = self._before + self._counter.peak_bytes + optimizer_bytes(optimizer)
        tokens, labels = self._batches[self._step]
        self._step += 1
        given = self._tokens_given
        say({"seconds": seconds, "tokens": tokens, "labels": labels, "tokens_given": given})


def rows_of(length: str, split: str, count: int) -> list[Any]:
    """Return rows of structured output, each after as many solved examples as `length` says."""
    from labs_lib.data import Row, load_set

    rows = load_set("structured-output").split(split)
    shots = LENGTHS[length]
    made = []
    for index in range(count):
        *examples, row = (rows[(index * (shots + 1) + k) % len(rows)] for k in range(shots + 1))
        shown = [f"{each.prompt}\n{each.completion}" for each in examples]
        made.append(Row("\n\n".join([*shown, row.prompt]), row.completion, system=row.system))
    return made


def encoded(rows: Sequence[Any], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Return token numbers and labels as TRL makes them: the answer alone is learnt."""
    made = []
    for row in rows:
        prompt = tokenizer.apply_chat_template(
            row.prompt_messages(), add_generation_prompt=True, return_dict=True
        )["input_ids"]
        whole = tokenizer.apply_chat_template(row.messages(), return_dict=True)["input_ids"]
        labels = [-100] * len(prompt) + whole[len(prompt) :]
        made.append({"input_ids": whole, "labels": labels})
    return made


def loaded(method: str) -> tuple[Any, Any]:
    """Return the bundled model, its base in fp32 or in NF4, and its tokenizer."""
    import torch

    from labs_lib import models
    from labs_lib.quantization import qlora_config

    quantization = qlora_config(compute_dtype="fp32") if method == "qlora" else None
    return models.load(dtype=torch.float32, quantization=quantization)


def recipe_of(method: str, steps: int) -> Any:
    """Return the recipe that the contenders share."""
    from labs_lib.training import Recipe

    return Recipe.of(
        name="bench",
        dataset="structured-output",
        method=method,
        rank=16,
        alpha=32,
        learning_rate=LEARNING_RATE[method],
        schedule="constant",
        warmup_steps=0,
        steps=steps,
        batch_size=BATCH_SIZE,
        max_length=512,
    )


def adapter_config(model: Any, recipe: Any) -> Any:
    """Return PEFT's configuration of the recipe's adapter."""
    from labs_lib import models
    from labs_lib.training.engine.trainer import lora_config

    return lora_config(recipe, models.resolve_targets(model, recipe.target_modules))


def same_factors(model: Any) -> None:
    """Give the adapter the same first factors in every process, in fp32."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for name, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
        if "lora_A" in name:
            bound = parameter.shape[1] ** -0.5
            parameter.data = torch.empty_like(parameter, dtype=torch.float32).uniform_(
                -bound, bound, generator=generator
            )
        elif "lora_B" in name:
            parameter.data = torch.zeros_like(parameter, dtype=torch.float32)


def batches_of(rows: Sequence[dict[str, list[int]]]) -> list[tuple[int, int]]:
    """Return each step's tokens and predicted tokens, padding left out."""
    steps = [rows[at : at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE)]
    return [
        (
            sum(len(row["input_ids"]) for row in step),
            sum(label != -100 for row in step for label in row["labels"]),
        )
        for step in steps
    ]


def with_clock(trainer: Any) -> Callable[[Clock], None]:
    """Return what runs a `Trainer` to its end, each step when the parent says so."""
    from transformers import TrainerCallback

    class Turns(TrainerCallback):
        def __init__(self, clock: Clock):
            self._clock = clock

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self._clock.begin()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self._clock.end(trainer.optimizer)

    def run(clock: Clock) -> None:
        trainer.add_callback(Turns(clock))
        trainer.train()

    return run


def build_trl(method: str, length: str, steps: int, folder: str) -> Any:
    """TRL's trainer as its documentation shows it."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from labs_lib import data, hardware

    model, tokenizer = loaded(method)
    rows = rows_of(length, "train", steps * BATCH_SIZE)
    recipe = recipe_of(method, steps)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=folder,
            use_cpu=True,
            # Its default is bf16 everywhere: on a CPU without bf16 instructions a step takes 50 s.
            bf16=hardware.detect().precision == "bf16",
            max_steps=steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",  # the same rows at the same step for everyone
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=data.to_hf(rows),
        processing_class=tokenizer,
        peft_config=None if method == "full" else adapter_config(model, recipe),
    )
    same_factors(trainer.model)
    return trainer.model, with_clock(trainer), batches_of(encoded(rows, tokenizer))


def build_plain(method: str, length: str, steps: int, folder: str) -> Any:
    """Transformers' trainer on PEFT's model, with its own collator and loss."""
    import datasets
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model, tokenizer, rows, recipe = wrapped(method, length, steps)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            max_steps=steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    return model, with_clock(trainer), batches_of(rows)


def build_loop(method: str, length: str, steps: int, folder: str) -> Any:
    """The loop that a textbook writes."""
    import torch
    from transformers import DataCollatorForSeq2Seq

    model, tokenizer, rows, recipe = wrapped(method, length, steps)
    padded = DataCollatorForSeq2Seq(tokenizer)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=recipe.learning_rate, weight_decay=0.0)

    def run(clock: Clock) -> None:
        model.train()
        for at in range(0, len(rows), BATCH_SIZE):
            clock.begin()
            batch = padded(rows[at : at + BATCH_SIZE])
            loss = model(**batch, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            clock.end(optimizer)

    return model, run, batches_of(rows)


def build_ours(method: str, length: str, steps: int, folder: str) -> Any:
    """The course's trainer, as `labs_lib.training.train` builds it."""
    from labs_lib import hardware
    from labs_lib.training.engine.building import build_trainer

    recipe = recipe_of(method, steps)
    rows = rows_of(length, "train", steps * BATCH_SIZE)
    model, tokenizer, trainer = build_trainer(
        recipe, rows, (), hardware.detect(), hardware.detect().precision, Path(folder)
    )
    trainer.measure_no_step()
    same_factors(model)
    return model, with_clock(trainer), batches_of(encoded(rows, tokenizer))


BUILD = {"trl": build_trl, "plain": build_plain, "loop": build_loop, "ours": build_ours}


def wrapped(method: str, length: str, steps: int) -> Any:
    """Return model, tokenizer, encoded rows and recipe for the two ways without TRL."""
    from peft import get_peft_model, prepare_model_for_kbit_training

    model, tokenizer = loaded(method)
    recipe = recipe_of(method, steps)
    if method == "qlora":
        model = prepare_model_for_kbit_training(model)
    if method != "full":
        model = get_peft_model(model, adapter_config(model, recipe))
        same_factors(model)
    rows = encoded(rows_of(length, "train", steps * BATCH_SIZE), tokenizer)
    return model, tokenizer, rows, recipe


def operations(model: Any, method: str) -> dict[str, float]:
    """Return the matrix operations that a step needs for each token and each predicted token."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = inner.config
    head = config.vocab_size * config.hidden_size
    adapter = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    weights = inner.num_parameters() - head - adapter
    passes = 6 if method == "full" else 4
    return {
        "operations_per_token": passes * weights + 6 * adapter,
        "operations_per_label": passes * head,
    }


def held_out_loss(model: Any, length: str) -> float:
    """Return the mean loss of a predicted token on held-out rows, by the plainest code."""
    import torch

    from labs_lib import models

    tokenizer = models.load_tokenizer()
    rows = encoded(rows_of(length, "validation", HELD_OUT_ROWS), tokenizer)
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            logits = model(torch.tensor([row["input_ids"]]), use_cache=False).logits[0, :-1].float()
            labels = torch.tensor(row["labels"][1:])
            total += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
            count += int((labels != -100).sum())
    return total / count


if __name__ == "__main__":
    main()
