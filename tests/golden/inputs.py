"""Numbers that cases begin with."""
import math

import numpy as np


def normal(rng, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def structured(rng, n, c, h, w, relu=False, beta=1.2, mix=0.7, offset=0.3):
    """Smooth random fields with cross-talk between channels (natural-image like)."""
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :]
    amp = 1.0 / np.maximum(np.sqrt(fy ** 2 + fx ** 2), 0.5 / max(h, w)) ** beta
    base = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, c, h, w))) * amp).real
    base /= base.std() + 1e-12
    m = (1 - mix) * np.eye(c) + mix * rng.standard_normal((c, c)) / math.sqrt(c)
    img = np.einsum("ij,njhw->nihw", m, base) + offset * rng.standard_normal((1, c, 1, 1))
    img += 0.05 * rng.standard_normal(img.shape)
    return (np.maximum(img, 0) if relu else img).astype(np.float32)


def class_images(rng, count, shape, classes=10):
    """Smooth class templates plus smooth noise: labels are learnable."""
    tmpl = structured(rng, classes, *shape, beta=1.4, mix=0.0, offset=0.0)
    y = rng.integers(0, classes, count)
    x = tmpl[y] + 0.6 * structured(rng, count, *shape, beta=1.2, mix=0.0, offset=0.0) + 0.1
    return x.astype(np.float32), y.astype(np.int32)


def spd(rng, d, cond):
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    ev = np.logspace(0, -math.log10(cond), d)
    a = (q * ev) @ q.T
    return ((a + a.T) / 2).astype(np.float32)
