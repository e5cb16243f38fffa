"""Inference: from recordings to what a model says of them, and how good that is.

- :mod:`~birdcore.inference.predictor`, :mod:`~birdcore.inference.outside`: our models, and those made by others
- :mod:`~birdcore.inference.engine`, :mod:`~birdcore.inference.onnx_session`,
  :mod:`~birdcore.inference.waveform_models`: what runs a network
- :mod:`~birdcore.inference.events`, :mod:`~birdcore.inference.bands`, :mod:`~birdcore.inference.levels`: from scores to
  events, their frequencies and how loud they are
- :mod:`~birdcore.inference.batch`, :mod:`~birdcore.inference.batch_tables`, :mod:`~birdcore.inference.journal`: many
  recordings, resumable
- :mod:`~birdcore.inference.clip_report`, :mod:`~birdcore.inference.localization_report`,
  :mod:`~birdcore.inference.rejection_report`, :mod:`~birdcore.inference.analysed`: every figure of a model's card
- :mod:`~birdcore.inference.publish`, :mod:`~birdcore.inference.acceptance`, :mod:`~birdcore.inference.publication`: from a
  run to shipped weights
- :mod:`~birdcore.inference.classifier`, :mod:`~birdcore.inference.embedding`: custom classifiers
- :mod:`~birdcore.inference.quantization`: copies for small computers
- :mod:`~birdcore.inference.growing`: arrays that grow
"""
