"""Models as files: manifest, weights, and the checkpoints that they are made from."""
