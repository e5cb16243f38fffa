import functools
import hashlib
import http.server
import sys
import threading

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from birdcore.errors import WeightsError
from birdcore.models.tflite_file import read_tflite_layers
from birdcore.models.yamnet import YamnetTrunk, load_yamnet, load_yamnet_trunk
from birdcore.models.yamnet_weights import (
    KERAS_CONVOLUTIONS,
    PUBLISHED_FILES,
    fetch_yamnet,
    fold_keras_layers,
    read_yamnet_layers,
)


@pytest.fixture
def server(tmp_path):
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def keras_arrays():
    """Random weights under the names and in the shapes of the published yamnet.h5."""
    generator = np.random.default_rng(0)
    arrays, inputs = {}, 1
    trunk = YamnetTrunk()
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    for layer, module in zip(KERAS_CONVOLUTIONS, convolutions, strict=True):
        outputs, size = module.out_channels, module.kernel_size[0]
        if "depthwise" in layer:
            shape, kernel = (size, size, outputs, 1), "depthwise_kernel"
        else:
            shape, kernel = (size, size, inputs, outputs), "kernel"
        arrays[f"{layer}/{layer}/{kernel}:0"] = generator.normal(size=shape) / np.sqrt(size * size * shape[2])
        for name in ("beta", "moving_mean"):
            arrays[f"{layer}/bn/{layer}/bn/{name}:0"] = generator.normal(size=outputs) * 0.1
        arrays[f"{layer}/bn/{layer}/bn/moving_variance:0"] = generator.uniform(0.5, 2.0, size=outputs)
        inputs = outputs
    arrays["logits/logits/kernel:0"] = generator.normal(size=(1024, 521))
    arrays["logits/logits/bias:0"] = generator.normal(size=521)
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def run_as_keras(arrays, picture):
    """The published network written out, unfolded: time before frequency, batch normalisation after each convolution."""
    x = torch.from_numpy(picture)[None, None]  # (1, 1, time, frequency)
    strides = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for layer in KERAS_CONVOLUTIONS:
        depthwise = "depthwise" in layer
        kernel = arrays[f"{layer}/{layer}/{'depthwise_kernel' if depthwise else 'kernel'}:0"]
        weight = torch.from_numpy(kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)).copy())
        stride = 1 if "pointwise" in layer else strides[int(layer.split("/")[0].removeprefix("layer")) - 1]
        if weight.shape[-1] == 3:
            x = functional.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
        x = functional.conv2d(x, weight, stride=stride, groups=len(weight) if depthwise else 1)
        beta, mean, variance = (
            torch.from_numpy(arrays[f"{layer}/bn/{layer}/bn/{name}:0"])
            for name in ("beta", "moving_mean", "moving_variance")
        )
        x = torch.relu(functional.batch_norm(x, mean, variance, bias=beta, eps=1e-4))
    return x.mean(dim=(2, 3))[0].numpy()


@pytest.fixture
def h5_file(tmp_path):
    """A file as Keras saves weights: a group of each layer, in it the variables, whose names hold the layer's again."""
    arrays = keras_arrays()
    path = tmp_path / "yamnet.h5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path, arrays


def test_keras_weights_give_the_unfolded_network(h5_file):
    path, arrays = h5_file
    picture = np.random.default_rng(1).normal(size=(96, 64)).astype(np.float32)
    model = load_yamnet(path)
    with torch.inference_mode():
        embedding = model.trunk(torch.from_numpy(picture.T.copy())[None, None])[-1].mean(dim=(2, 3))[0].numpy()
    expected = run_as_keras(arrays, picture)
    assert np.abs(embedding - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.array_equal(model.classifier.weight.detach().numpy(), arrays["logits/logits/kernel:0"].T)


def test_names_of_a_model_saved_whole_are_understood():
    arrays = keras_arrays()
    whole = {f"model_weights/{name}".replace("logits/logits", "dense/dense"): v for name, v in arrays.items()}
    for (ours, bias), (theirs, other) in zip(
        fold_keras_layers(arrays, source="a"), fold_keras_layers(whole, source="b"), strict=True
    ):
        assert np.array_equal(ours, theirs) and np.array_equal(bias, other)


def test_a_missing_layer_is_named():
    arrays = keras_arrays()
    del arrays["layer7/pointwise_conv/bn/layer7/pointwise_conv/bn/beta:0"]
    with pytest.raises(WeightsError, match=r"yamnet\.h5: holds no 'layer7/pointwise_conv/bn/beta'"):
        fold_keras_layers(arrays, source="yamnet.h5")


def test_half_a_file_is_refused(h5_file):
    path, _ = h5_file
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"yamnet\.h5: not an HDF5 file that can be read"):
        load_yamnet(path)


