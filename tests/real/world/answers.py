"""The authority's canned answers: one turn of a model that always says "pong", and the models that exist."""

from __future__ import annotations

import json
from typing import Any

PONG = "pong"
MODELS: dict[str, Any] = {"models": []}


def pong() -> bytes:
    """A whole turn as server-sent events: created, one text item, completed."""
    text = {"type": "output_text", "text": PONG, "annotations": []}
    item = {"id": "msg_fake", "type": "message", "role": "assistant", "status": "completed"}
    place = {"item_id": "msg_fake", "output_index": 0, "content_index": 0}
    begun, ended = {**item, "status": "in_progress", "content": []}, {**item, "content": [text]}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    response = {"id": "resp_fake", "object": "response", "model": "fake", "status": "completed"}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.content_part.added", **place, "part": {**text, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": PONG},
        {"type": "response.output_text.done", **place, "text": PONG},
        {"type": "response.content_part.done", **place, "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": ended},
        {"type": "response.completed", "response": {**response, "output": [ended], "usage": usage | details}},
    ]
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events).encode()
