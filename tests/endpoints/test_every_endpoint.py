"""What holds for every endpoint, on the example that its test file declares: refusals, the flag, lengths, prices."""

import json

import pytest

from gateway import endpoints
from gateway.core.endpoint import NOT_MODELLED, ParseConfig
from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, Problem
from tests.endpoints.examples import (
    ESM3,
    ESMC,
    FLAG,
    RULES,
    Json,
    call,
    errors,
    example,
    least,
    odd,
    unlike,
    wire,
)

NAMES = [endpoint.name for endpoint in endpoints.ENDPOINTS]
OTHERS = [name for name in NAMES if name != "generate_tensor"]
WITH_MODEL = [endpoint.name for endpoint in endpoints.ENDPOINTS if endpoint.fixed_model is None]
# The SDK asks for the function track in a way that the sampler divides by zero on: see test_generate_tensor.py.
RECORDED = [(name, case, query, body) for name in OTHERS for case, query, body in wire(name)]


def query(name: str) -> str:
    return example(name).query


@pytest.mark.parametrize("name", NAMES)
def test_every_endpoint_has_a_test_file_with_an_example(name: str) -> None:
    assert example(name).bills, f"the EXAMPLE of {name} says nothing of its price"


def test_every_path_is_found_and_no_other() -> None:
    assert [endpoints.find(endpoint.path) for endpoint in endpoints.ENDPOINTS] == [*endpoints.ENDPOINTS]
    assert all(endpoint.method == "POST" for endpoint in endpoints.ENDPOINTS)
    assert endpoints.find("/api/v1/batch/submit") is None


@pytest.mark.parametrize(("name", "case", "asked", "body"), RECORDED, ids=[row[1] for row in RECORDED])
def test_what_the_sdk_sends_is_forwarded_equal(name: str, case: str, asked: str, body: Json) -> None:
    made = call(name, body, asked)
    assert unlike(json.loads(made.body), body) == set()
    assert made.target == f"/api/v1/{name}" + (f"?{asked}" if asked else "")
    assert made.flagged is False


@pytest.mark.parametrize("name", NAMES)
def test_the_requests_of_each_sdk_that_calls_it_are_among_the_recordings(name: str) -> None:
    assert {case[:3] for case, _, _ in wire(name)} == {*example(name).sdk}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_cached_is_not_said_to_be_deterministic(name: str) -> None:
    (endpoint,) = (endpoint for endpoint in endpoints.ENDPOINTS if endpoint.name == name)
    verdict = call(name, least(name), query(name)).determinism
    assert endpoint.cacheable == (verdict != NOT_MODELLED) == (not endpoint.not_cached)


@pytest.mark.parametrize("name", WITH_MODEL)
def test_what_is_required_must_be_there(name: str) -> None:
    for member in example(name).body:
        absent = {other: value for other, value in example(name).body.items() if other != member}
        assert errors(name, absent, query(name)) == [f"/{member}"]
        assert odd(name, **{member: None}) == [f"/{member}"]
        assert odd(name, **{member: 5}) == [f"/{member}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_member_is_refused_even_where_it_is_null(name: str) -> None:
    for member in ("seed", "Model", "point", "return_bytes", "query"):
        assert odd(name, **{member: 1}) == [f"/{member}"]
        assert odd(name, **{member: None}) == [f"/{member}"]


@pytest.mark.parametrize("name", NAMES)
def test_a_repeated_member_is_refused(name: str) -> None:
    members = json.dumps(least(name, **{FLAG: False}))[1:-1]
    with pytest.raises(Problem) as caught:
        call(name, f'{{"{FLAG}":true,{members}}}', query(name))
    assert caught.value.type is BODY_UNREADABLE


@pytest.mark.parametrize("name", WITH_MODEL)
def test_only_models_of_the_settings_are_taken(name: str) -> None:
    assert call(name, least(name, model=ESMC)).model == ESMC
    assert odd(name, model="esm9") == odd(name, model="") == ["/model"]


@pytest.mark.parametrize("endpoint", endpoints.ENDPOINTS, ids=NAMES)
def test_query_parameters_are_taken_only_where_there_is_a_model_of_them(endpoint: endpoints.AnyEndpoint) -> None:
    if endpoint.query_model is None:
        with pytest.raises(Problem) as caught:
            call(endpoint.name, least(endpoint.name), "use_env=true")
        assert caught.value.type is CALL_INVALID


@pytest.mark.parametrize("name", NAMES)
def test_the_flag_reaches_the_policy_and_the_upstream(name: str) -> None:
    for given in (True, False):
        made = call(name, least(name, **{FLAG: given}), query(name))
        assert (made.flagged, json.loads(made.body)[FLAG]) == (given, given)
    assert call(name, least(name, **{FLAG: None}), query(name)).flagged is False
    assert odd(name, **{FLAG: "true"}) == odd(name, **{FLAG: 1}) == [f"/{FLAG}"]


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_flag_is_made_explicit_but_where_the_sdk_does_not_know_it(name: str) -> None:
    made = call(name, least(name), query(name))
    assert made.flagged is False
    assert json.loads(made.body).get(FLAG) is example(name).flag


@pytest.mark.parametrize("name", NAMES)
def test_six_residues_fit_eight_tokens_and_seven_do_not(name: str) -> None:
    eight = ParseConfig(models=RULES.models, max_tokens=8)
    assert odd(name, eight) == []
    changes, where = example(name).too_long
    if changes:
        assert odd(name, eight, **changes) == [where]
        assert odd(name, RULES, **changes) == []


@pytest.mark.parametrize("name", NAMES)
def test_units_are_tokens_times_passes_times_the_weight_of_the_model(name: str) -> None:
    for changes, n, passes in example(name).bills:
        body = least(name, **changes)
        made = call(name, body, query(name))
        assert (made.length, made.units) == (n, n * passes), changes
        if name in WITH_MODEL:
            heavy = ParseConfig(models={ESM3: 3.0})
            assert call(name, body, query(name), heavy).units == 3 * n * passes
            light = call(name, {**body, "model": ESMC}, query(name))
            assert light.units == max(1, round(n * passes * RULES.models[ESMC]))
