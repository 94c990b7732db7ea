"""A mixing desk's tools. Signals are float32 (2, samples) at 44.1 kHz, levels in dB."""

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter, oaconvolve, resample_poly, sosfilt

RATE = 44100
LEVEL = 0.1  # rms that every part is brought to before it is weighed against the others

Audio = np.ndarray
Rng = np.random.Generator


def gain(level: float) -> float:
    return float(10 ** (level / 20))


def loudness(x: Audio) -> float:
    """Rms over the tenths of a second that are not silent."""
    blocks = (
        np.square(x[:, : x.shape[1] // 4410 * 4410]).mean(axis=0).reshape(-1, 4410).mean(axis=1)
    )
    blocks = blocks[blocks > 1e-3 * blocks.max(initial=1e-9)]
    return float(np.sqrt(blocks.mean())) if len(blocks) else 0.0


def level(x: Audio, target: float = LEVEL) -> Audio:
    """Bring a signal to a loudness. Silence stays silence."""
    now = loudness(x)
    return x * np.float32(target / now) if now > 1e-6 else x


def biquad(kind: str, frequency: float, boost: float = 0.0, q: float = 0.7) -> Audio:
    """One section for `equalise`: lowpass, highpass, peak, lowshelf or highshelf (R. Bristow-Johnson's cookbook)."""
    a = 10 ** (boost / 40)
    w = 2 * np.pi * min(frequency, 0.48 * RATE) / RATE
    c, alpha = np.cos(w), np.sin(w) / (2 * q)
    s = 2 * np.sqrt(a) * alpha
    match kind:
        case "lowpass":
            up, down = [(1 - c) / 2, 1 - c, (1 - c) / 2], [1 + alpha, -2 * c, 1 - alpha]
        case "highpass":
            up, down = [(1 + c) / 2, -1 - c, (1 + c) / 2], [1 + alpha, -2 * c, 1 - alpha]
        case "peak":
            up = [1 + alpha * a, -2 * c, 1 - alpha * a]
            down = [1 + alpha / a, -2 * c, 1 - alpha / a]
        case "lowshelf" | "highshelf":
            c = c if kind == "lowshelf" else -c
            sign = 1 if kind == "lowshelf" else -1
            up = [
                a * (a + 1 - (a - 1) * c + s),
                sign * 2 * a * (a - 1 - (a + 1) * c),
                a * (a + 1 - (a - 1) * c - s),
            ]
            down = [
                a + 1 + (a - 1) * c + s,
                sign * -2 * (a - 1 + (a + 1) * c),
                a + 1 + (a - 1) * c - s,
            ]
        case _:
            raise ValueError(f"There is no filter of kind {kind!r}.")
    return np.r_[np.array(up), down] / down[0]


def equalise(x: Audio, *sections: Audio) -> Audio:
    return sosfilt(np.array(sections), x, axis=-1).astype(np.float32)


def pan(x: Audio, position: float) -> Audio:
    """Pan at constant power: -1 left, 0 centre, 1 right."""
    angle = (position + 1) * np.pi / 4
    return x * np.float32(np.sqrt(2)) * np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)


def width(x: Audio, factor: float) -> Audio:
    """Scale the difference of the channels: 0 is mono."""
    middle, side = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2 * np.float32(factor)
    return np.stack([middle + side, middle - side])


def drive(x: Audio, amount: float, bias: float = 0.0) -> Audio:
    """Soft clipping at twice the rate, to keep the aliases low."""
    y = resample_poly(x, 2, 1, axis=-1)
    y = np.tanh(amount * y + bias) - np.tanh(bias)
    return resample_poly(y, 1, 2, axis=-1)[:, : x.shape[1]].astype(np.float32)


def compression(x: Audio, threshold: float, ratio: float, attack: float, release: float) -> Audio:
    """The gain (samples,) of a compressor; threshold in dB over the signal's own loudness, times in seconds."""
    hop = 256
    peaks = np.abs(x[:, : x.shape[1] // hop * hop]).max(axis=0).reshape(-1, hop).max(axis=1)
    over = 20 * np.log10((peaks + 1e-6) / max(loudness(x), 1e-6)) - 6 - threshold
    wanted = np.maximum(0, over)
    fast, slow = np.exp(-hop / RATE / attack), np.exp(-hop / RATE / release)
    state, reduction = 0.0, np.empty(len(wanted))
    for i, value in enumerate(wanted.tolist()):
        pole = fast if value > state else slow
        state = pole * state + (1 - pole) * value
        reduction[i] = state
    curve = 10 ** (-reduction * (1 - 1 / ratio) / 20)
    centres = np.arange(len(wanted)) * hop + hop / 2
    return np.interp(np.arange(x.shape[1]), centres, curve).astype(np.float32)


def compress(
    x: Audio, threshold: float = -3, ratio: float = 3, attack: float = 0.01, release: float = 0.12
) -> Audio:
    return x * compression(x, threshold, ratio, attack, release)


def reverb(r: Rng, x: Audio, wet: float, seconds: float | None = None) -> Audio:
    """Add a room: noise that decays, faster at the top, with a few early reflections."""
    seconds = seconds or float(np.exp(r.uniform(np.log(0.25), np.log(2.6))))
    n = int(RATE * min(1.1 * seconds, 4))
    time = np.arange(n) / RATE
    brightness = r.uniform(0.6, 2)
    noise = r.standard_normal((2, n)).astype(np.float32)
    low = equalise(noise, biquad("lowpass", 1500 * brightness))
    room = low * np.exp(-6.9 * time / seconds)
    room += 0.7 * (noise - low) * np.exp(-6.9 * time / (0.35 * brightness * seconds))
    for _ in range(6):
        room[r.integers(2), min(int(r.uniform(0.003, 0.05) * RATE), n - 1)] += r.uniform(1.5, 6)
    room = equalise(np.roll(room, int(r.uniform(0, 0.04) * RATE), axis=1), biquad("highpass", 150))
    room /= np.sqrt(np.square(room).sum(axis=1, keepdims=True))
    wetness = oaconvolve(x, room, axes=1)[:, : x.shape[1]]
    return (x + wet * wetness).astype(np.float32)


def delay(x: Audio, seconds: float, feedback: float, wet: float, ping_pong: bool = False) -> Audio:
    """Add echoes; ping_pong swaps sides every time."""
    step = int(seconds * RATE)
    y, echo = x.copy(), x
    while wet > 0.02 and 0 < step < echo.shape[1]:
        echo = (echo[::-1] if ping_pong else echo)[:, :-step]
        y[:, -echo.shape[1] :] += np.float32(wet) * echo
        wet *= feedback
    return y


def faster(x: Audio, ratio: float) -> Audio:
    """Play faster, and so higher, by `ratio`."""
    places = np.arange(int(x.shape[1] / ratio)) * ratio
    old = np.arange(x.shape[1])
    return np.stack([np.interp(places, old, channel) for channel in x]).astype(np.float32)


def limit(x: Audio, ceiling: float = 0.97) -> Audio:
    """The gain (samples,) that keeps x under the ceiling, a few milliseconds ahead of every peak."""
    hop = 220
    padded = np.pad(np.abs(x).max(axis=0), (0, -x.shape[1] % hop))
    wanted = np.minimum(1, ceiling / np.maximum(padded.reshape(-1, hop).max(axis=1), 1e-6))
    held = np.minimum.reduce([np.roll(wanted, shift) for shift in range(-3, 12)])
    smooth = np.convolve(np.pad(held, 3, mode="edge"), np.ones(7) / 7, "valid")
    centres = np.arange(len(smooth)) * hop + hop / 2
    return np.interp(np.arange(x.shape[1]), centres, smooth).astype(np.float32)


def master(r: Rng, stems: Audio) -> Audio:
    """Finish a song: weigh, equalise, compress and limit (stems, 2, samples) as one mixture.

    Everything is linear in the mixture at any moment, so the stems still add up to it.
    """
    weights = [gain(r.normal(mean, 2.5)) for mean in (-0.5, 0.0, -0.5, 0.5)]
    stems = stems * np.array(weights, np.float32)[:, np.newaxis, np.newaxis]
    tone = (
        biquad("lowshelf", r.uniform(80, 200), r.normal(0, 1.5)),
        biquad("peak", r.uniform(300, 3000), r.normal(0, 1.5)),
        biquad("highshelf", r.uniform(3000, 9000), r.normal(0, 2)),
    )
    stems = equalise(stems, *tone)
    if r.random() < 0.7:
        mixture = stems.sum(axis=0)
        attack, release = r.uniform(0.005, 0.03), r.uniform(0.08, 0.3)
        stems *= compression(mixture, r.uniform(-6, 0), r.uniform(1.3, 3), attack, release)
    # Half the songs are as loud as records since the nineties.
    target = r.uniform(0.1, 0.18) if r.random() < 0.5 else r.uniform(0.18, 0.32)
    mixture = stems.sum(axis=0)
    stems *= np.float32(target / max(loudness(mixture), 1e-6))
    stems *= limit(stems.sum(axis=0))
    return stems / max(1, np.abs(stems).max() / 0.999)


def sometimes(r: Rng, chance: float, effect: Callable[[Audio], Audio], x: Audio) -> Audio:
    return effect(x) if r.random() < chance else x


def pumping(x: Audio, beat: float, depth: float) -> Audio:
    """Side-chain compression by an imagined kick on every beat (seconds)."""
    phase = (np.arange(x.shape[1]) / RATE / beat) % 1
    return x * (1 - depth * np.clip(1 - 1.6 * phase, 0, 1)).astype(np.float32)


def one_pole(x: Audio, coefficient: float) -> Audio:
    return lfilter([1 - coefficient], [1, -coefficient], x).astype(np.float32)
