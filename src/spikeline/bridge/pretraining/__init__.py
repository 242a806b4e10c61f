"""Masking pretraining: an encoder of electrodes learns from responses alone; its transfer."""
