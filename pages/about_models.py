"""About models: what each model knows, how well it was measured to know it, and where it fails."""

import streamlit as st

from birdcore import webapp

webapp.need_frame("pages/about_models.py")
st.title("About models")
st.markdown(
    "What each model knows, how well it was measured to know it, and where it fails. A score is not a certainty: "
    "listen to the calls, and look at their spectrograms, before you count a bird."
)

models = webapp.available_models()
if not models:
    webapp.show_missing_weights()
webapp.show_unusable_weights()
webapp.show_models(models)
