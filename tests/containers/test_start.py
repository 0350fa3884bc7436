"""How a session of a container begins: as a clone of one that runs and answers, or before its entrypoint."""


def test_a_warm_session_answers(echo):
    answer = echo.get("hello")
    assert answer["method"] == "GET" and answer["target"].startswith("/hello?identifier=")
    assert echo.show()["source"] == "warm"
    assert echo.get("again")["request"] == 2
