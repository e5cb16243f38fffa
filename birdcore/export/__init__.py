"""Writing what was found for other programs, and reading it back.

- :mod:`birdcore.export.table`: ``events.csv``, one row per event
- :mod:`birdcore.export.raven`: Raven selection tables
- :mod:`birdcore.export.audacity`: Audacity label tracks
- :mod:`birdcore.export.submission`: BirdCLEF submissions
- :mod:`birdcore.export.cells`: texts that are safe in the cells of a table and on the terminal
"""
