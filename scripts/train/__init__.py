"""Make umx-mini again: fetch the sources, render songs, train, export. See README.md beside this file."""
