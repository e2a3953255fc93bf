"""llama.cpp itself, as the package xllamacpp brings it: what reads the course's GGUF files."""

from __future__ import annotations

import importlib
import json
import urllib.request
from pathlib import Path
from typing import Any


class LlamaCpp:
    """A GGUF file in llama.cpp; it answers inside this process, on one thread."""

    def __init__(self, file: Path):
        xllamacpp: Any = importlib.import_module("xllamacpp")  # compiled, without types
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx = 512
        params.cpuparams.n_threads = 1
        params.warmup = False
        params.verbosity = -1
        self.server = xllamacpp.Server(params)

    def answer(self, ids: list[int], count: int) -> list[int]:
        """Return the tokens that follow the token numbers `ids` greedily, at most `count`."""
        request = {"prompt": ids, "n_predict": count, "temperature": 0, "return_tokens": True}
        return self._ask("/completion", request)["tokens"]

    def next_shares(self, ids: list[int], count: int = 10) -> dict[int, float]:
        """Return token → natural logarithm of its share, for the `count` likeliest after `ids`."""
        request = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": count}
        (step,) = self._ask("/completion", request)["completion_probabilities"]
        return {each["id"]: each["logprob"] for each in step["top_logprobs"]}

    def chat(self, prompt: str, count: int) -> str:
        """Answer a prompt through the chat template that the file holds."""
        messages = [{"role": "user", "content": prompt}]
        request = {"messages": messages, "max_tokens": count, "temperature": 0}
        return self.server.handle_chat_completions(request)["choices"][0]["message"]["content"]

    def framed(self, messages: list[dict[str, str]]) -> str:
        """Return the text that the file's chat template makes of `messages`."""
        return self._ask("/apply-template", {"messages": messages})["prompt"]

    def tokens(self, text: str) -> list[int]:
        """Split text into token numbers, special tokens read as such."""
        return self._ask("/tokenize", {"content": text, "parse_special": True})["tokens"]

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self.server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
            return json.load(reply)
