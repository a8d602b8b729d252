from controller.signals.feeds.provider import Ask


def test_a_question_carries_no_secret_of_its_own():
    ask = Ask("https://api.example/price", {"zone": "DE"}, secret_param="securityToken")
    assert "securityToken" not in ask.params
    assert not ask.is_repeated
