"""The one maker of model input: waveform → mel spectrogram → picture, driven by the config in the checkpoint.

Two steps, because the first can be computed once per recording (training caches it, inference slides windows over it)
and the second depends on the window: :meth:`MelSpectrogram.mel` is linear in frames, :meth:`MelSpectrogram.scale` is
per window and ends in what the network sees (mel bands, cepstral coefficients or both; one picture or a stack).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from birdcore.config import MelConfig
from birdcore.errors import ShapeError
from birdcore.features.mel_filters import bass_bank, mel_filters

__all__ = ["MelSpectrogram", "MelStream"]


class MelSpectrogram(nn.Module):
    """Mel spectrograms of a batch of waveforms, numerically those of librosa.

    Parameters
    ----------
    config : what to compute

    Source
    ------
    librosa.feature.melspectrogram (filters from :func:`mel_filters`, zero-padded centred frames) and
    librosa.feature.mfcc; without centring, the frames of ``tf.signal.stft``.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        # Derived from the config, so never saved with the weights.
        self.register_buffer("filters", torch.from_numpy(mel_filters(config)), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)
        if config.bass is not None:
            bass = bass_bank(config)
            filters = torch.from_numpy(mel_filters(bass))
            heard = int(filters.any(dim=0).nonzero().max()) + 1  # most bins lie above the bass
            self.register_buffer("bass_filters", filters[:, :heard].contiguous(), persistent=False)
            self.register_buffer("bass_window", torch.hann_window(bass.win_length), persistent=False)
        if config.scaling == "root":
            roots = [config.bass.root] * config.n_mels if config.bass is not None else []
            roots = torch.tensor([*roots, *[config.root] * config.n_mels])
            self.register_buffer("_roots", roots[:, None], persistent=False)
        if config.picture != "mel":
            self.register_buffer("cosines", _cosines(config.n_mfcc, config.n_mels), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Pictures of waveforms.

        Parameters
        ----------
        waveform : shape (batch, num_samples), float32 in [-1, 1], at ``config.sample_rate``

        Returns
        -------
        shape of :meth:`scale`
            ``num_frames = 1 + num_samples // hop_length`` where frames are centred, else
            ``1 + (num_samples - win_length) // hop_length``, and at least 1

        Raises
        ------
        ShapeError
            If the waveform is not two-dimensional or is empty.
        """
        return self.scale(self.mel(waveform))

    def mel(self, waveform: Tensor) -> Tensor:
        """Mel spectrograms before scaling: shape (batch, num_rows, num_frames), 0 or more."""
        if waveform.ndim != 2 or waveform.shape[1] == 0:
            raise ShapeError(
                f"waveform: shape {tuple(waveform.shape)}, expected (batch, num_samples) with samples in it"
            )
        left, right = _padding(self.config, waveform.shape[1])
        return self._frames(functional.pad(waveform, (left, right)))

    def _frames(self, padded: Tensor) -> Tensor:
        config, bass = self.config, self.config.bass
        if bass is None:
            return self._bank(padded, config.n_fft, self.window, self.filters)
        shorter = (bass.n_fft - config.n_fft) // 2  # both look at the same moments
        whole = padded[:, shorter : padded.shape[1] - shorter]
        return torch.cat(
            [
                self._bank(padded, bass.n_fft, self.bass_window, self.bass_filters),
                self._bank(whole, config.n_fft, self.window, self.filters),
            ],
            dim=1,
        )

    def _bank(self, padded: Tensor, n_fft: int, window: Tensor, filters: Tensor) -> Tensor:
        spectrum = torch.stft(
            padded,
            n_fft=n_fft,
            hop_length=self.config.hop_length,
            win_length=len(window),
            window=window,
            center=False,
            return_complex=True,
        )[:, : filters.shape[1]]
        power = (
            spectrum.real.square() + spectrum.imag.square()
        )  # a third of the time that abs() of complex numbers takes
        return filters @ (power if self.config.power == 2 else power ** (self.config.power / 2))

    def scale(self, mel: Tensor) -> Tensor:
        """Logarithm and normalisation of windows, and what pictures are made of them.

        Parameters
        ----------
        mel : shape (batch, num_rows, num_frames), 0 or more; each batch row is one window

        Returns
        -------
        shape (batch, height, width), or (batch, num_channels, height, width) with more than one channel
            Finite for any finite input, silence included. Height is ``n_mfcc`` for "mfcc", else ``n_mels``; width is
            ``num_frames / stack``, rounded up (a stacked window is filled up with silence); both are the config's
            ``resize`` where it has one. Channels: all spectrograms of the stack, then their cepstra; or the bass, then
            the whole.
        """
        config = self.config
        if mel.shape[-1] % config.stack:
            mel = functional.pad(mel, (0, -mel.shape[-1] % config.stack))
        if config.normalization == "level":
            mean = mel.mean(dim=(1, 2), keepdim=True)
            mel = mel * (config.level / mean.clamp(min=config.level / config.max_gain))
        if config.scaling == "log":
            scaled = torch.log(mel + config.offset)
        elif config.scaling == "log1p":
            scaled = torch.log1p(mel / config.offset)
        elif config.scaling == "root":
            scaled = mel**self._roots
        else:
            scaled = 10.0 * torch.log10(mel.clamp(min=config.offset))
        if config.normalization == "minmax":
            low, high = scaled.amin(dim=(1, 2), keepdim=True), scaled.amax(dim=(1, 2), keepdim=True)
            scaled = (scaled - low) / (high - low).clamp(min=1e-6)  # a constant picture becomes zeros, not NaN
        if config.bass is not None:
            return scaled.unflatten(1, (2, config.n_mels))
        kinds = [scaled] if config.picture == "mel" else [self.cosines @ scaled]
        if config.picture == "mel+mfcc":
            # Channels of one picture are of one size: the cepstrum is stretched to the height of the mel bands.
            cepstrum = functional.interpolate(kinds[0][:, None], size=scaled.shape[1:], mode="bilinear")[:, 0]
            kinds = [scaled, cepstrum]
        picture = torch.cat([_stack(kind, config.stack) for kind in kinds], dim=1)  # (batch, num_channels, H, W)
        if config.resize is not None:
            picture = functional.interpolate(picture, size=config.resize, mode="bilinear", align_corners=False)
        return picture if config.num_channels > 1 else picture[:, 0]


def _stack(picture: Tensor, count: int) -> Tensor:
    """Consecutive pieces of pictures (batch, height, width) as channels: (batch, count, height, width / count)."""
    batch, height, width = picture.shape
    return picture.reshape(batch, height, count, width // count).transpose(1, 2)


def _cosines(n_mfcc: int, n_mels: int) -> Tensor:
    """The first rows of the orthonormal DCT-II, shape (n_mfcc, n_mels)."""
    position = (torch.arange(n_mels, dtype=torch.float64) + 0.5) / n_mels
    cosines = torch.cos(torch.pi * torch.arange(n_mfcc, dtype=torch.float64)[:, None] * position)
    cosines *= (2.0 / n_mels) ** 0.5
    cosines[0] *= 0.5**0.5
    return cosines.float()


def _longest(config: MelConfig) -> int:
    """Samples of the longest transform."""
    return config.n_fft if config.bass is None else max(config.n_fft, config.bass.n_fft)


def _padding(config: MelConfig, num_samples: int) -> tuple[int, int]:
    """Zeros before and after a whole sound, so that its frames are as the config says and there is at least one."""
    if config.center:
        return _longest(config) // 2, _longest(config) // 2
    # torch centres the analysis window in n_fft; TensorFlow's begins with the frame.
    left = (config.n_fft - config.win_length) // 2
    return left, config.n_fft - config.win_length - left + max(0, config.win_length - num_samples)


class MelStream:
    """Mel spectrogram of a sound that arrives in blocks; the frames are those of the whole sound.

    Parameters
    ----------
    features : the maker; its config says what is computed
    """

    def __init__(self, features: MelSpectrogram) -> None:
        self._features = features
        self._num_samples = 0
        left, _ = _padding(features.config, 0)
        self._pending = np.zeros(left, dtype=np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take a block of shape (num_samples,); give the frames that are complete, shape (num_rows, num_new_frames)."""
        self._num_samples += len(samples)
        return self._advance(np.concatenate([self._pending, samples.astype(np.float32, copy=False)]))

    def finish(self) -> np.ndarray:
        """The last frames, which reach beyond the end of the sound: shape (num_rows, num_new_frames)."""
        _, right = _padding(self._features.config, self._num_samples)
        return self._advance(np.concatenate([self._pending, np.zeros(right, np.float32)]))

    def _advance(self, buffer: np.ndarray) -> np.ndarray:
        config = self._features.config
        n_fft = _longest(config)
        count = max(0, 1 + (len(buffer) - n_fft) // config.hop_length)
        self._pending = buffer[count * config.hop_length :]
        if count == 0:
            return np.zeros((config.num_rows, 0), dtype=np.float32)
        used = buffer[: (count - 1) * config.hop_length + n_fft]
        with torch.inference_mode():
            return self._features._frames(torch.from_numpy(used)[None])[0].numpy()
