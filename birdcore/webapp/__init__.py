"""The app's screens, in parts that pages put together. Only this package and the pages know Streamlit.

- :mod:`birdcore.webapp.recordings`: how recordings come in, and which one is being looked at
- :mod:`birdcore.webapp.models`: which model listens, and how
- :mod:`birdcore.webapp.analysis`: listening, once per recording, model and overlap
- :mod:`birdcore.webapp.results`: the answer, with :mod:`~birdcore.webapp.findings`, and :mod:`~birdcore.webapp.player`
- :mod:`birdcore.webapp.comparison`: several models on one recording
- :mod:`birdcore.webapp.exploration`: looking at sound itself
- :mod:`birdcore.webapp.dataset`: what is wrong with a data set; :mod:`~birdcore.webapp.dataset_contents`: what is in it
- :mod:`birdcore.webapp.desk`: setting up a training; :mod:`~birdcore.webapp.starting` checks the data and starts it, and
  :mod:`birdcore.webapp.training` is the sidebar's short way to it
- :mod:`birdcore.webapp.following`: looking on at runs, with :mod:`~birdcore.webapp.run_panel` for one of them,
  :mod:`~birdcore.webapp.best_epoch` for how good it is, and :mod:`~birdcore.webapp.run_comparison` for several;
  :mod:`~birdcore.webapp.observed` is what all look at
- :mod:`birdcore.webapp.publishing`: from a run to a model that the app offers, through the gate;
  :mod:`~birdcore.webapp.published`: how it was measured, and earlier versions
- :mod:`birdcore.webapp.cards`: what is known about the models
"""

from birdcore.webapp.analysis import analyze_visibly
from birdcore.webapp.appearance import show_logo
from birdcore.webapp.cards import show_models
from birdcore.webapp.comparison import choose_models, compare_models, show_comparison
from birdcore.webapp.dataset import (
    audit_visibly,
    choose_dataset,
    show_audit_downloads,
    show_dataset_overview,
    show_dataset_problems,
)
from birdcore.webapp.dataset_contents import show_dataset_figures, show_dataset_samples
from birdcore.webapp.desk import (
    choose_training_data,
    choose_training_settings,
    show_data_check,
    show_start,
    show_training_permission,
)
from birdcore.webapp.exploration import choose_display, choose_section, load_section, show_pictures
from birdcore.webapp.following import all_runs, choose_run, choose_view, show_desk, show_no_runs
from birdcore.webapp.models import (
    available_models,
    choose_model,
    listening,
    load_visibly,
    show_missing_weights,
    show_unusable_weights,
)
from birdcore.webapp.published import show_published_versions
from birdcore.webapp.publishing import choose_publication, choose_publishable_run, may_publish, show_publication
from birdcore.webapp.recordings import choose_recording, chosen_recordings
from birdcore.webapp.results import show_all_recordings, show_answer, show_results
from birdcore.webapp.routing import enter_frame, need_frame
from birdcore.webapp.run_comparison import compare_runs
from birdcore.webapp.run_panel import show_run
from birdcore.webapp.training import show_training, show_training_state
from birdcore.webapp.treatment import show_treatment

__all__ = [
    "all_runs",
    "analyze_visibly",
    "audit_visibly",
    "available_models",
    "choose_dataset",
    "choose_display",
    "choose_model",
    "choose_models",
    "choose_publication",
    "choose_publishable_run",
    "choose_recording",
    "choose_run",
    "choose_section",
    "choose_training_data",
    "choose_training_settings",
    "choose_view",
    "chosen_recordings",
    "compare_models",
    "compare_runs",
    "enter_frame",
    "listening",
    "load_section",
    "load_visibly",
    "may_publish",
    "need_frame",
    "show_all_recordings",
    "show_answer",
    "show_audit_downloads",
    "show_comparison",
    "show_data_check",
    "show_dataset_figures",
    "show_dataset_overview",
    "show_dataset_problems",
    "show_dataset_samples",
    "show_desk",
    "show_logo",
    "show_missing_weights",
    "show_models",
    "show_no_runs",
    "show_pictures",
    "show_publication",
    "show_published_versions",
    "show_results",
    "show_run",
    "show_start",
    "show_training",
    "show_training_permission",
    "show_training_state",
    "show_treatment",
    "show_unusable_weights",
]
