"""A recipe of a small picture, quick to train on, and the net that falls."""

from __future__ import annotations

from earmark.training.device import Device

CPU = Device("cpu", False, "a processor")
PICTURE = [
    "model.members=1",
    "optimiser.weight_decay=0.02",
    "front_end.sample_rate_hz=16000",
    "front_end.clip_s=1.0",
    "front_end.n_fft=512",
    "front_end.hop_length=250",
    "front_end.n_mels=32",
    "front_end.fmax_hz=7600",
    "augment.time_mask_frames=6",
    "augment.band_mask_bands=3",
    "training.batch_size=16",
]
# a saxophone detector to the letter: logits clipped at zero, a picture of -1 .. 1, Adam
SAX = [
    "model.name=sax-net",
    "model.arguments={output_relu: true}",
    "front_end.scaling=db",
    "front_end.ln_offset=1e-10",
    "front_end.db_ref=max",
    "front_end.top_db=80",
    "front_end.normalise=clip-minmax-symmetric",
    "optimiser.name=adam",
]
