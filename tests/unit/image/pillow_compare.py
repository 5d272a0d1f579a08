#!/usr/bin/python3
"""Holds decoding, resizing and preprocessing to Pillow, on pictures drawn here at random.

usage: pillow_compare.py PILLOW_PEER [SEED] [ROUNDS]

The seed is printed; with it the same pictures come again. Ends with 77 (skipped) where python3-pil or
python3-numpy is missing.
"""
import io
import math
import random
import struct
import subprocess
import sys
import time
import warnings
import zlib

try:
    import numpy as np
    from PIL import Image, ImageFile, ImageOps
except ImportError as missing:
    print(f"SKIPPED: {missing}", file=sys.stderr)
    sys.exit(77)

ImageFile.MAXBLOCK = 1 << 24  # Pillow's encoder wants a picture of noise in one block
FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
PROFILES = {  # resize_short (0: squash to 224), filter, divisor, mean, std, bgr
    "keras": (0, 3, 1.0, (103.939, 116.779, 123.68), (1, 1, 1), True),
    "torchvision": (256, 2, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
    "torchvision-v2": (232, 2, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
    "timm": (math.floor(224 / 0.95), 3, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
}


class Peer:
    """The program under test, at the other end of a pipe."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, letter, *parts):
        self.process.stdin.write(letter.encode() + b"".join(parts))
        self.process.stdin.flush()
        status, length = struct.unpack("=iI", self.read(8))
        return status, self.read(length)

    def read(self, length):
        data = self.process.stdout.read(length)
        if len(data) != length:
            sys.exit(f"pillow_peer ended, exit code {self.process.wait()}")
        return data

    def end(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"pillow_peer: exit code {self.process.returncode}")

    def decode(self, data, exif=0, background=None):
        wish = struct.pack("=6I", len(data), exif, background is not None, *(background or (0, 0, 0)))
        status, out = self.ask("D", wish, data)
        if status != 0:
            return status, out.decode(), None
        width, height, orientation, applied = struct.unpack("=4I", out[:16])
        return 0, (orientation, applied), np.frombuffer(out, np.uint8, offset=16).reshape(height, width, 3)


def image_bytes(array):
    return struct.pack("=2I", array.shape[1], array.shape[0]) + array.tobytes()


def draw(rng, width, height):
    """Noise, flat, edges or a ramp: noise finds wrong taps, black and white find wrong clipping."""
    noise = np.frombuffer(rng.randbytes(width * height * 3), np.uint8).reshape(height, width, 3)
    kind = rng.randrange(4)
    if kind == 0:
        return noise
    if kind == 1:
        return (noise // 128 * 255).astype(np.uint8)
    if kind == 2:
        ramp = np.add.outer(np.arange(height) * rng.randrange(1, 9), np.arange(width) * rng.randrange(1, 9)) % 256
        return np.stack([ramp, 255 - ramp, ramp // 2], 2).astype(np.uint8)
    return np.full((height, width, 3), [rng.randrange(256) for _ in range(3)], np.uint8)


def side(rng):
    return rng.choice([1, 1, 2, 3, rng.randrange(1, 17), rng.randrange(1, 100), rng.randrange(1, 100),
                       rng.randrange(100, 520), 224])


failures = 0


def check(ok, text):
    global failures
    if not ok:
        failures += 1
        if failures <= 20:
            print(f"FAILED {text}")


def resizes(peer, rng, rounds):
    """Up, down, one way only, unchanged, 1 x N: all three filters on each."""
    for _ in range(rounds):
        width, height = side(rng), side(rng)
        new = (width if rng.random() < 0.05 else side(rng), height if rng.random() < 0.05 else side(rng))
        array = draw(rng, width, height)
        for code, name in FILTERS.items():
            want = np.asarray(Image.fromarray(array, "RGB").resize(new, code))
            status, got = peer.ask("R", struct.pack("=3I", *new, code), image_bytes(array))
            check(status == 0 and got == want.tobytes(), f"{name} {width}x{height} to {new[0]}x{new[1]}: {status}")
    return rounds * 3


def long_and_thin(peer, rng):
    """Sizes whose rounding errors add up, and downscales over thousands of taps."""
    count = 0
    for width, height, new in [(20011, 1, (224, 224)), (1, 20011, (224, 224)), (9999, 3, (7, 11)), (3, 9999, (224, 1)),
                               (1, 1, (999, 777)), (2, 2, (1, 1)), (30000, 2, (29999, 2)), (7, 7, (20011, 1))]:
        array = draw(rng, width, height)
        for code, name in FILTERS.items():
            want = np.asarray(Image.fromarray(array, "RGB").resize(new, code))
            status, got = peer.ask("R", struct.pack("=3I", *new, code), image_bytes(array))
            check(status == 0 and got == want.tobytes(), f"{name} {width}x{height} to {new[0]}x{new[1]}: {status}")
            count += 1
    return count


def torchvision(image, short, code):
    """torchvision.transforms.Resize(short) and CenterCrop(224) on a PIL image."""
    width, height = image.size
    smaller, larger = (width, height) if width <= height else (height, width)
    new_short, new_long = short, int(short * larger / smaller)
    size = (new_short, new_long) if width <= height else (new_long, new_short)
    image = image.resize(size, code)
    left, top = int(round((size[0] - 224) / 2.0)), int(round((size[1] - 224) / 2.0))
    return image.crop((left, top, left + 224, top + 224))


def preprocessing(peer, rng, rounds):
    """Every profile: cropped bytes and normalised floats, bit for bit in float32."""
    for _ in range(rounds):
        array = draw(rng, rng.randrange(1, 700), rng.randrange(1, 700))
        image = Image.fromarray(array, "RGB")
        for profile, (short, code, divisor, mean, std, bgr) in PROFILES.items():
            if short > 0 and max(array.shape[:2]) * short / min(array.shape[:2]) > 30000:
                continue
            cut = torchvision(image, short, code) if short > 0 else image.resize((224, 224), code)
            want = np.asarray(cut)
            named = profile.encode().ljust(32, b"\0")
            status, got = peer.ask("C", named, image_bytes(array))
            check(status == 0 and got == want.tobytes(), f"{profile} {image.size}: crop, {status}")
            floats = want[..., ::-1].astype(np.float32) if bgr else want.astype(np.float32)
            floats = (floats / np.float32(divisor) - np.float32(mean)) / np.float32(std)
            status, got = peer.ask("P", named, image_bytes(array))
            check(status == 0 and got == floats.astype(np.float32).tobytes(), f"{profile} {image.size}: floats")
    return rounds * len(PROFILES)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def adam7(width, height):
    """Rows and columns of each pass."""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                           (0, 1, 1, 2)):
        if x0 < width and y0 < height:
            yield slice(y0, height, dy), slice(x0, width, dx)


def scanlines(samples, depth):
    """samples [h, w, channels] to unfiltered PNG rows."""
    out = bytearray()
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            data = flat.astype(">u2").tobytes()
        elif depth == 8:
            data = flat.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
            data = np.packbits(bits.reshape(-1)).tobytes()
        out += b"\0" + data
    return bytes(out)


def png(samples, depth, colour, interlaced, extra=b""):
    height, width = samples.shape[:2]
    body = b"".join(scanlines(samples[rows, columns], depth) for rows, columns in adam7(width, height)) \
        if interlaced else scanlines(samples, depth)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
            + extra + chunk(b"IDAT", zlib.compress(body, 1)) + chunk(b"IEND", b""))


PNG_KINDS = [(0, d, 1) for d in (1, 2, 4, 8, 16)] + [(2, 8, 3), (2, 16, 3)] + [(3, d, 1) for d in (1, 2, 4, 8)] + \
    [(4, 8, 2), (4, 16, 2), (6, 8, 4), (6, 16, 4)]


def random_png(rng, colour, depth, channels, transparent):
    width, height = rng.randrange(1, 40), rng.randrange(1, 40)
    bits = np.frombuffer(rng.randbytes(width * height * channels * 2), np.uint16) & ((1 << depth) - 1)
    samples = bits.reshape(height, width, channels)
    extra = b""
    if colour == 3:
        entries = rng.randrange(1, (1 << depth) + 1)  # may be fewer than the indices used
        extra = chunk(b"PLTE", rng.randbytes(entries * 3))
        if transparent:
            extra += chunk(b"tRNS", rng.randbytes(rng.randrange(1, entries + 1)))
    elif transparent and colour in (0, 2):
        extra = chunk(b"tRNS", samples[height // 2, width // 2].astype(">u2").tobytes())
    return samples, png(samples, depth, colour, rng.randrange(2), extra), extra


def high_bytes(samples, colour):
    high = (samples >> 8).astype(np.uint8)
    return np.repeat(high[..., :1], 3, 2) if colour in (0, 4) else high[..., :3]


def pngs(peer, rng, rounds):
    """Every colour type and depth, interlaced or not, with tRNS or not: alpha is dropped."""
    for _ in range(rounds):
        for colour, depth, channels in PNG_KINDS:
            samples, data, _ = random_png(rng, colour, depth, channels, rng.randrange(2))
            if depth == 16 and colour == 0:  # Pillow clips what it should shift
                want = high_bytes(samples, colour)
            else:
                want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            status, text, got = peer.decode(data)
            check(status == 0 and np.array_equal(got, want), f"png {colour}/{depth} {samples.shape}: {status} {text}")
    return rounds * len(PNG_KINDS)


def alpha_of(samples, colour, depth, extra):
    """R G B A as the PNG standard has them: tRNS is compared with whole samples."""
    if colour == 3:
        at = extra.find(b"PLTE")
        count, = struct.unpack(">I", extra[at - 4:at])
        table = np.stack([np.arange(256)] * 3 + [np.full(256, 255)], 1).astype(np.uint8)
        table[:count // 3, :3] = np.frombuffer(extra[at + 4:at + 4 + count], np.uint8).reshape(-1, 3)
        at = extra.find(b"tRNS", at + 4 + count)
        if at >= 0:
            count, = struct.unpack(">I", extra[at - 4:at])
            table[:count, 3] = np.frombuffer(extra[at + 4:at + 4 + count], np.uint8)
        return table[samples[..., 0]]
    scaled = (samples >> 8 if depth == 16 else samples * (255 // ((1 << depth) - 1))).astype(np.uint8)
    if colour in (4, 6):
        return np.concatenate([np.repeat(scaled[..., :1], 3, 2), scaled[..., 1:]], 2) if colour == 4 else scaled
    alpha = np.full(samples.shape[:2], 255, np.uint8)
    if extra:
        key = np.frombuffer(extra[8:8 + 2 * samples.shape[2]], ">u2")
        alpha[(samples == key).all(2)] = 0
    rgb = np.repeat(scaled, 3, 2) if colour == 0 else scaled
    return np.concatenate([rgb, alpha[..., None]], 2)


def backgrounds(peer, rng, rounds):
    """Composited as Image.alpha_composite() over one opaque colour."""
    for _ in range(rounds):
        for colour, depth, channels in PNG_KINDS:
            samples, data, extra = random_png(rng, colour, depth, channels, 1)
            ground = tuple(rng.randrange(256) for _ in range(3))
            rgba = Image.fromarray(np.ascontiguousarray(alpha_of(samples, colour, depth, extra)), "RGBA")
            want = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, ground + (255,)), rgba).convert("RGB"))
            status, text, got = peer.decode(data, background=ground)
            check(status == 0 and np.array_equal(got, want), f"background {colour}/{depth} {samples.shape}: {text}")
    # all 65536 pairs of a colour and an alpha
    grid = np.zeros((256, 256, 4), np.uint8)
    grid[..., :3] = np.arange(256)[:, None, None]
    grid[..., 3] = np.arange(256)[None, :]
    for ground in ((0, 0, 0), (255, 255, 255), (1, 128, 254)):
        want = Image.alpha_composite(Image.new("RGBA", (256, 256), ground + (255,)), Image.fromarray(grid, "RGBA"))
        _, _, got = peer.decode(png(grid.astype(np.uint16), 8, 6, 0), background=ground)
        check(np.array_equal(got, np.asarray(want.convert("RGB"))), f"background {ground}: all alphas")
    return rounds * len(PNG_KINDS) + 3


def random_jpeg(rng, turned=0.2, most=70):
    array = draw(rng, rng.randrange(1, most), rng.randrange(1, most))
    image = Image.fromarray(array, "RGB")
    mode = rng.choice(["RGB", "RGB", "RGB", "L", "CMYK"])
    options = {"quality": rng.choice([1, 30, 75, 95, 100]), "progressive": rng.random() < 0.5}
    if mode == "RGB":
        options["subsampling"] = rng.randrange(3)
    if rng.random() < turned:
        options["exif"] = exif(rng, rng.randrange(0, 10))
    out = io.BytesIO()
    image.convert(mode).save(out, "JPEG", **options)
    data = out.getvalue()
    if mode == "CMYK" and rng.random() < 0.5:  # without Adobe's marker, or said to be YCCK
        at = data.find(b"\xff\xee")
        length, = struct.unpack(">H", data[at + 2:at + 4])
        data = data[:at] + data[at + 2 + length:] if rng.random() < 0.5 else \
            data[:at + 1 + length] + b"\x02" + data[at + 2 + length:]
    if rng.random() < 0.1:
        data += rng.randbytes(rng.randrange(1, 50))
    return data


def jpegs(peer, rng, rounds):
    for _ in range(rounds):
        data = random_jpeg(rng)
        want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        status, text, got = peer.decode(data)
        check(status == 0 and np.array_equal(got, want), f"jpeg of {len(data)} bytes, {want.shape}: {status} {text}")
    return rounds


def exif(rng, orientation):
    """A TIFF block of either byte order, the tag as SHORT or LONG, among others. (Pillow ignores other types.)"""
    order = rng.choice("<>")
    kind, code = rng.choice([(3, "H2x"), (4, "I")])
    entries = [(0x010F, struct.pack(order + "HHI", 0x010F, 3, 1) + struct.pack(order + "H2x", 77)),
               (0x0112, struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + code, orientation))]
    rng.shuffle(entries)
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block += struct.pack(order + "H", len(entries)) + b"".join(e for _, e in entries) + struct.pack(order + "I", 0)
    return b"Exif\0\0" + block


def orientations(peer, rng, rounds):
    """Applied as ImageOps.exif_transpose(), in JPEG's APP1 and PNG's eXIf."""
    count = 0
    for _ in range(rounds):
        for orientation in range(10):
            array = draw(rng, rng.randrange(1, 30), rng.randrange(1, 30))
            block = exif(rng, orientation)
            out = io.BytesIO()
            Image.fromarray(array, "RGB").save(out, "JPEG", exif=block)
            for data in (out.getvalue(), png(array.astype(np.uint16), 8, 2, 0, chunk(b"eXIf", block[6:]))):
                want = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
                status, said, got = peer.decode(data, exif=1)
                known = orientation if 1 <= orientation <= 8 else 0
                check(status == 0 and np.array_equal(got, want) and said == (known, int(known > 1)),
                      f"orientation {orientation} {array.shape}: {status} {said}")
                count += 1
    return count


def files(peer, rng, rounds):
    """A file to each profile's crop in one go, turned by EXIF or not."""
    kinds = [kind for kind in PNG_KINDS if kind[:2] != (0, 16)]
    for _ in range(rounds):
        data = random_png(rng, *rng.choice(kinds), rng.randrange(2))[1] if rng.random() < 0.3 else \
            random_jpeg(rng, 0.6, rng.choice([70, 300, 900]))
        turned = rng.randrange(2)
        image = Image.open(io.BytesIO(data))
        image = (ImageOps.exif_transpose(image) if turned else image).convert("RGB")
        for profile, (short, code, *_) in PROFILES.items():
            if short > 0 and max(image.size) * short / min(image.size) > 30000:
                continue
            want = torchvision(image, short, code) if short > 0 else image.resize((224, 224), code)
            status, got = peer.ask("E", profile.encode().ljust(32, b"\0"), struct.pack("=2I", len(data), turned), data)
            check(status == 0 and got == want.tobytes(), f"{profile} of a file, {image.size}, turned {turned}: {status}")
    return rounds * len(PROFILES)


def by_pillow(data):
    """Pixels, or why there are none."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return np.asarray(image.convert("RGB")), ""
    except Exception as refusal:
        return None, f"{type(refusal).__name__} {refusal}"


def damaged(rng, data, keep):
    """Cut anywhere behind the signature, or with a few bytes changed there."""
    if rng.random() < 0.5:
        return data[:rng.randrange(keep, len(data))]
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(keep, len(data))] = rng.randrange(256)
    return bytes(data)


def same_verdict(peer, data, kind, stricter):
    """Accepted when Pillow accepts it, with the same pixels; refused when Pillow refuses it, unless for a reason that
    begins with `stricter`: a fault in what decoding does not need."""
    want, refusal = by_pillow(data)
    status, text, got = peer.decode(data)
    if status == -11:  # the damage hit the size; our limits are not Pillow's
        return
    if want is None:
        check(status != 0 or refusal.startswith(stricter), f"damaged {kind}, {len(data)} bytes: Pillow says {refusal}")
    else:
        check(status == 0, f"damaged {kind}, {len(data)} bytes: Pillow takes it, {text}")
        check(status != 0 or np.array_equal(got, want), f"damaged {kind}, {len(data)} bytes: other pixels")


def jpeg_damage(peer, rng, rounds):
    """Pillow reads the header a second time, in Python, and stumbles over more than libjpeg does."""
    for _ in range(rounds):
        same_verdict(peer, damaged(rng, random_jpeg(rng), 4), "jpeg", "UnidentifiedImageError")
    return rounds


def png_damage(peer, rng, rounds):
    """Pillow reads the chunks behind the pixels, too, if they are there."""
    kinds = [kind for kind in PNG_KINDS if kind[:2] != (0, 16)]
    for _ in range(rounds):
        colour, depth, channels = rng.choice(kinds)
        _, data, _ = random_png(rng, colour, depth, channels, rng.randrange(2))
        same_verdict(peer, damaged(rng, data, 8), "png", "OSError Truncated File Read")
    return rounds


def main():
    warnings.simplefilter("ignore")  # Pillow's about damage that is made on purpose
    peer = Peer(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 1500
    print(f"Pillow {Image.__version__}, seed {seed}")
    for part, count in ((resizes, rounds), (preprocessing, rounds // 30), (pngs, rounds // 50),
                        (backgrounds, rounds // 50), (jpegs, rounds // 3), (orientations, rounds // 150), (files, rounds // 10),
                        (jpeg_damage, rounds), (png_damage, rounds)):
        before, began = failures, time.monotonic()
        done = part(peer, random.Random(f"{seed} {part.__name__}"), count)
        print(f"{part.__name__}: {done} compared, {failures - before} differ, {time.monotonic() - began:.1f} s")
    done = long_and_thin(peer, random.Random(seed))
    print(f"long_and_thin: {done} compared")
    peer.end()
    sys.exit(1 if failures else 0)


main()
