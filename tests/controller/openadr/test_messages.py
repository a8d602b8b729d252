from controller.openadr.messages import Problem, Token


def test_a_problem_reads_as_a_sentence():
    assert str(Problem(403, "Forbidden", "wrong role")) == "Forbidden: wrong role"
    assert str(Problem(500)) == "no reason given"


def test_a_token_is_not_printed():
    assert "s3cret" not in repr(Token("s3cret", 60.0))
