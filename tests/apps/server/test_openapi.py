"""What OpenAPI says of the server holds: requests made from it, and answers checked against it.

`schemathesis run http://127.0.0.1:8000/openapi.json` asks more, of a server that runs.
"""

from __future__ import annotations

import base64
import copy
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.apps.server.plain import create_app, png, service_of

PICTURE = base64.b64encode(png()).decode()
JSON = "application/json"
LIMITS = {"pictures": 12, "texts": 2, "text_chars": 20, "dialogues": 1, "turns": 3}
OF_PAINTING = {"steps": 2, "images": 2, "prompt_chars": 20, "jobs": 1000, "jobs_per_key": 1000}
PLACES = {"/v1/understand": "UnderstandSent", "/v1/generate": "GenerateSent"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=15) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=3,
)


def quick(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a slow machine is not kept busy with shrinking
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(
        create_app(service_of(**LIMITS, **OF_PAINTING)), base_url="http://localhost"
    ) as asked:
        yield asked


@pytest.fixture(scope="module")
def described(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


def made_by(schema: Any, schemas: Any) -> st.SearchStrategy[Any]:
    """Values of a schema, as far as this description uses JSON Schema."""
    if "$ref" in schema:
        return made_by(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema["enum"] if "enum" in schema else [schema["const"]])
    kind = schema.get("type")
    if kind == "object":
        return st.one_of([of_object({**schema, **one}, schema, schemas) for one in ways(schema)])
    if "anyOf" in schema:
        without = {k: v for k, v in schema.items() if k in ("minimum", "maximum", "maxLength")}
        return st.one_of([made_by({**without, **one}, schemas) for one in schema["anyOf"]])
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "number":
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if kind == "integer":
        return st.integers(None if low is None else math.ceil(low), high)
    if kind == "array":
        sizes = {"min_size": schema.get("minItems", 0), "max_size": schema["maxItems"]}
        return st.lists(made_by(schema["items"], schemas), **sizes)
    if kind == "string":
        words = st.text(max_size=schema.get("maxLength", 20))
        return words.filter(re.compile(schema.get("pattern", "")).search)
    return {"null": st.none(), "boolean": st.booleans()}[kind]


def ways(schema: Any) -> list[Any]:
    return list(schema.get("anyOf", [{"required": schema.get("required", [])}]))


def of_object(one: Any, whole: Any, schemas: Any) -> st.SearchStrategy[Any]:
    """Objects of one way: what it requires is there, and what must be null is null."""
    fields = {}
    for name, of in whole["properties"].items():
        said = one["properties"].get(name, {}) if one is not whole else {}
        plain = made_by({**of, **{k: v for k, v in said.items() if k != "not"}}, schemas)
        fields[name] = plain.filter(lambda value: value is not None) if "not" in said else plain
    needed = {name: fields[name] for name in one.get("required", [])}
    return st.fixed_dictionaries(
        needed, optional={k: v for k, v in fields.items() if k not in needed}
    )


def schema_of(described: Any, name: str, plain: bool = False) -> Any:
    """A schema with all that it refers to; `plain`: every picture is one, every label is known."""
    components = copy.deepcopy(described["components"])
    if plain:
        schemas, picture = components["schemas"], {"const": PICTURE}
        schemas["PictureSent"]["properties"]["data"] = picture
        schemas["TurnSent"]["properties"]["picture"]["anyOf"][0] = picture
        schemas["UnderstandSent"]["properties"]["pictures"]["items"]["anyOf"][0] = picture
        painted = schemas["GenerateSent"]["properties"]
        painted["like"]["anyOf"][0] = picture
        painted["emotion"]["anyOf"][0] = {"enum": ["joy", "sadness"]}
        painted["emotion"]["anyOf"][1] = {
            "type": "object",
            "properties": {"joy": {"type": "number", "minimum": 0.1, "maximum": 9}},
            "required": ["joy"],
            "additionalProperties": False,
        }
        del schemas["GenerateSent"]["anyOf"][1]  # two labels alone lie nowhere on the plane
    return {"$ref": f"#/components/schemas/{name}", "components": components}


def posted(client: TestClient, place: str, sent: Any) -> Any:
    return client.post(place, content=json.dumps(sent), headers={"content-type": JSON})


def told(described: Any, method: str, place: str, answer: Any) -> None:
    """An answer has a described status, kind and form."""
    forms = described["paths"][place][method.lower()]["responses"]
    assert answer.status_code < 500 and str(answer.status_code) in forms, answer.text
    content = forms[str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in content
    if kind == JSON:
        whole = {**content[JSON]["schema"], "components": described["components"]}
        Draft202012Validator(whole).validate(answer.json())


@pytest.mark.parametrize("place", PLACES)
def test_what_the_description_allows_is_done_and_answered_as_it_says(
    client: TestClient, described: Any, place: str
) -> None:
    schema = schema_of(described, PLACES[place], plain=True)
    valid = Draft202012Validator(schema_of(described, PLACES[place])).is_valid

    @quick(15)
    @given(made_by(schema, schema["components"]["schemas"]).filter(valid))
    def check(sent: Any) -> None:
        answer = posted(client, place, sent)
        # one input that is all blank is refused: no schema counts inputs
        alone = answer.status_code == 422 and len(sent.get("texts", ())) == 1
        assert alone or answer.status_code in (200, 202), (sent, answer.text)
        told(described, "POST", place, answer)

    check()


@pytest.mark.parametrize("place", PLACES)
def test_what_the_description_rules_out_is_refused_in_a_sentence(
    client: TestClient, described: Any, place: str
) -> None:
    schema = schema_of(described, PLACES[place])
    valid = Draft202012Validator(schema).is_valid
    fields = [*schema["components"]["schemas"][PLACES[place]]["properties"], "another"]
    right = {"texts": ["Yes!"]} if place == "/v1/understand" else {"emotion": "joy"}
    wrong = st.tuples(st.sampled_from(fields), ANYTHING).map(lambda one: {**right, one[0]: one[1]})

    @quick(25)
    @given((wrong | ANYTHING).filter(lambda sent: not valid(sent)))
    def check(sent: Any) -> None:
        answer = posted(client, place, sent)
        assert answer.status_code in (400, 413, 422), (sent, answer.text)
        told(described, "POST", place, answer)

    check()
    for empty in ({}, {"texts": []}, {"emotion": None}, {"emotion": "joy", "like": PICTURE}):
        assert not valid(empty) and posted(client, place, empty).status_code == 422


def test_every_place_answers_as_it_is_described(client: TestClient, described: Any) -> None:
    job = client.post("/v1/generate", json={"emotion": "joy"}).json()["id"]
    form = [("pictures", ("a.png", png()))]
    told(described, "POST", "/v1/understand", client.post("/v1/understand", files=form))
    asked = {("POST", place) for place in PLACES}
    for place, methods in described["paths"].items():
        for method in sorted({name.upper() for name in methods} - {"POST"}, reverse=True):
            for one in (job, "nothing"):
                answer = client.request(method, place.replace("{id}", one))
                told(described, method, place, answer)
                asked.add((method, place))
                known = "{id}" not in place or one == job
                assert answer.status_code == (200 if known else 404)
        refused = client.request("PATCH", place.replace("{id}", job))
        assert refused.status_code == 405
        assert {w.lower() for w in refused.headers["allow"].split(", ")} == set(methods)
    assert len(asked) == 9


def test_examples_ask_for_models_that_are_here(described: Any) -> None:
    content = described["paths"]["/v1/understand"]["post"]["requestBody"]["content"]
    assert set(content[JSON]["examples"]) == {"a picture", "a sentence", "a dialogue"}
