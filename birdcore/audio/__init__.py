"""Sound: from any file to samples and back, and what can be done to samples without knowing about birds.

- :mod:`~birdcore.audio.decode`: the one loader, streaming
- :mod:`~birdcore.audio.search`: the recordings in folders
- :mod:`~birdcore.audio.container`: what kind of file it is
- :mod:`~birdcore.audio.reader`: the two decoders behind the loader
- :mod:`~birdcore.audio.encode`: WAV, and a compact preview for the browser
- :mod:`~birdcore.audio.envelope`: the outline of a waveform, for drawing
- :mod:`~birdcore.audio.extraction`: which parts are signal and which are noise
- :mod:`~birdcore.audio.denoise`: spectral noise reduction
- :mod:`~birdcore.audio.speech`: where people speak, and the recording without it
- :mod:`~birdcore.audio.spans`, :mod:`~birdcore.audio.waveform`: time spans kept or silenced, and what a waveform is
"""
