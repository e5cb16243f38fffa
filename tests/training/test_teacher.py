import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from birdcore.config import TrainConfig
from birdcore.errors import RunError
from birdcore.models.checkpoint import find_weights, load_model
from birdcore.models.output import ModelOutput
from birdcore.training.loop import fit
from birdcore.training.run_directory import RunDirectory
from birdcore.training.teacher import Student, Teacher, imitation_loss

TAUGHT = TrainConfig(
    architecture="crnn",
    features="yamnet_wide",
    window_seconds=1.0,
    options={"width": 16, "hidden": 8},
    num_folds=2,
    epochs=4,
    windows_per_epoch=16,
    batch_size=4,
    warmup_epochs=0.5,
    init="crnn",  # a trunk that hears something: what the teacher means can be learnt in a few steps
    mixup=0.0,
    noise=0.0,
    spec_augment=0.0,
    teacher="embedding_mlp",
    teacher_weight=10.0,
)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.species = nn.Linear(6, 3)

    def forward(self, picture):
        return ModelOutput(clip=self.species(picture).mean(dim=1))


def test_a_run_imitates_its_teacher_and_leaves_nothing_of_it_in_the_weights(tmp_path, data):
    run = RunDirectory.create(tmp_path, TAUGHT)
    fit(run, data_root=data)
    losses = [row["train_imitation_loss"] for row in run.metrics()]
    assert losses[-1] < losses[0]
    weights = find_weights(run.path / "weights")
    load_model(weights)  # strict: no tensor too many
    assert weights.facts["provenance"]["teacher"].startswith("embedding_mlp: ")


def test_a_taught_run_that_was_killed_ends_like_one_that_was_not(tmp_path, data, monkeypatch):
    config = dataclasses.replace(TAUGHT, epochs=2, checkpoint_seconds=0.0)
    whole = RunDirectory.create(tmp_path, config, name="whole")
    fit(whole, data_root=data)
    killed = RunDirectory.create(tmp_path, config, name="killed")
    steps = []

    class Killed(BaseException):
        pass

    def die(*_):
        steps.append(1)
        if len(steps) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("birdcore.training.loop._report_progress", die)
        with pytest.raises(Killed):
            fit(RunDirectory.open(killed.path), data_root=data)
    fit(RunDirectory.open(killed.path), data_root=data)
    sha = [find_weights(run.path / "weights").facts["sha256"] for run in (whole, killed)]
    assert sha[0] == sha[1]


def test_what_the_teacher_heard_is_remembered(tmp_path, data, monkeypatch):
    monkeypatch.setenv("BIRDCORE_CACHE", str(tmp_path))
    recording = data / "low-0.wav"
    first = Teacher(find_weights("embedding_mlp")).track(recording)
    monkeypatch.setattr("birdcore.training.teacher.open_embedder", None)
    again = Teacher(find_weights("embedding_mlp")).track(recording)
    np.testing.assert_array_equal(first.embeddings, again.embeddings)


def test_without_its_teacher_a_run_goes_on_and_says_so(tmp_path, data, caplog):
    run = RunDirectory.create(tmp_path, dataclasses.replace(TAUGHT, teacher="nobody", epochs=1))
    fit(run, data_root=data)
    assert "Trained without a teacher" in caplog.text and "models add" in caplog.text
    assert "train_imitation_loss" not in run.metrics()[0]
    assert find_weights(run.path / "weights").facts["provenance"]["teacher"] == "none (nobody could not be used)"


def test_a_student_imitates_from_what_names_the_species():
    student = Student(Network(), num_outputs=3, size=5)
    picture = torch.randn(2, 7, 6)
    output, imitation = student(picture)
    torch.testing.assert_close(imitation, student.imitation(picture.mean(dim=1)))
    torch.testing.assert_close(output.clip, student.network(picture).clip)


def test_a_network_that_names_species_otherwise_cannot_imitate():
    with pytest.raises(RunError, match="teacher = ''"):
        Student(nn.Conv2d(1, 3, 1), num_outputs=3, size=5)


def test_windows_that_the_teacher_did_not_hear_count_nothing():
    estimate, target = torch.tensor([[1.0, 1.0], [9.0, 9.0]]), torch.zeros(2, 2)
    assert imitation_loss(estimate, target, torch.tensor([1.0, 0.0])).item() == 1.0
    assert imitation_loss(estimate, target, torch.zeros(2)).item() == 0.0
