#!/usr/bin/python3
"""Draws the seeds of fuzz_jpeg and fuzz_png, and writes what Pillow makes of them to tests/unit/image/drawn.json.

usage: make_image_corpus.py        (in the source folder; needs python3-pil, python3-numpy and libjpeg-turbo-progs)

Every picture is computed here, none is a photo. Run it again only to add seeds: what is in git is the reference.
"""
import hashlib
import io
import json
import os
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
JPEG = os.path.join(HERE, "corpus", "fuzz_jpeg")
PNG = os.path.join(HERE, "corpus", "fuzz_png")
TABLE = os.path.join(HERE, "..", "unit", "image", "drawn.json")


def drawing(width, height):
    """A sky, a sun, a fence and a little noise: smooth parts, edges and textures."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rgb = np.stack([80 + 120 * y / height, 120 + 60 * x / width, 220 - 90 * y / height], 2)
    sun = (x - 0.7 * width) ** 2 + (y - 0.3 * height) ** 2 < (0.2 * height) ** 2
    rgb[sun] = (250, 210, 60)
    rgb[(y > 0.7 * height) & (x.astype(int) // 3 % 2 == 0)] = (90, 50, 20)
    noise = (np.arange(width * height * 3, dtype=np.uint64) * 2654435761 >> 24) % 17
    return Image.fromarray((rgb + noise.reshape(height, width, 3)).clip(0, 255).astype(np.uint8), "RGB")


def cjpeg(image, *options):
    out = io.BytesIO()
    image.save(out, "PPM")
    return subprocess.run(["cjpeg", *options], input=out.getvalue(), stdout=subprocess.PIPE, check=True).stdout


def pillow_jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def segment(data, marker):
    """Start and end of the first segment of a marker."""
    at = data.find(bytes([0xFF, marker]))
    return at, at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]


def exif(orientation):
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def jpegs():
    picture = drawing(53, 37)
    for sample in ("1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2"):
        yield f"sample-{sample}", cjpeg(picture, "-quality", "80", "-sample", sample)
        yield f"progressive-{sample}", cjpeg(picture, "-quality", "60", "-progressive", "-sample", sample)
    yield "restart", cjpeg(picture, "-quality", "70", "-restart", "1")
    yield "arithmetic", cjpeg(picture, "-quality", "70", "-arithmetic")
    yield "arithmetic-progressive", cjpeg(picture, "-quality", "70", "-arithmetic", "-progressive")
    yield "gray", cjpeg(picture, "-quality", "70", "-grayscale")
    yield "gray-progressive", cjpeg(picture, "-quality", "70", "-grayscale", "-progressive")
    yield "rgb", cjpeg(picture, "-quality", "70", "-rgb")
    yield "quality-1", cjpeg(picture, "-quality", "1")
    yield "quality-100", cjpeg(picture, "-quality", "100", "-sample", "1x1")
    for width, height in ((1, 1), (1, 40), (40, 1), (8, 8), (17, 16)):
        yield f"{width}x{height}", cjpeg(drawing(width, height), "-quality", "85")
    cmyk = pillow_jpeg(picture.convert("CMYK"), quality=80)
    start, end = segment(cmyk, 0xEE)
    yield "cmyk-adobe", cmyk
    yield "cmyk", cmyk[:start] + cmyk[end:]
    yield "ycck", cmyk[:end - 1] + b"\x02" + cmyk[end:]
    for orientation in (3, 6):
        yield f"exif-{orientation}", pillow_jpeg(picture, quality=70, exif=exif(orientation))
    base = cjpeg(picture, "-quality", "80")
    yield "trailing-garbage", base + b"garbage" * 9
    yield "damaged-middle", base[:-400] + bytes(20) + base[-380:]
    yield "cut", base[:len(base) // 2]
    yield "cut-in-header", base[:150]
    sof = base.find(b"\xff\xc0")
    yield "empty-side", base[:sof + 5] + struct.pack(">HH", 0, 53) + base[sof + 9:]
    yield "huge", base[:sof + 5] + struct.pack(">HH", 65500, 65500) + base[sof + 9:]
    yield "too-long", base[:sof + 5] + struct.pack(">HH", 65501, 3) + base[sof + 9:]
    yield "lossless", base[:sof + 1] + b"\xc3" + base[sof + 2:]
    yield "12-bit", base[:sof + 4] + b"\x0c" + base[sof + 5:]
    start, end = segment(base, 0xDA)
    yield "two-components", base[:sof + 2] + b"\x00\x0e" + base[sof + 4:sof + 9] + b"\x02" + base[sof + 10:sof + 16] + \
        base[sof + 19:start] + b"\xff\xda\x00\x0a\x02\x01\x00\x02\x11\x00\x3f\x00" + base[end:]
    progressive = cjpeg(picture, "-quality", "40", "-progressive")
    scan = progressive.rfind(b"\xff\xda")
    yield "forty-scans", progressive[:scan] + progressive[scan:-2] * 31 + progressive[-2:]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def rows(samples, depth, first_filter):
    out = bytearray()
    for number, row in enumerate(samples):
        flat = row.reshape(-1)
        if depth == 16:
            data = flat.astype(">u2").tobytes()
        elif depth == 8:
            data = flat.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
            data = np.packbits(bits.reshape(-1)).tobytes()
        # Filters are not undone on writing: the picture is another one, which is as good for a seed.
        out += bytes([(first_filter + number) % 5 if first_filter else 0]) + data
    return bytes(out)


def png(samples, depth, colour, interlaced=0, before=b"", filters=0, after=b""):
    height, width = samples.shape[:2]
    parts = [samples]
    if interlaced:
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in PASSES if x < width and y < height]
    body = zlib.compress(b"".join(rows(part, depth, filters) for part in parts), 9)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    half = len(body) // 2
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", body[:half]) + \
        chunk(b"IDAT", body[half:]) + after + chunk(b"IEND", b"")


def pngs():
    rgb = np.asarray(drawing(29, 23)).astype(np.uint16)
    gray = rgb[..., :1]
    alpha = (np.add.outer(np.arange(23), np.arange(29)) * 5 % 256).astype(np.uint16)[..., None]
    palette = chunk(b"PLTE", bytes(v for i in range(200) for v in (i, 255 - i, i * 7 % 256)))
    for interlaced in (0, 1):
        end = "-interlaced" if interlaced else ""
        for depth in (1, 2, 4):
            yield f"gray-{depth}{end}", png(gray >> (8 - depth), depth, 0, interlaced)
            small = chunk(b"PLTE", bytes(range(10, 10 + 3 * (1 << depth))))
            yield f"palette-{depth}{end}", png(gray >> (8 - depth), depth, 3, interlaced, small)
        yield f"gray-8{end}", png(gray, 8, 0, interlaced, filters=1)
        yield f"gray-16{end}", png(gray * 257, 16, 0, interlaced)
        yield f"rgb-8{end}", png(rgb, 8, 2, interlaced, filters=2)
        yield f"rgb-16{end}", png(rgb * 257 + 11, 16, 2, interlaced)
        yield f"palette-8{end}", png(gray, 8, 3, interlaced, palette)
        yield f"gray-alpha-8{end}", png(np.concatenate([gray, alpha], 2), 8, 4, interlaced)
        yield f"gray-alpha-16{end}", png(np.concatenate([gray, alpha], 2) * 257, 16, 4, interlaced)
        yield f"rgba-8{end}", png(np.concatenate([rgb, alpha], 2), 8, 6, interlaced)
        yield f"rgba-16{end}", png(np.concatenate([rgb, alpha], 2) * 257, 16, 6, interlaced)
    yield "gray-8-trns", png(gray, 8, 0, 0, chunk(b"tRNS", struct.pack(">H", int(gray[5, 5, 0]))))
    yield "rgb-8-trns", png(rgb, 8, 2, 0, chunk(b"tRNS", struct.pack(">HHH", *(int(v) for v in rgb[5, 5]))))
    yield "palette-8-trns", png(gray, 8, 3, 0, palette + chunk(b"tRNS", bytes(range(120))))
    yield "exif", png(rgb, 8, 2, 0, chunk(b"eXIf", exif(8)[6:]))
    yield "text", png(gray, 8, 0, 0, chunk(b"tEXt", b"Title\0drawn") + chunk(b"zTXt", b"t\0\0" + zlib.compress(b"x" * 999)))
    yield "gamma", png(rgb, 8, 2, 0, chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0"))
    for width, height in ((1, 1), (1, 9), (9, 1)):
        yield f"{width}x{height}-interlaced", png(np.asarray(drawing(width, height)).astype(np.uint16), 8, 2, 1)
    good = png(rgb, 8, 2)
    yield "without-end", good[:-12]
    yield "trailing-garbage", good + b"garbage" * 9
    yield "cut", good[:len(good) // 2]
    yield "cut-before-checksum", good[:-30]
    yield "bad-head-checksum", good[:29] + bytes([good[29] ^ 1]) + good[30:]
    yield "bad-text-checksum", good[:33] + chunk(b"tEXt", b"a\0b")[:-1] + b"\0" + good[33:]
    yield "too-few-rows", good[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 29, 24, 8, 2, 0, 0, 0)) + good[33:]
    yield "too-many-rows", good[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 29, 22, 8, 2, 0, 0, 0)) + good[33:]
    yield "no-palette", png(gray, 8, 3)
    yield "huge", good[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 70000, 70000, 8, 2, 0, 0, 0)) + good[33:]


def pillow(name, data):
    """What Pillow decodes, or None where it refuses. Gray of 16 bits it clips, so there the high bytes are taken."""
    if name.startswith("gray-16"):
        rgb = np.asarray(drawing(29, 23))[..., :1]
        return np.repeat(rgb, 3, 2)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return np.asarray(image.convert("RGB"))
    except Exception:
        return None


def main():
    table = []
    for folder, ending, seeds in ((JPEG, "jpg", jpegs()), (PNG, "png", pngs())):
        os.makedirs(folder, exist_ok=True)
        for name, data in seeds:
            assert len(data) < 20000, name
            with open(os.path.join(folder, f"{name}.{ending}"), "wb") as file:
                file.write(data)
            pixels = pillow(name, data)
            if pixels is not None:
                table.append({"file": f"{os.path.basename(folder)}/{name}.{ending}",
                              "width": pixels.shape[1], "height": pixels.shape[0],
                              "rgb_sha256": hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()})
    with open(TABLE, "w", encoding="ascii") as file:
        rows_text = ",\n".join("  " + json.dumps(row) for row in table)
        file.write('{"pillow": "%s", "files": [\n%s\n]}\n' % (Image.__version__, rows_text))
    print(len(table), "seeds that Pillow reads")


main()
