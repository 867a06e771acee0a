"""The ways that the decoding benchmark compares read the same."""

import numpy as np
import pytest

from vigia.bench import decode
from vigia.bench.load import Load, batches, readings
from vigia.sparkplug.decode import decode_columns


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("metrics", [1, 20])
def test_json_says_what_the_payloads_say(metrics: int, numbered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    load = Load(rows=200, metrics=metrics, edges=3)
    payloads = [batch.numbered(i) for i, batch in enumerate(batches(load))]
    columns = decode_columns(payloads if numbered else [decode.unnumbered(payload) for payload in payloads])
    texts = decode.as_json(columns)
    for alias, ts, value in (decode.by_orjson(texts), decode.by_msgspec(texts)):
        assert np.array_equal(value, readings(load).value)
        assert np.array_equal(ts, readings(load).ts)
        assert np.array_equal(alias, columns.alias[np.isfinite(columns.value)])


def test_every_way_is_measured_with_many_metrics_and_with_one() -> None:
    found = decode.measure(rounds=1)
    single, numbered = found["single_metric"], found["numbered_single_metric"]
    assert isinstance(single, dict)
    assert isinstance(numbered, dict)
    for figures in (found, single, numbered):
        ours = figures["vigia_metrics_per_s"]
        for other, ratio in (("protobuf", "ratio"), ("orjson", "orjson_ratio"), ("msgspec", "msgspec_ratio")):
            assert figures[ratio] == pytest.approx(ours / figures[f"{other}_metrics_per_s"], rel=0.05, abs=0.001)
