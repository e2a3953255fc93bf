"""The OpenAI-style endpoint: transformers' own chat handler over models that are loaded already."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.utils import GenerationState, Modality

from labs_lib.errors import LabError, choice_error

if TYPE_CHECKING:
    from labs_lib.export.resident import Named

MOST_MESSAGES = 1000


class Resident:
    """What transformers' handler asks for a model: only those that were loaded before it."""

    force_model = None

    def __init__(self, models: Mapping[str, Named], tokenizer: Any):
        self.models, self.tokenizer = models, tokenizer

    def process_model_name(self, name: str) -> str:
        """Return the name as it is: there are no revisions."""
        return name

    def load_model_and_processor(self, name: str, gguf_file: str | None = None) -> tuple[Any, Any]:
        """Return the model of this name and the tokenizer; 404 for a name that is not served."""
        if gguf_file is not None:
            name = f"{name}:{gguf_file}"
        if name not in self.models:
            raise HTTPException(404, str(choice_error("model", name, self.models)))
        return self.models[name], self.tokenizer

    def get_model_modality(self, model: Any, processor: Any = None) -> Modality:
        """Return that the model reads and writes text."""
        del model, processor  # nothing else is served
        return Modality.LLM


class Chat(ChatCompletionHandler):
    """transformers' handler, greedy unless a request names a temperature above 0."""

    def _build_generation_config(
        self, body: dict[str, Any], model_generation_config: Any, use_cb: bool = False
    ) -> Any:
        config = super()._build_generation_config(body, model_generation_config, use_cb)
        if (most := body.get("max_completion_tokens")) is not None:
            config.max_new_tokens = most  # the transformers of Python 3.10 leaves it out
        config.do_sample = bool(body.get("temperature"))
        if not config.do_sample:
            config.temperature = config.top_p = config.top_k = None
        return config

    def _streaming(self, request_id: str, model: Any, *others: Any, **named: Any) -> Any:
        _fit(model, others)
        return super()._streaming(request_id, model, *others, **named)

    async def _non_streaming(self, request_id: str, model: Any, *others: Any, **named: Any) -> Any:
        _fit(model, others)
        return await super()._non_streaming(request_id, model, *others, **named)


def _fit(model: Named, others: tuple[Any, ...]) -> None:
    _processor, _name, inputs, config = others
    model.fit(inputs["input_ids"], config)


def make_app(models: Mapping[str, Named], tokenizer: Any) -> FastAPI:
    """Return the application: /v1/chat/completions, /v1/models and /health, and nothing else.

    transformers' own application would also load, at a request, any model that a hub has.
    """
    manager: Any = Resident(models, tokenizer)
    chat = Chat(model_manager=manager, generation_state=GenerationState())
    app = FastAPI(openapi_url=None)  # its pages of documentation load scripts from elsewhere
    # A page in a browser cannot reach it under a name of its own that leads to this machine.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

    @app.post("/v1/chat/completions")
    async def complete(body: dict[str, Any]) -> Any:
        _check_request(body)
        return await chat.handle_request(body, f"chatcmpl-{uuid.uuid4().hex}")

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        owned = {"object": "model", "created": 0, "owned_by": "lora-lab"}
        return {"object": "list", "data": [{"id": name, **owned} for name in models]}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(LabError)
    async def mistaken(_request: Request, error: LabError) -> JSONResponse:
        return _error(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def unreadable(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _error(400, f"the request is no JSON object: {error.errors()[0]['msg']}")

    return app


def _check_request(body: dict[str, Any]) -> None:
    """Raise `LabError` for what transformers' handler would take for a fault of its own."""
    if not isinstance(body.get("model"), str):
        raise LabError("model: missing; name one of those that /v1/models lists")
    messages = body.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise LabError(f"messages: expected a list of 1 to {MOST_MESSAGES} messages")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise LabError("messages: each is an object with role and content")
        if not isinstance(message.get("content"), str):
            raise LabError("messages: content: this server reads text alone, as one string")
    for field in ("max_tokens", "max_completion_tokens"):
        value = body.get(field)
        if value is not None and (type(value) is not int or value < 1):
            raise LabError(f"{field}: {value!r} is not legal; a whole number from 1")
    temperature = body.get("temperature")
    if temperature is not None and not (
        type(temperature) in (int, float) and 0 <= temperature <= 2
    ):
        raise LabError(f"temperature: {temperature!r} is not legal; 0 to 2")


def _error(status: int, message: str) -> JSONResponse:
    """Return an error in the shape that OpenAI's clients read."""
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    code = "model_not_found" if status == 404 else None
    return JSONResponse(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}, status
    )
