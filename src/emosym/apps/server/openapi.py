"""What OpenAPI says of the places: bodies, answers, refusals, examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from emosym.apps.server.bodies import JSON, MULTIPART
from emosym.apps.server.limits import Limits
from emosym.apps.server.schemas import GenerateSent, Problem, UnderstandSent
from emosym.apps.server.web import fastapi, responses
from emosym.pipelines.requests import RANGES

REFUSALS = {
    400: "The body is not JSON.",
    401: "The key is missing or wrong.",
    403: "A page of another site asks.",
    404: "There is no such place or job.",
    408: "The body came too slowly.",
    413: "It is more than the limits allow.",
    415: "The body is of another kind.",
    421: "Another host name than localhost, where the server has no key.",
    422: "It cannot be done as asked; the sentence says why.",
    429: "Too much waits already: Retry-After says when to come again.",
    500: "A fault of the server.",
    503: "The server ends, or the process that decodes pictures died: try again.",
    504: "It took too long.",
}
REFERENCE = "#/components/schemas/{model}"
SENT: tuple[type[BaseModel], ...] = (UnderstandSent, GenerateSent)
NULL = {"type": "null"}
READ = ("pictures", "texts", "dialogues")
WAYS = (("emotion",), ("valence", "arousal"), ("like",))  # to say what to paint: one of them
BOUNDS = {  # model -> field -> word of JSON Schema -> the field of `Limits`
    "UnderstandSent": {name: {"maxItems": name} for name in READ},
    "DialogueSent": {"turns": {"maxItems": "turns"}},
    "TurnSent": {name: {"maxLength": "text_chars"} for name in ("speaker", "text")},
    "GenerateSent": {
        "prompt": {"maxLength": "prompt_chars"},
        "images": {"maximum": "images"},
        "steps": {"maximum": "steps"},
    },
}


def described(
    answer: type[BaseModel], body: dict[str, Any] | None = None, status: int = 200
) -> dict[str, Any]:
    """Return what `add_api_route` is told of a place that answers with JSON."""
    found: dict[str, Any] = {
        "response_class": responses.JSONResponse,
        "status_code": status,
        "responses": {status: {"model": answer}, **_refusals()},
        "response_model": None,
    }
    if body is not None:
        found["openapi_extra"] = {"requestBody": {"required": True, "content": body}}
    return found


def told_as(media_type: str, example: Any) -> dict[str, Any]:
    """Return what `add_api_route` is told of a place that answers with something else."""
    schema = {"type": "object" if media_type == JSON else "string"}
    content = {media_type: {"schema": schema, "example": example}}
    return {
        "response_class": responses.Response,
        "responses": {200: {"description": "OK", "content": content}, **_refusals()},
        "response_model": None,
    }


def json_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a JSON body with its examples."""
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    return {JSON: {"schema": schema, "examples": dict(getattr(model, "EXAMPLES", {}))}}


def form_of() -> dict[str, Any]:
    """Return the form that uploads pictures."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    properties = {
        "pictures": files,
        "texts": {"type": "array", "items": {"type": "string"}},
        "explain": {"type": "boolean"},
        "model": {"type": "string"},
    }
    form = {"type": "object", "properties": properties, "additionalProperties": False}
    return {MULTIPART: {"schema": form}}


def openapi_of(app: Any, keyed: bool, limits: Limits, models: Sequence[str]) -> dict[str, Any]:
    """Return the whole description, with the bodies that are parsed by hand; made once.

    It tells the limits of this server, and the `models` that it holds.
    """
    if app.openapi_schema:
        return dict(app.openapi_schema)
    found: dict[str, Any] = fastapi.openapi.utils.get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for model in SENT:
        schema = model.model_json_schema(ref_template=REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    content = found["paths"]["/v1/understand"]["post"]["requestBody"]["content"]
    _tell_limits({**schemas, "form": content[MULTIPART]["schema"]}, limits, models)
    _keep_examples(content[JSON]["examples"], models)
    if keyed:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    app.openapi_schema = found
    return found


def allowed(described: Mapping[str, Any], path: str) -> list[str]:
    """Return the methods that the places at a path take."""
    return sorted(
        method.upper()
        for place, methods in described["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", place), path)
        for method in methods
    )


def _tell_limits(schemas: Mapping[str, Any], limits: Limits, models: Sequence[str]) -> None:
    """Put what the server takes into the schemas of what is sent."""
    for name, fields in BOUNDS.items():
        for field, words in fields.items():
            for word, limit in words.items():
                schemas[name]["properties"][field][word] = getattr(limits, limit)
    form, read, paint = schemas["form"], schemas["UnderstandSent"], schemas["GenerateSent"]
    for field in READ[:2]:
        form["properties"][field]["maxItems"] = getattr(limits, field)
    for schema in (form, read):
        schema["properties"]["texts"]["items"]["maxLength"] = limits.text_chars
    schemas["DialogueSent"]["properties"]["turns"]["items"]["anyOf"][1]["maxLength"] = (
        limits.text_chars
    )
    form["anyOf"] = _something(READ[:2])
    read["anyOf"] = _something(READ)
    paint["anyOf"] = [_only(way) for way in WAYS]
    for field, (low, high) in RANGES.items():
        if field in paint["properties"]:
            paint["properties"][field] |= {"minimum": low, "maximum": high}
    form["properties"]["model"]["enum"] = list(models)
    for schema in (read, paint):
        schema["properties"]["model"]["enum"] = [*models, None]


def _something(fields: Iterable[str]) -> list[dict[str, Any]]:
    """Return the schemas of which one holds where one of these lists is not empty."""
    return [{"required": [name], "properties": {name: {"minItems": 1}}} for name in fields]


def _only(way: Sequence[str]) -> dict[str, Any]:
    """Return the schema that holds where this way to say what to paint is taken, and no other."""
    others = {name: NULL for other in WAYS if other != way for name in other}
    return {"required": list(way), "properties": {**others, **{k: {"not": NULL} for k in way}}}


def _keep_examples(examples: dict[str, Any], models: Sequence[str]) -> None:
    """Leave out the examples that ask for a model that is not here."""
    for name in [k for k, one in examples.items() if "model" in one["value"]]:
        if examples[name]["value"]["model"] not in models:
            del examples[name]


def _refusals() -> dict[int, dict[str, Any]]:
    return {status: {"model": Problem, "description": told} for status, told in REFUSALS.items()}
