"""The course's film: a script as data, figures from the course's own code, frames drawn by it.

`python -m tools.film` renders `film/`: lora.webm, lora.vtt, transcript.md and poster.png.
"""
