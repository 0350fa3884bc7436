"""GET metadata, from the list of contents beside the image."""

import json

import pytest
import requests

MANIFEST = {"python": {"version": "3.11.2", "packages": {"ipython": "9.0", "numpy": "2.4"}}, "node": {"version": "24.1.0"},
            "debian": {"version": "12.15", "packages": {"bash": "5.2"}}}


def get(hearthd, path="metadata", method="GET", **properties):
    return requests.request(method, f"{hearthd.url}/{path}", json=properties or None, timeout=10,
                            headers={"Authorization": f"Bearer {hearthd.token}"})


def make_pool(hearthd, kind):
    made = get(hearthd, f"sessionPools/{kind}", "PUT", properties={"containerType": kind})
    assert made.status_code in (200, 201), made.text


def test_it_tells_the_list(start, tmp_path):
    (tmp_path / "image.json").write_text(json.dumps(MANIFEST))
    hearthd = start()
    answer = get(hearthd).json()
    assert answer["runtimes"] == [{"name": "python", "version": "3.11.2"}, {"name": "node", "version": "24.1.0"}]
    assert {"name": "numpy", "version": "2.4"} in answer["preInstalledPackages"]
    assert answer["jupyterKernel"]["version"] == "9.0"
    assert answer["createdAt"] == answer["lastUpdatedAt"]


def test_the_runtime_of_the_pool_comes_first(start, tmp_path):
    (tmp_path / "image.json").write_text(json.dumps(MANIFEST))
    hearthd = start()
    make_pool(hearthd, "NodeLTS")
    assert get(hearthd, "sessionPools/NodeLTS/metadata").json()["runtimes"][0]["name"] == "node"
    assert get(hearthd, "sessionPools/none/metadata").status_code == 404


def test_pool_of_shells_tells_the_system_and_no_kernel(start, tmp_path):
    (tmp_path / "image.json").write_text(json.dumps(MANIFEST))
    hearthd = start()
    make_pool(hearthd, "Shell")
    answer = get(hearthd, "sessionPools/Shell/metadata").json()
    assert answer["runtimes"] == [{"name": "Debian", "version": "12.15"}, {"name": "python", "version": "3.11.2"},
                                  {"name": "node", "version": "24.1.0"}]
    assert answer["preInstalledPackages"] == [{"name": "bash", "version": "5.2"}]
    assert "jupyterKernel" not in answer


def test_it_needs_a_token(start, tmp_path):
    (tmp_path / "image.json").write_text(json.dumps(MANIFEST))
    assert requests.get(start().url + "/metadata", timeout=10).status_code == 401


@pytest.mark.parametrize("text", [None, "", "[1]", '{"python": {"version": 3}}',
                                  json.dumps({**MANIFEST, "python": {"version": "3", "packages": {"a": 1}}}),
                                  json.dumps({**MANIFEST, "debian": {"version": "12", "packages": ["bash"]}})])
def test_without_a_list_that_makes_sense_it_says_so(start, tmp_path, text):
    if text is not None:
        (tmp_path / "image.json").write_text(text)
    hearthd = start()
    answer = get(hearthd)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "MetadataNotFound")
    assert "GET metadata has nothing to tell" in hearthd.log()
