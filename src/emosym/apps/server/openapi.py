"""What OpenAPI says of the places: bodies, answers, refusals, examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from emosym.apps.server.bodies import JSON, MULTIPART
from emosym.apps.server.limits import Limits
from emosym.apps.server.schemas import GenerateSent, Problem, UnderstandSent
from emosym.apps.server.served import PICTURES, Served
from emosym.apps.server.web import fastapi, responses
from emosym.models.painter.prompt import PLACE
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
BODIES = ("/v1/understand", "/v1/generate")
SENT: tuple[type[BaseModel], ...] = (UnderstandSent, GenerateSent)
STREAM = "text/event-stream"
EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["progress", "result"]},
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {"$ref": REFERENCE.format(model="JobTold")},
        },
    },
}
NULL = {"type": "null"}
READ = ("pictures", "texts", "dialogues")
EMOTION, AFFECT, LIKE = ("emotion",), ("valence", "arousal"), ("like",)
WAYS = (EMOTION, AFFECT, LIKE)  # to say what to paint: one of them
DEADLINE = {
    "name": "X-Deadline-Seconds",
    "in": "header",
    "description": "The seconds after which the answer is of no use: less than the server allows.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
LINKS = {  # from a job that begins to the places that know it
    name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
    for name in ("show", "events", "cancel")
}
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
        found["openapi_extra"] = {
            "parameters": [DEADLINE],
            "requestBody": {"required": True, "content": body},
        }
    return found


def told_as(media_type: str, example: Any) -> dict[str, Any]:
    """Return what `add_api_route` is told of a place that answers with something else."""
    form: dict[str, Any] = {"schema": {"type": "object" if media_type == JSON else "string"}}
    if media_type == STREAM:
        form = {"itemSchema": EVENT}
    content = {media_type: {**form, "example": example}}
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


def openapi_of(app: Any, keyed: bool, limits: Limits, models: Sequence[Served]) -> dict[str, Any]:
    """Return the whole description, with the bodies that are parsed by hand; made once.

    It tells the limits of this server, the `models` that it holds, and what these paint.
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
    places = found["paths"]
    places["/v1/generate"]["post"]["responses"]["202"]["links"] = LINKS
    read, paint = (places[place]["post"]["requestBody"]["content"] for place in BODIES)
    names = [one.name for one in models]
    _tell_limits({**schemas, "form": read[MULTIPART]["schema"]}, limits, names)
    _keep_examples(read[JSON]["examples"], names)
    painters = [one for one in models if one.about.can_paint]
    if painters:
        _tell_painters(schemas["GenerateSent"], paint[JSON], painters)
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


def _tell_painters(schema: Any, content: Any, painters: Sequence[Served]) -> None:
    """Put what the painters of this server can be asked for into the schema, with examples."""
    labels = list(dict.fromkeys(label for one in painters for label in one.labels))
    norms = [one.session.space.norms() for one in painters if one.session is not None]
    told = {
        EMOTION: True,
        AFFECT: any(one is not None for one in norms),
        LIKE: any(one.takes(PICTURES) for one in painters),
    }
    schema["anyOf"] = [_only(way) for way in WAYS if told[way]]
    word, mix = schema["properties"]["emotion"]["anyOf"][:2]
    word["enum"] = labels
    mix["propertyNames"] = {"enum": labels}
    examples: dict[str, Any] = {
        "an emotion": {"emotion": labels[0], "seed": 7},
        "a mix": {"emotion": {labels[0]: 0.7, labels[-1]: 0.3}, "prompt": f"a {PLACE} street"},
    }
    if told[AFFECT]:
        examples["a place in the plane"] = {"valence": 7.5, "arousal": 3.0}
    content["examples"] = {name: {"value": one} for name, one in examples.items()}


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
