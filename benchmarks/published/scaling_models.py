"""Parameters (millions) and units of work a sample of models that published tables name. Sizes that papers state.

A table's model name is matched by the first pattern that is found in it (lower case). What no pattern knows gets its
domain's typical size: the prediction then rests on the prior.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """`units_per_sample`: what the table counts (tokens, frames) in one sample of the batch, 1 where it counts samples."""

    domain: str
    parameters: float
    units_per_sample: float = 1.0
    known: bool = True


# pattern, domain, millions of parameters that are exchanged every step, units a sample.
# Recommenders: only the dense part is all-reduced.
_KNOWN: tuple[tuple[str, str, float, float], ...] = (
    (r"albert", "language", 12, 1),
    (r"distilbert", "language", 66, 1),
    (r"bert.?base|base.?bert|bert_base", "language", 110, 1),
    (r"bert|electra", "language", 336, 1),
    (r"bart", "language", 406, 1),
    (r"transformer.?xl.*large", "language", 257, 384),
    (r"transformer.?xl", "language", 192, 192),
    (r"gnmt", "language", 160, 50),
    (r"transformer|\bt5\b", "language", 210, 1),
    (r"gpt3?.?175b", "language", 175e3, 1),
    (r"gpt.?2.?xl", "language", 1558, 1),
    (r"gpt.?2", "language", 124, 1),
    (r"llama31_405b|405b", "language", 405e3, 1),
    (r"70b", "language", 70e3, 1),
    (r"llama.*8b|8b", "language", 8e3, 1),
    (r"gpt3", "language", 175e3, 1),
    (r"stable.?diffusion|\bsd2?\b", "diffusion", 866, 1),
    (r"efficientnet.*b4", "image classification", 19.3, 1),
    (r"efficientdet", "object detection", 3.9, 1),
    (r"efficientnet", "image classification", 5.3, 1),
    (r"mask.?rcnn|cascade", "object detection", 44, 1),
    (r"retinanet", "object detection", 37, 1),
    (r"yolo", "object detection", 62, 1),
    (r"\bssd", "object detection", 22, 1),
    (r"unet.?3p", "segmentation", 27, 1),
    (r"nnunet", "segmentation", 31, 1),
    (r"vnet", "segmentation", 45, 1),
    (r"unet", "segmentation", 31, 1),
    (r"partailfc|insightface.*y1|mobileface", "image classification", 3, 1),
    (r"arcface|insightface", "image classification", 65, 1),
    (r"se-?resnext.?101", "image classification", 49, 1),
    (r"resnext.?101", "image classification", 44, 1),
    (r"resnet.?152", "image classification", 60.2, 1),
    (r"resnet.?101", "image classification", 44.5, 1),
    (r"resnet.?18|cifar", "image classification", 11.2, 1),
    (r"resnet|rn50|imagenet", "image classification", 25.6, 1),
    (r"darknet", "image classification", 41, 1),
    (r"inception.?v4", "image classification", 42.7, 1),
    (r"inception", "image classification", 23.8, 1),
    (r"alexnet", "image classification", 61, 1),
    (r"vgg", "image classification", 138, 1),
    (r"mobilenet", "image classification", 3.5, 1),
    (r"vit", "image classification", 86, 1),
    (r"tacotron", "speech", 28, 566),
    (r"waveglow", "speech", 88, 8000),
    (r"fastpitch", "speech", 45, 566),
    (r"hifi.?gan", "speech", 85, 32),
    (r"quartznet", "speech", 19, 1),
    (r"jasper", "speech", 333, 1),
    (r"wav2vec", "speech", 95, 1),
    (r"rnn.?t", "speech", 49, 1),
    (r"deepspeech", "speech", 87, 1),
    (r"dlrm|dcn", "recommendation", 3, 1),
    (r"wide.?and.?deep|wideanddeep|\bwdl\b", "recommendation", 3, 1),
    (r"vae", "recommendation", 24, 1),
    (r"ncf|neumf", "recommendation", 31.8, 1),
)
TYPICAL = {  # millions, where only the domain is known
    "language": 200.0,
    "image classification": 30.0,
    "object detection": 40.0,
    "segmentation": 31.0,
    "speech": 45.0,
    "recommendation": 5.0,
    "diffusion": 866.0,
    "other": 50.0,
}
_DOMAINS = (
    (r"language|nlp|translation|drug", "language"),
    (r"classification|recognition", "image classification"),
    (r"detection", "object detection"),
    (r"segmentation", "segmentation"),
    (r"speech", "speech"),
    (r"recommend", "recommendation"),
)


def known_model(name: str, counts_samples: bool = False) -> KnownModel:
    """The model behind a table's name; `counts_samples` where the table's unit is samples whatever the model."""
    text = name.lower()
    for pattern, domain, millions, units in _KNOWN:
        if re.search(pattern, text):
            return KnownModel(domain, millions * 1e6, 1.0 if counts_samples else units)
    domain = next((domain for pattern, domain in _DOMAINS if re.search(pattern, text)), "other")
    return KnownModel(domain, TYPICAL[domain] * 1e6, 1.0, known=False)
