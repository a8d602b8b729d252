"""Answers of a router to ``GET /state``."""


def state(sequence=5, requests=10, tokens=1000.0, class_id="standard", **more):
    entry = {
        "class_id": class_id,
        "requests": requests,
        "finished": requests - 1,
        "input_tokens": 10 * requests,
        "output_tokens": tokens,
        "refused": 1,
        "in_flight": 3,
        "queued": 2,
        "output_tokens_by_pool": {"bf16": tokens},
    }
    return {"schema_version": 1, "table": {"state": "fresh", "sequence": sequence}, "classes": [{**entry, **more}]}
