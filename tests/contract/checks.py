"""What schemathesis is taught about hearthd (SCHEMATHESIS_HOOKS)."""

import ipaddress

import schemathesis


@schemathesis.check
def only_allocation_fails(ctx, response, case):
    """Where no microVM can start, what needs one says so; else nothing is the server's fault."""
    if response.status_code >= 500:
        code = response.json()["error"]["code"]
        assert code == "SessionAllocationFailed", f"{case.method} {case.path} answers {response.status_code} {code}"


def strings_and_numbers(value):
    if isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from strings_and_numbers(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings_and_numbers(member)
    else:
        yield value


@schemathesis.hook
def filter_body(ctx, body):
    """JSON that hearthd's parser refuses wherever it stands, which no schema can say: names with NUL, huge numbers."""
    return not any(isinstance(value, str) and "\0" in value or isinstance(value, int) and abs(value) >= 1 << 63
                   for value in strings_and_numbers(body))


def without_host_bits(entry):
    try:
        return str(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        return entry


@schemathesis.hook
def map_body(ctx, body):
    """An egress policy's networks have no bits behind their prefix, which no schema can say either."""
    try:
        policy = body["properties"]["sessionNetworkConfiguration"]["egressPolicy"]
        for verb in "allow", "deny":
            policy[verb] = [without_host_bits(entry) for entry in policy[verb]]
    except (KeyError, TypeError):
        pass
    return body
