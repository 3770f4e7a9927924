"""Numbers that look random and depend on nothing but the row's number."""

from __future__ import annotations

import numpy as np


def mix(numbers: np.ndarray, stream: int) -> np.ndarray:
    """64 well mixed bits per number (the finalizer of splitmix64); different streams are independent. One to one."""
    with np.errstate(over="ignore"):
        bits = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        bits += np.uint64((stream * 0xD1B54A32D192ED03) % 2**64)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))


def below(numbers: np.ndarray, stream: int, limit: int) -> np.ndarray:
    """Whole numbers from 0 to `limit` - 1."""
    return (mix(numbers, stream) % np.uint64(limit)).astype(np.int64)
