from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from earmark.features.augment_spec import AugmentSpec


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"time_mask": 1}, "the augmentation has no field 'time_mask'; did you mean 'time_masks'?"),
        ({"noise_snr_db": [20.0, 10.0]}, "noise_snr_db is [20.0, 10.0], expected [low, high]"),
        ({"time_masks": 2}, "time_masks is 2 and time_mask_frames 0: either both are above 0 or neither"),
        ({"band_mask_bands": 8}, "band_masks is 0 and band_mask_bands 8"),
        ({"time_shift": 1.5}, "less than or equal to 1"),
    ],
)
def test_refused_in_one_sentence(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AugmentSpec(**fields)
    assert expected in refused.value.errors()[0]["msg"]


def test_pairs_come_as_lists_from_yaml() -> None:
    assert AugmentSpec(noise_snr_db=[5.0, 20.0]).noise_snr_db == (5.0, 20.0)
    assert AugmentSpec.model_validate_json(AugmentSpec(gain_db=6.0).model_dump_json()) == AugmentSpec(gain_db=6.0)
