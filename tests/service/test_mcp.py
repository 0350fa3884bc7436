"""/mcp, as far as a played guest can show it."""

import requests

from played import OPTIONS, Service


def call(service, *tools):
    """Each a name and its arguments; the answers' texts."""
    response = requests.post(f"{service.hearthd.url}/mcp", timeout=60, headers={
        "Authorization": f"Bearer {service.hearthd.token}", "Mcp-Session-Id": "1", "Accept": "application/json"}, json=[
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(tools)])
    assert response.status_code == 200, response.text
    return response.json()


def test_the_pools_limit_of_a_file(start, tmp_path):
    service = Service(start(*OPTIONS), tmp_path)
    assert service.request("PATCH", "sessionPools/default", json={"properties": {"maxFileSizeInMib": 3}}).status_code == 200
    answer, = call(service, ("upload_file", {"path": "size_max", "content": "x"}))
    assert answer["result"]["isError"] and f"{3 << 20} bytes" in answer["result"]["content"][0]["text"], answer
    service.end()


def test_a_batch_whose_answers_are_too_much(start, tmp_path):
    service = Service(start(*OPTIONS), tmp_path)
    answers = call(service, *[("download_file", {"path": "big"})] * 8)
    assert [answer["id"] for answer in answers] == list(range(8))
    assert all("result" in answer for answer in answers[:3]) and "in another one" in answers[-1]["error"]["message"]
    service.end()
