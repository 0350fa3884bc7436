"""A hundred sessions of one image at once, each with an answer of its own; and none that another one gets."""

import time

N_SESSIONS = 100


def test_a_hundred_sessions_at_once(make_pool):
    pool = make_pool("echo", sessions=N_SESSIONS)
    pool.session().end()
    sessions = [pool.session(f"many-{i}") for i in range(N_SESSIONS)]
    began = time.monotonic()
    first = [session.get("random") for session in sessions]
    print(f"{N_SESSIONS} sessions in {time.monotonic() - began:.1f} s")
    assert pool.client.health()["allocated"] == N_SESSIONS
    full = pool.session("one-too-many").request("GET", "random")
    assert full.status_code == 429 and int(full.headers["Retry-After"]) > 0
    second = [session.get("random") for session in reversed(sessions)]
    assert all(answer["counter"] == 1 for answer in first) and all(answer["counter"] == 2 for answer in second)
    assert len({answer["random"] for answer in first + second}) == 2 * N_SESSIONS
    for session in sessions:
        session.end()
