#!/usr/bin/python3
"""Draws the pictures of this folder and writes what Keras's ImageNet weights answer to them, in float64.

    make_golden.py WEIGHTS.h5

WEIGHTS.h5: resnet50_weights_tf_dim_ordering_tf_kernels.h5, as Keras publishes it. Writes golden.json (logits of each
picture) and ../../cli/model/golden.h (two patterns that imgq-model verify makes itself, and some of their logits).
Needs python3-pil python3-numpy python3-h5py python3-torch.
"""
import hashlib
import json
import math
import os
import random
import sys

import h5py
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCKS = (3, 4, 6, 3)
EPSILON = 1.001e-5
MEAN = np.array([103.939, 116.779, 123.68])  # B G R


# --- the network, in float64 ---

def read(path):
    with h5py.File(path, "r") as f:
        def text(t):
            return t.decode() if isinstance(t, bytes) else t
        return {text(layer): {text(v).split("/")[-1].split(":")[0]: torch.from_numpy(f[text(layer)][text(v)][()]).double()
                              for v in f[text(layer)].attrs["weight_names"]}
                for layer in f.attrs["layer_names"]}


def forward(w, x):
    """x: 1 x 3 x 224 x 224, B G R minus the means"""
    def conv(x, name, stride=1, padding=0):
        k = w[name + "_conv"]
        x = torch.nn.functional.conv2d(x, k["kernel"].permute(3, 2, 0, 1), k["bias"], stride, padding)
        n = w[name + "_bn"]
        return torch.nn.functional.batch_norm(x, n["moving_mean"], n["moving_variance"], n["gamma"], n["beta"],
                                              eps=EPSILON)

    x = torch.relu(conv(x, "conv1", 2, 3))
    x = torch.nn.functional.max_pool2d(torch.nn.functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, count in enumerate(BLOCKS):
        for block in range(count):
            name, stride = f"conv{stage + 2}_block{block + 1}_", 2 if block == 0 and stage > 0 else 1
            short = conv(x, name + "0", stride) if block == 0 else x
            y = torch.relu(conv(x, name + "1", stride))
            y = torch.relu(conv(y, name + "2", 1, 1))
            x = torch.relu(conv(y, name + "3") + short)
    return x.mean((2, 3)) @ w["probs"]["kernel"] + w["probs"]["bias"]


def logits(w, rgb):
    """rgb: 224 x 224 x 3 bytes"""
    x = rgb[:, :, ::-1].astype(np.float64) - MEAN
    return forward(w, torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None])[0].numpy()


# --- the pictures ---

def traffic_light():
    im = Image.new("RGB", (240, 320), (140, 180, 220))
    d = ImageDraw.Draw(im)
    d.rectangle((0, 250, 240, 320), fill=(90, 90, 80))
    d.rectangle((112, 200, 128, 320), fill=(60, 60, 60))
    d.rounded_rectangle((80, 30, 160, 210), 12, fill=(30, 30, 34))
    for y, colour in ((60, (235, 40, 30)), (120, (90, 70, 10)), (180, (10, 70, 30))):
        d.ellipse((96, y - 24, 144, y + 24), fill=colour)
    return im.filter(ImageFilter.GaussianBlur(0.8))


def ladybird():
    im = Image.new("RGB", (300, 260), (60, 140, 50))
    d = ImageDraw.Draw(im)
    rng = random.Random(7)
    for _ in range(400):
        x, y = rng.randrange(300), rng.randrange(260)
        d.line((x, y, x + rng.randrange(-20, 20), y - rng.randrange(10, 40)), fill=(40 + rng.randrange(60), 150, 40))
    d.ellipse((80, 70, 230, 210), fill=(205, 25, 20), outline=(20, 10, 10), width=3)
    d.pieslice((80, 70, 230, 210), 60, 120, fill=(20, 20, 20))
    d.line((155, 70, 155, 210), fill=(20, 10, 10), width=4)
    for x, y in ((115, 110), (120, 160), (190, 110), (195, 160), (155, 95)):
        d.ellipse((x - 12, y - 12, x + 12, y + 12), fill=(15, 10, 10))
    return im.filter(ImageFilter.GaussianBlur(1))


def clock():
    im = Image.new("L", (200, 200), 225)
    d = ImageDraw.Draw(im)
    d.ellipse((10, 10, 190, 190), fill=250, outline=40, width=6)
    for hour in range(12):
        a = hour * math.pi / 6
        d.line((100 + 72 * math.sin(a), 100 - 72 * math.cos(a), 100 + 84 * math.sin(a), 100 - 84 * math.cos(a)), fill=20,
               width=5)
    d.line((100, 100, 100, 40), fill=10, width=4)
    d.line((100, 100, 142, 120), fill=10, width=6)
    return im