def test_without_h5py_the_other_file_is_recommended(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "yamnet.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n rest")
    with pytest.raises(WeightsError, match=r"needs the package h5py .* yamnet\.tflite is read without it"):
        load_yamnet_trunk(YamnetTrunk(), path)


def test_the_real_file_holds_27_convolutions_and_a_classifier(shared_data):
    layers = read_yamnet_layers(shared_data.parent / "models" / "yamnet.tflite")
    assert len(layers) == 28 and layers[-1][0].shape == (521, 1024) and layers[-1][1].shape == (521,)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match="not a TensorFlow Lite model"):
        read_tflite_layers(path)


def test_published_files_have_checksums():
    assert set(PUBLISHED_FILES) == {"tflite", "h5"}
    for published in PUBLISHED_FILES.values():
        assert published.url.startswith("https://") and len(published.sha256) == 64


def test_a_download_is_checked_kept_and_not_repeated(server, tmp_path):
    folder, address = server
    (folder / "file").write_bytes(b"weights")
    wanted = {"url": f"{address}/file", "sha256": hashlib.sha256(b"weights").hexdigest(), "folder": tmp_path / "kept"}
    path = fetch_yamnet(**wanted)
    assert path == tmp_path / "kept" / "yamnet.tflite" and path.read_bytes() == b"weights"
    (folder / "file").unlink()
    assert fetch_yamnet(**wanted) == path
    assert [p.name for p in path.parent.iterdir()] == ["yamnet.tflite"]


def test_another_file_than_the_published_one_is_not_kept(server, tmp_path):
    folder, address = server
    (folder / "file").write_bytes(b"<html>please log in</html>")
    with pytest.raises(WeightsError, match=r"is not the published file .* give its path"):
        fetch_yamnet(url=f"{address}/file", sha256="0" * 64, folder=tmp_path)
    assert not (tmp_path / "yamnet.tflite").exists()


def test_a_download_that_breaks_off_is_an_error_and_leaves_nothing(tmp_path):
    class Torn(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Torn) as running:
        thread = threading.Thread(target=running.handle_request)
        thread.start()
        with pytest.raises(
            WeightsError, match=r"could not be downloaded .* without a network connection, get the file"
        ):
            fetch_yamnet(url=f"http://127.0.0.1:{running.server_address[1]}/x", sha256="0" * 64, folder=tmp_path)
        thread.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/yamnet.tflite", "file:///no/such/yamnet.tflite", "nonsense"])
def test_without_a_network_the_error_says_what_to_do(tmp_path, url):
    with pytest.raises(WeightsError, match=r"could not be downloaded .* without a network connection, get the file"):
        fetch_yamnet(url=url, sha256="0" * 64, folder=tmp_path)


def test_a_file_that_is_not_there_is_an_error(server, tmp_path):
    with pytest.raises(WeightsError, match="File not found"):
        fetch_yamnet(url=f"{server[1]}/none", sha256="0" * 64, folder=tmp_path)


def test_a_url_without_a_checksum_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="both its url and its sha256"):
        fetch_yamnet(url="https://example.org/yamnet.tflite", folder=tmp_path)


def test_the_real_file_is_fetched_and_read(shared_data, tmp_path):
    file = shared_data.parent / "models" / "yamnet.tflite"
    digest = "469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194"
    path = fetch_yamnet(url=file.as_uri(), sha256=digest, folder=tmp_path)
    assert path.read_bytes() == file.read_bytes()
