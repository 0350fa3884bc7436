"""/openapi.json has every route of the router, and what it says of answers is so."""

import os
import re

from native import ROOT


def routes():
    """Method and path of each route, as the document writes them."""
    with open(os.path.join(ROOT, "api", "router.c")) as file:
        table = file.read().split("static const struct route routes[] = {", 1)[1].split("\n};", 1)[0]
    found = set()
    for place, method, path in re.findall(r'\{ (\w+), \w+, "(\w+)",\s+"([^"]*)"', table):
        prefix = {"DATA": "/", "POOL": "/sessionPools/*", "POOLS": "/sessionPools", "ARM": "/"}[place]
        found.add((method.lower(), prefix + path.replace("**", "*")))  # of many segments, which OpenAPI cannot say
    assert len(found) > 20
    return found


def target_of(document, reference):
    node = document
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    return node


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def operations(document):
    return [(method, path, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_every_route_is_in_it_and_no_other(hearthd):
    document = hearthd.start().get("openapi.json", token=False).json()
    assert document["openapi"].startswith("3.1")
    documented = {(method, re.sub(r"\{\w+\}", "*", path)) for method, path, _ in operations(document)}
    # What is said of one kind of pool stands beside what is said of all.
    assert documented - {("post", "/sessionPools/*/executions")} == routes()
    assert ("post", "/executions") in documented


def test_it_is_sound(hearthd):
    document = hearthd.start().get("openapi.json").json()
    for reference in references(document):
        assert target_of(document, reference) is not None, reference
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(document):
        assert operation["summary"] and operation["responses"], path
        in_path = {p["name"] for p in (target_of(document, q["$ref"]) for q in operation.get("parameters", []))
                   if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), path


def check(document, schema, value, where):
    """As much of JSON Schema as the document uses."""
    if "$ref" in schema:
        return check(document, target_of(document, schema["$ref"]), value, where)
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list,
             "null": type(None)}
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    assert not types or any(isinstance(value, kinds[kind]) for kind in types), (where, value)
    assert "enum" not in schema or value in schema["enum"], (where, value)
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value), (where, value)
        if schema.get("additionalProperties") is False:
            assert set(value) <= set(schema["properties"]), (where, value)
        for key, member in value.items():
            if key in schema.get("properties", {}):
                check(document, schema["properties"][key], member, f"{where}.{key}")
    elif isinstance(value, list) and "items" in schema:
        for member in value:
            check(document, schema["items"], member, f"{where}[]")


def test_answers_are_as_it_says(hearthd):
    document = hearthd.start("--max-sessions", "1").get("openapi.json").json()
    hearthd.execute("a")
    pool = {"properties": {"scaleConfiguration": {"maxConcurrentSessions": 3, "readySessionInstances": 0}}}
    calls = [("post", "/executions", {"json": {"code": "1"}, "params": {"identifier": "a"}}),
             ("post", "/code/execute", {"json": {"properties": {"code": 1}}, "params": {"identifier": "a"}}),
             ("put", "/sessionPools/{poolName}", {"json": pool}), ("put", "/sessionPools/{poolName}", {"json": pool}),
             ("patch", "/sessionPools/{poolName}", {"json": {"tags": {"a": "b"}}}),
             ("put", "/sessionPools/{poolName}", {"json": {"properties": {"containerType": "Cobol"}}})]
    calls += [(method, path, {"params": parameters}) for method, path, operation in operations(document)
              for parameters in ({"identifier": "a", "target": "b"}, {}, {"api-version": "never"})]
    for method, path, options in calls:
        for token in True, False:
            place = path.format(poolName="p1", templateName="t1", executionId="e1", filePath="f1", keyId="k1",
                                identifier="a", subscriptionId="s1", resourceGroupName="g1", environmentName="n1",
                                location="l1", operationId="o1", assignmentName="a1")
            answer = hearthd.request(method.upper(), place[1:], token=token, **options)
            described = document["paths"][path][method]["responses"].get(str(answer.status_code))
            assert described, (method, path, options, answer.status_code, answer.text)
            described = target_of(document, described["$ref"]) if "$ref" in described else described
            kind = answer.headers.get("Content-Type")
            assert not answer.content or kind in described["content"], (method, path, kind)
            if answer.content and "json" in kind:
                check(document, described["content"][kind]["schema"], answer.json(), f"{method} {path}")
