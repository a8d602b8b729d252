"""Constraints and costs of the plan, one file a topic.

Index sets as in `controller.optimizer.variables`. Where a docstring names arXiv 2606.18851, the idea is the paper's, as
far as its abstract and reviews tell it; its equations are not public, and the algebra is this project's.
"""
