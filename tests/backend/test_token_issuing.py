"""Who may issue machines' tokens, for what, and that it takes a touch of the hardware key about exactly that."""

from typing import Any

import httpx
import pytest

from contract.service_tokens import ServiceTokenRequest
from tests.support.app import App
from tests.support.people import ADMIN, EXECUTOR, OFFICER

TOKENS = "/v1/service-tokens"
READS = ("view_freezes",)


@pytest.fixture
async def admin(app: App) -> httpx.AsyncClient:
    return await app.as_(ADMIN)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "Two Words"}, 422),
        ({"name": "a:b"}, 422),
        ({"permissions": []}, 422),
        ({"permissions": ["approve_thaw"]}, 422),
        ({"permissions": ["manage_service_tokens"]}, 422),
        ({"permissions": ["own_session"]}, 422),
        ({"permissions": ["renew_permit", "observe_halts"]}, 422),
        ({"days": 366}, 422),
        ({"days": 0}, 422),
        ({"executors": ["a*b*c*d*e"]}, 422),
        ({"executors": ["two words"]}, 422),
        ({"executors": [""]}, 422),
        ({"certificate": "not-a-fingerprint"}, 422),
        ({"max_trade_eth": "10.5", "permissions": ["renew_permit"]}, 422),
        ({"max_trade_eth": "0"}, 422),
        ({"max_trade_eth": "NaN"}, 422),
        ({"name": "taken"}, 409),
    ],
)
async def test_what_cannot_be_issued(admin: httpx.AsyncClient, change: dict[str, Any], status: int) -> None:
    assert (await admin.post(TOKENS, json={"name": "taken", "permissions": list(READS)})).status_code == 201
    answer = await admin.post(TOKENS, json={"name": "script", "permissions": list(READS)} | change)
    assert answer.status_code == status, answer.text
    assert [one["name"] for one in (await admin.get(TOKENS)).json()["items"]] == ["taken"]


async def test_nobody_else_manages_tokens(app: App) -> None:
    for person in (OFFICER, EXECUTOR):
        client = await app.as_(person)
        assert (await client.get(TOKENS)).status_code == 403
        answer = await client.post(TOKENS, json={"name": "script", "permissions": list(READS)})
        assert answer.status_code == 403


async def test_a_secret_is_had_by_a_touch_about_exactly_that(app: App, admin: httpx.AsyncClient) -> None:
    asked: dict[str, Any] = {"name": "script", "permissions": ["renew_permit"], "max_trade_eth": "0.50"}
    refused = await admin.post(TOKENS, json=asked, auth=_without_key)
    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_required")
    about = ServiceTokenRequest.model_validate_json(refused.request.content).about()
    assert refused.json()["confirm"] == {"act": "issue_token", "about": about}
    assert (await admin.get(TOKENS)).json()["items"] == []
    assert (await admin.post(TOKENS, json=asked)).status_code == 201
    wider = await admin.post(TOKENS, json=asked | {"name": "other", "max_trade_eth": "5"}, auth=_without_key)
    assert wider.json()["code"] == "confirmation_required", "a touch is for one name and scope"
    for now in (False, True):
        path = f"{TOKENS}/script/rotate"
        again = await admin.post(path, json={"now": now}, auth=_without_key)
        wanted = {"act": "rotate_token", "about": f"script {'now' if now else 'overlap'}"}
        assert again.json()["confirm"] == wanted
        assert (await admin.post(path, json={"now": now})).status_code == 200
    assert (await admin.post(f"{TOKENS}/script/revoke", auth=_without_key)).status_code == 200, (
        "ending one is never late"
    )


def _without_key(request: httpx.Request) -> httpx.Request:
    return request


@pytest.mark.parametrize(
    "change", [{"name": "x2"}, {"executors": ["a"]}, {"days": 2}, {"permissions": ["view_risk", "view_freezes"]}]
)
def test_a_touch_for_a_token_is_about_all_of_it(change: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"name": "x", "permissions": ["view_freezes"], "days": 1}
    one = ServiceTokenRequest.model_validate(asked)
    assert one.about() == ServiceTokenRequest.model_validate_json(one.model_dump_json()).about()
    assert one.about() != ServiceTokenRequest.model_validate(asked | change).about()
