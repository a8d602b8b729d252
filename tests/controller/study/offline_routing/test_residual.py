from __future__ import annotations

import numpy as np

from controller.study.offline_routing.residual import Residual


def test_it_moves_what_is_cheapest_to_move() -> None:
    cost = np.array([[0.0, 5.0], [0.0, 1.0], [0.0, 3.0]])
    queries = np.array([[1, 0], [1, 0], [1, 0]])
    residual = Residual(cost, queries, (0, 2), (3, 3), np.zeros(2))
    assert residual.settle() is None
    assert queries.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert residual.prices()[1] == 3.0


def test_it_goes_by_a_third_model_where_that_is_cheaper() -> None:
    """Model 2 needs one: moving a query there directly costs 10, by way of model 1 only 1 + 1."""
    cost = np.array([[0.0, 1.0, 10.0], [9.0, 0.0, 1.0]])
    queries = np.array([[1, 0, 0], [0, 1, 0]])
    residual = Residual(cost, queries, (0, 1, 1), (2, 2, 2), np.zeros(3))
    assert residual.settle() is None
    assert queries.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_query_may_come_back() -> None:
    cost = np.array([[0.0, 1.0], [0.0, 2.0]])
    queries = np.array([[0, 1], [0, 1]])
    residual = Residual(cost, queries, (1, 0), (1, 2), np.array([0.0, 5.0]))
    assert residual.settle() is None
    assert queries.sum(axis=0).tolist() == [1, 1]
    assert queries.tolist() == [[0, 1], [1, 0]]


def test_a_model_whose_bound_cannot_be_kept_is_named() -> None:
    cost = np.array([[0.0, np.inf]])
    queries = np.array([[2, 0]])
    assert Residual(cost, queries, (0, 0), (1, 1), np.zeros(2)).settle() == 0
