"""What OpenAPI says of the places: bodies, answers, refusals, examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from emosym.apps.server.bodies import JSON, MULTIPART
from emosym.apps.server.schemas import GenerateSent, Problem, UnderstandSent
from emosym.apps.server.web import fastapi, responses

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
    return {JSON: {"schema": schema, "examples": getattr(model, "EXAMPLES", {})}}


def form_of() -> dict[str, Any]:
    """Return the form that uploads pictures."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    properties = {
        "pictures": files,
        "texts": {"type": "array", "items": {"type": "string"}},
        "explain": {"type": "boolean"},
        "model": {"type": "string"},
    }
    return {MULTIPART: {"schema": {"type": "object", "properties": properties}}}


def openapi_of(app: Any, keyed: bool) -> dict[str, Any]:
    """Return the whole description, with the bodies that are parsed by hand; made once."""
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
    if keyed:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    app.openapi_schema = found
    return found


def _refusals() -> dict[int, dict[str, Any]]:
    return {status: {"model": Problem, "description": told} for status, told in REFUSALS.items()}
