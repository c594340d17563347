"""What OpenAPI says of the server holds: schemathesis makes requests of it and checks answers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from tests.apps.server.plain import SPACE, PlainPipeline, png, service_of, serving

LIMITS: dict[str, Any] = {"pictures": 12, "texts": 2, "text_chars": 20, "dialogues": 1, "turns": 3}
LIMITS |= {"steps": 2, "images": 2, "prompt_chars": 20, "jobs": 1000, "jobs_per_key": 1000}
TAKE = ("/v1/understand", "/v1/generate")
TELL = {  # place -> how many requests: what takes no argument is asked alike each time
    "/v1/jobs/{id}": 10,
    "/v1/jobs/{id}/events": 10,
    "/v1/models": 1,
    "/healthz": 1,
    "/readyz": 1,
    "/metrics": 1,
}
REFUSED = ["400", "404", "413", "415", "422"]
HOLDS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
UNHURRIED = {"X-Deadline-Seconds": "60"}  # to ask for 1e-9 s is allowed, and answered with 504


def quick(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # a slow machine is not kept busy with shrinking
        suppress_health_check=list(HealthCheck),
        **more,
    )


class Placed(PlainPipeline):
    """One whose emotions have places in the plane."""

    space = replace(SPACE, word_norms=((7.0, 5.0, 5.0), (3.0, 4.0, 4.0)))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(service_of(Placed(), **LIMITS)) as place:
        yield place


@pytest.fixture(scope="module")
def api(address: str) -> Any:
    schemathesis.openapi.format("byte", st.just(base64.b64encode(png()).decode()))
    schemathesis.openapi.format("binary", st.just(png()))
    rejected = {"negative_data_rejection": {"expected-statuses": REFUSED}}
    config = schemathesis.Config.from_dict({"checks": rejected})
    return schemathesis.openapi.from_url(f"{address}/openapi.json", config=config)


@pytest.mark.parametrize("place", TAKE)
def test_what_the_description_allows_is_done_and_answered_as_it_says(api: Any, place: str) -> None:
    @quick(30)
    @given(api[place]["POST"].as_strategy(GenerationMode.POSITIVE, headers=UNHURRIED))
    def check(case: Any) -> None:
        answer = case.call()
        case.validate_response(answer, checks=HOLDS)
        # no schema counts inputs: one that is all blank, alone; pictures beside those of a dialogue
        alone = answer.status_code == 422 and len(case.body.get("texts", ())) == 1
        many = answer.status_code == 413 and "pictures" in case.body and "dialogues" in case.body
        assert alone or many or answer.status_code in (200, 202), answer.text

    check()


@pytest.mark.parametrize("place", TAKE)
def test_what_the_description_rules_out_is_refused_in_a_sentence(api: Any, place: str) -> None:
    @quick(30)
    @given(api[place]["POST"].as_strategy(GenerationMode.NEGATIVE, headers=UNHURRIED))
    def check(case: Any) -> None:
        answer = case.call()
        # in a form a number is a text too: what a body of JSON rules out is ruled out
        refused = [negative_data_rejection] if case.media_type == "application/json" else []
        case.validate_response(answer, checks=[*HOLDS, *refused])

    check()


@pytest.mark.parametrize("place", TELL)
def test_every_other_place_answers_as_it_is_described(api: Any, place: str) -> None:
    for method in api[place]:

        @quick(TELL[place])
        @given(api[place][method].as_strategy())
        def check(case: Any) -> None:
            case.call_and_validate(checks=HOLDS)

        check()


def test_jobs_answer_as_they_are_described(api: Any) -> None:
    """A job is begun, looked at, watched and cancelled, in any order."""
    seen = set()
    machine: Any = api.as_state_machine()

    class Painting(machine):
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": UNHURRIED}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            seen.add((case.method, case.path, response.status_code))
            case.validate_response(response, checks=HOLDS)

    Painting.run(settings=quick(20, stateful_step_count=4))
    job = "/v1/jobs/{id}"
    assert {("GET", job, 200), ("DELETE", job, 200), ("GET", f"{job}/events", 200)} <= seen


def test_all_places_are_asked_and_tell_which_methods_they_take(address: str, api: Any) -> None:
    described = api.raw_schema["paths"]
    assert set(described) == {*TAKE, *TELL}
    for place, methods in described.items():
        refused = requests.patch(address + place.replace("{id}", "any"), timeout=60)
        assert refused.status_code == 405
        assert {word.lower() for word in refused.headers["allow"].split(", ")} == set(methods)


def test_the_description_tells_of_the_models_that_are_here(api: Any) -> None:
    read, paint = (
        api.raw_schema["paths"][place]["post"]["requestBody"]["content"]["application/json"]
        for place in TAKE
    )
    assert set(read["examples"]) == {"a picture", "a sentence", "a dialogue"}
    assert paint["examples"]["an emotion"]["value"]["emotion"] == "joy"
