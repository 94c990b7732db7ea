"""The signal path's own mathematics: transforms, the Wiener filter, samples, channel layouts."""