def crossword():
    im = Image.new("P", (230, 230), 0)
    im.putpalette([255, 255, 255, 0, 0, 0, 200, 30, 30] + [0] * 759)
    d = ImageDraw.Draw(im)
    rng = random.Random(11)
    for i in range(10):
        for j in range(10):
            d.rectangle((15 + i * 20, 15 + j * 20, 35 + i * 20, 35 + j * 20), outline=1, fill=int(rng.random() < 0.25))
    return im


def bubbles():
    im = Image.new("RGBA", (420, 280), (20, 60, 140, 255))
    d = ImageDraw.Draw(im)
    rng = random.Random(13)
    for _ in range(40):
        x, y, r = rng.randrange(420), rng.randrange(280), rng.randrange(6, 30)
        d.ellipse((x - r, y - r, x + r, y + r), outline=(200, 230, 255, 180), width=2)
        d.ellipse((x - r // 2, y - r // 2, x - r // 3, y - r // 3), fill=(255, 255, 255, 220))
    return im


def sunset():
    y, x = np.mgrid[0:120, 0:90]
    sky = np.stack([255 - y * 0.6, 140 - y * 0.5 + x * 0.2, 60 + y * 0.8], -1)
    sun = (x - 45) ** 2 + (y - 70) ** 2 < 250
    sky[sun] = (255, 240, 170)
    sky[90:] = sky[90:] * 0.3 + np.array([10, 20, 50])
    return Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))


PICTURES = (
    ("traffic_light.jpg", traffic_light, dict(quality=88)),
    ("ladybird.jpg", ladybird, dict(quality=80, progressive=True, subsampling=0)),
    ("clock.jpg", clock, dict(quality=90)),
    ("crossword.png", crossword, dict(optimize=True)),
    ("bubbles.png", bubbles, dict(optimize=True)),
    ("sunset.png", sunset, dict(optimize=True)),
)


def write_pictures(w):
    files = []
    for name, draw, options in PICTURES:
        path = os.path.join(HERE, name)
        if not os.path.exists(path):  # drawn once: another version of Pillow would draw other bytes
            draw().save(path, **options)
        rgb = np.array(Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC))
        values = logits(w, rgb)
        files.append({"file": name, "rgb_224_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
                      "top": [int(i) for i in np.argsort(-values)[:5]], "logits": [round(float(v), 6) for v in values]})
        print(name, os.path.getsize(path), "bytes, top", files[-1]["top"], values[files[-1]["top"]].round(2))
    with open(os.path.join(HERE, "golden.json"), "w") as f:
        f.write('{"made_by":"tests/golden/make_golden.py","arithmetic":"float64","profile":"keras","files":[\n')
        f.write(",\n".join(json.dumps(entry, separators=(",", ":")) for entry in files) + "\n]}\n")


# --- the patterns of imgq-model verify ---

def pattern(n):
    """What cli/model/verify.c draws: see there."""
    y, x = np.mgrid[0:224, 0:224]
    if n == 0:
        rgb = [(x * 255) // 223, (y * 255) // 223, ((x // 16 + y // 16) % 2) * 200]
    else:
        d = (x - 112) ** 2 + (y - 112) ** 2
        rgb = [(d // 40) % 256, 255 - (d // 100), (x * y // 64) % 256]
    return np.clip(np.stack(rgb, -1), 0, 255).astype(np.uint8)


def write_patterns(w):
    bias = w["probs"]["bias"].float().numpy()
    rows = []
    for n in range(2):
        values = logits(w, pattern(n))
        best = np.argsort(-values)[:3]
        picks = sorted(set(int(i) for i in best) | {0, 250, 500, 750, 999})
        rows.append((int(best[0]), [(i, float(values[i])) for i in picks], float(values.sum())))
        print("pattern", n, "top", best, values[best].round(2))
    with open(os.path.join(HERE, "..", "..", "cli", "model", "golden.h"), "w") as f:
        f.write("/* Written by tests/golden/make_golden.py: what Keras's ImageNet weights answer, in float64, to two\n"
                " * patterns that imgq-model verify draws itself. */\n"
                "#ifndef CLI_MODEL_GOLDEN_H\n#define CLI_MODEL_GOLDEN_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
                "/* The first biases of the head, by which those weights are recognised. */\n"
                "static const float golden_bias[] = {" + ", ".join(f"{v:.9g}F" for v in bias[:6]) + "};\n\n"
                "typedef struct golden_pattern {\n    uint32_t best;\n    double sum; /* of all logits */\n"
                "    struct {\n        uint32_t class_id;\n        double logit;\n    } logits[8];\n    size_t count;\n"
                "} golden_pattern;\n\nstatic const golden_pattern golden_patterns[] = {\n")
        for best, picks, total in rows:
            f.write(f"    {{{best}, {total:.6f}, {{" + ", ".join(f"{{{i}, {v:.6f}}}" for i, v in picks) +
                    f"}}, {len(picks)}}},\n")
        f.write("};\n\n#endif\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(2)
    weights = read(sys.argv[1])
    with torch.no_grad():
        write_pictures(weights)
        write_patterns(weights)
