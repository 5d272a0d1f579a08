#!/usr/bin/python3
"""Writes the seeds of fuzz_safetensors: make_safetensors_corpus.py FOLDER"""
import json
import os
import struct
import sys

FOLDER = sys.argv[1]
os.makedirs(FOLDER, exist_ok=True)


def write(name, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


RECIPE = {"resize_short": 256, "resize": [0, 0], "crop": [224, 224], "filter": "bilinear", "bgr": False, "divisor": 255,
          "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
META = {"format": "pt", "imgq.name": "n", "imgq.layout": "v1.5", "imgq.bn_eps": "1e-05", "imgq.profile": "torchvision",
        "imgq.recipe": json.dumps(RECIPE), "imgq.labels": json.dumps(["a", "b"])}

write("types", {"a": tensor("F32", [2], 0, 8), "b": tensor("F16", [2], 8, 12), "c": tensor("BF16", [1, 2], 12, 16),
                "d": tensor("I64", [], 16, 24), "e": tensor("BOOL", [0], 24, 24)}, bytes(24))
write("metadata", {"__metadata__": META, "conv1.weight": tensor("F32", [1], 0, 4)}, bytes(4))
write("labels-object", {"__metadata__": {"imgq.labels": json.dumps({"1": "b", "0": ["n0", "a"]})}})
write("keras", {"conv1_conv/kernel": tensor("F32", [1], 0, 4),
                "predictions/kernel": tensor("F32", [2048, 0], 4, 4)}, bytes(4))
write("hugging-face", {"resnet.embedder.embedder.convolution.weight": tensor("BF16", [1], 0, 2)}, b"\0\0")
write("keras-old", {"conv1/kernel": tensor("F16", [1, 1], 0, 2)}, b"\0\0")
write("overlap", {"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 2, 6)}, bytes(6))
write("hole", {"a": tensor("F32", [1], 4, 8)}, bytes(8))
write("overflow", {"a": tensor("F32", [2 ** 32, 2 ** 32], 0, 4)}, bytes(4))
write("truncated", {"a": tensor("F32", [4], 0, 16)}, bytes(7))
write("twice", b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      bytes(8))
write("deep", b'{"a":' + b"[" * 70 + b"]" * 70 + b"}")
write("no-json", b'{"a":')
for name, data in (("empty", b""), ("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
                   ("html", b"<!DOCTYPE html><html>"), ("long-header", struct.pack("<Q", 1 << 40) + b"{}")):
    with open(os.path.join(FOLDER, name), "wb") as f:
        f.write(data)
