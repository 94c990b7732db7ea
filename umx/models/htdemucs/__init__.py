"""HTDemucs (Demucs v4): a convolutional network on waveform and spectrum, with a transformer between both.

Rouard, Massa, Défossez: "Hybrid Transformers for Music Source Separation", ICASSP 2023. The reference is the PyPI
package `demucs` 4.0.1.
"""
