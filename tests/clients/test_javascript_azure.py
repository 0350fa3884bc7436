"""JavaScript: Azure's SDK for the pools, and the fetch that clients of the sessions are made of."""

import node_script
from conftest import AWKWARD_NAME, FIGURE, TEXT


def test_azure_arm_appcontainers_manages_pools():
    seen = node_script.run("arm.mjs")
    created = seen["created"]
    assert (created["name"], created["provisioningState"], created["tags"]) == ("arm-client", "Succeeded",
                                                                                {"team": "tests"})
    assert created["poolManagementEndpoint"].startswith("https://")
    assert created["dynamicPoolConfiguration"] == {
        "lifecycleConfiguration": {"lifecycleType": "Timed", "cooldownPeriodInSeconds": 600}}
    assert seen["got"]["id"] == created["id"]
    assert created["scaleConfiguration"]["maxConcurrentSessions"] == 7
    assert seen["updated"]["scaleConfiguration"]["maxConcurrentSessions"] == 9
    assert seen["updated"]["tags"] == {"team": "tests"}  # PATCH leaves what it does not name
    for names in seen["inGroup"], seen["inSubscription"]:
        assert {"default", "arm-client"} <= set(names)
    assert seen["afterDelete"] == {"statusCode": 404, "code": "ResourceNotFound"}


def test_fetch_runs_code_and_moves_files(identifier):
    seen = node_script.run("fetch.mjs", identifier, AWKWARD_NAME, TEXT.decode(), FIGURE)
    assert seen["assigned"]["status"] == "Success" and seen["assigned"]["result"] == ""
    assert (seen["computed"]["result"], seen["computed"]["stdout"]) == (42, "hi\n")
    assert seen["failed"]["status"] == "Failure" and "KeyError: 'missing'" in seen["failed"]["stderr"]
    assert (seen["uploaded"]["filename"], seen["uploaded"]["size"]) == (AWKWARD_NAME, len(TEXT))
    assert seen["listed"] == [AWKWARD_NAME] and seen["downloaded"] == TEXT.decode()
    assert (seen["missing"]["httpStatus"], seen["missing"]["error"]["code"]) == (404, "FileNotFound")
    assert seen["picture"]["result"]["format"] == "png" and seen["picture"]["stdout"] == "drawn\n"
