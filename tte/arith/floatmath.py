"""Functions of floats by + - * / alone, bit for bit runtime_c/tte_math.h.

Every operation is one in float32, in the order written here; with float64 arguments the polynomials keep their accuracy
of float32, but differences are smooth. Floor 1.
"""

from __future__ import annotations

import numpy as np

from tte.types import Array

F32 = np.float32
EXP = tuple(map(F32, (0.00139465043, 0.00836918782, 0.0416662619, 0.166665152, 0.5)))  # our fits, least squares
TANH = tuple(map(F32, (-0.00577290216, 0.0207005311, -0.0537586398, 0.133316681, -0.333332896)))
ERF = tuple(map(F32, (-0.000569663534, 0.00493449671, -0.0267269667, 0.112807877, -0.376124144, 0.128379151)))
ERFC = tuple(map(F32, (0.00115487631, -0.0148107624, 0.0887279361, 0.654356837, 1.11752987, 0.00264683412)))  # -log
LOG = tuple(map(F32, (2 / 9, 2 / 7, 2 / 5, 2 / 3)))  # of the series of log((1 + s) / (1 - s)); |s| < 0.172


def exp(x: Array) -> Array:
    """e**x within 2 units in the last place; 0 below -87 and infinity above 88.7. x is not NaN."""
    x = np.asarray(x)
    t = np.clip(x, F32(-87), F32(88.7)).astype(x.dtype)
    n = np.rint(t * F32(1.44269504))
    r = (t - n * F32(0.693359375)) - n * F32(-0.000212194440)
    p = np.full_like(r, EXP[0])
    for c in EXP[1:]:
        p = p * r + c
    y = p * (r * r) + r + F32(1)
    half = np.floor(n * F32(0.5))
    scaled = y * _power(half) * _power(n - half)
    result: Array = np.where(x < F32(-87), F32(0), np.where(x > F32(88.7), F32(np.inf), scaled)).astype(x.dtype)
    return result


def sigmoid(x: Array) -> Array:
    """1 / (1 + e**-x)."""
    result: Array = (F32(1) / (F32(1) + exp(-np.asarray(x)))).astype(np.asarray(x).dtype)
    return result


def tanh(x: Array) -> Array:
    """The hyperbolic tangent within 2 units in the last place: a polynomial near zero, else by exp."""
    x = np.asarray(x)
    size = np.minimum(abs(x), F32(20)).astype(x.dtype)
    square = size * size
    p = np.full_like(x, TANH[0])
    for c in TANH[1:]:
        p = p * square + c
    near = p * square * size + size
    far = F32(1) - F32(2) / (exp(size + size) + F32(1))
    result: Array = np.copysign(np.where(size < F32(0.625), near, far), x).astype(x.dtype)
    return result


def erf(x: Array) -> Array:
    """The error function within 2 units in the last place: a polynomial near zero, else by exp; 1 from 4 on."""
    x = np.asarray(x)
    size = np.minimum(abs(x), F32(4)).astype(x.dtype)
    square = size * size
    near, far = np.full_like(x, ERF[0]), np.full_like(x, ERFC[0])
    for c in ERF[1:]:
        near = near * square + c
    for c in ERFC[1:]:
        far = far * size + c
    y = np.where(size < F32(1), near * size + size, F32(1) - exp(-far))
    result: Array = np.copysign(y, x).astype(x.dtype)
    return result


def total(x: Array) -> Array:
    """Sums along the last axis, which stays, added in order to 0."""
    result: Array = np.add.accumulate(x, -1)[..., -1:] + x.dtype.type(0)
    return result


def log(x: Array) -> Array:
    """The natural logarithm within 2 units in the last place. x is a positive normal number."""
    x = np.asarray(x)
    m, n = np.frexp(x)
    low = m < F32(0.70710677)
    m, n = np.where(low, m + m, m), (n - low).astype(x.dtype)
    f = m - F32(1)
    s = f / (F32(2) + f)
    square = s * s
    p = np.full_like(s, LOG[0])
    for c in LOG[1:]:
        p = p * square + c
    result: Array = n * F32(0.693359375) + (s + s + (s * square * p + n * F32(-0.000212194440)))
    return result


def _power(n: Array) -> Array:
    """2**n, exactly; |n| <= 64."""
    result: Array = np.ldexp(np.ones_like(n), n.astype(np.int32))
    return result
