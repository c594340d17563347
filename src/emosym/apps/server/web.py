"""FastAPI's names, of the extra `serve`: to import this without it is one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from emosym.extras import require

fastapi = require("fastapi", "serve")
responses = require("fastapi.responses", "serve")
formparsers = require("starlette.formparsers", "serve")
exceptions = require("starlette.exceptions", "serve")
if TYPE_CHECKING:  # an optional library has no types here
    Request: TypeAlias = Any
else:
    Request = fastapi.Request  # FastAPI reads this annotation of an endpoint
