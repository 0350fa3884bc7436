"""POST …/notebook as far as no microVM is needed."""

import json

import pytest
import requests

TEXT = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kept": [1]},
        "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# title"}]}
CODE = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
    {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}]}


def post(hearthd, path, body, token=None, **headers):
    http = requests.Session()
    http.trust_env = False
    return http.post(f"{hearthd.url}/{path}", data=json.dumps(body), timeout=60,
                     headers={"Authorization": f"Bearer {token or hearthd.token}", **headers})


@pytest.mark.parametrize("path", [
    "notebook?identifier=a", "sessions/a/notebook", "identifier/a/notebook", "sessionPools/default/notebook?identifier=a",
    "subscriptions/s/resourceGroups/g/sessionPools/default/sessions/a/notebook?api-version=2025-10-02-preview"])
def test_a_notebook_without_code_is_answered_at_every_address(start, path):
    response = post(start(), path, TEXT)
    assert response.status_code == 200, response.text
    assert response.headers["x-hearth-notebook-status"] == "Succeeded"
    status = {"status": "Succeeded", "executedCells": 0, "codeCells": 0}
    assert response.json() == {**TEXT, "metadata": {"kept": [1], "hearth": status}}


def test_what_cannot_be_run_is_refused(start):
    hearthd = start()
    cases = [("notebook", 400, "identifier"), ("notebook?identifier=a&allow-errors=perhaps", 400, "allow-errors"),
             ("notebook?identifier=a&timeoutInSeconds=0", 400, "timeoutInSeconds"),
             ("notebook?identifier=a&timeoutInSeconds=x", 400, "timeoutInSeconds"),
             ("notebook?identifier=a&api-version=new", 400, "api-version"),
             ("sessionPools/none-such/notebook?identifier=a", 404, "none-such")]
    for path, status, part in cases:
        response = post(hearthd, path, TEXT)
        assert response.status_code == status and part in response.json()["error"]["message"], path
    assert post(hearthd, "notebook?identifier=a", TEXT, token="wrong").status_code == 401


def test_a_session_that_cannot_be_started_is_an_error_of_the_service(start):
    hearthd = start()
    for headers in {}, {"Accept": "text/event-stream"}:
        response = post(hearthd, "notebook?identifier=a", CODE, **headers)
        assert response.status_code == 500, response.text
        assert response.json()["error"]["code"] == "SessionAllocationFailed"


def test_a_reader_may_not_run_notebooks(start):
    hearthd = start()
    token = hearthd.hearth("key", "create", "looks", "--role", "reader").stdout.strip()
    assert post(hearthd, "notebook?identifier=a", TEXT, token=token).status_code == 403
