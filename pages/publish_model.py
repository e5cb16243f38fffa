"""Publish a model: calibrate a trained model, measure it, ask the gate, and offer it; or bring back an earlier version."""

import streamlit as st

from birdcore import webapp

webapp.need_frame("pages/publish_model.py")
st.title("Publish a model")
st.markdown(
    "From a training run to a model that the app offers. It must pass the gate first: silent on noise, speech and "
    "silence, better than chance, and no worse than the model it replaces."
)

if webapp.may_publish():
    run = webapp.choose_publishable_run()
    if run is not None:
        webapp.choose_publication(run)
        webapp.show_publication(run)

webapp.show_published_versions()
