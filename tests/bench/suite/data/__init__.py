"""Generators. Each is a program: `python -m suite.data.NAME FOLDER …` fills FOLDER, the same size with the same
values, and writes `manifest.json`: what a correct reader must find."""
