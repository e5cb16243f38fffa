"""Identify birds: which species sing in a recording, when, and in which frequency band."""

import streamlit as st

from birdcore import webapp

webapp.need_frame("pages/identify_birds.py")
st.title("Identify birds")
st.markdown("Which species sing in a recording, when, and at what pitch.")

listening = webapp.listening()
if listening is None:
    webapp.show_missing_weights()
    st.stop()

recording = webapp.choose_recording()
if recording is None:
    # Whoever is still choosing does not wait for the model later.
    webapp.load_visibly(listening.weights)
    st.stop()

analysis = webapp.analyze_visibly(recording, listening)
if analysis is not None:
    webapp.show_answer(recording, analysis)
    webapp.show_results(recording, analysis)

recordings = webapp.chosen_recordings()
if len(recordings) > 1:
    webapp.show_all_recordings(recordings, listening)
