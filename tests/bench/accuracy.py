"""What an engine answers to every image of an oracle, through a real worker: files, and tensors of both kinds."""
import json
import os
import subprocess
import tempfile
import time

from contenders import Missing, model_arguments, shared

ORACLES = {"v1": "keras.json", "v1.5": "v15.json"}
PAYLOADS = ("u8", "f32", "encoded")
TOP = 20  # of each answer: a class of the oracle's top five that is not among them would be far off


class Worker:
    """A private Redis and one imgq-worker, in a folder that goes with them."""

    def __init__(self, args, layout, engine, precision, isa):
        self.folder = tempfile.TemporaryDirectory(prefix="imgq-bench-")
        self.url, self.processes = "unix://" + os.path.join(self.folder.name, "redis.sock"), []
        try:
            self.start(["redis-server", "--port", "0", "--unixsocket", self.url[7:], "--save", "", "--appendonly", "no",
                        "--dir", self.folder.name], "ready to accept connections")
            self.start([os.path.join(args.build, "bin", "imgq-worker"), "--redis", self.url, "--batch", "8", "--engine", engine,
                        "--precision", precision] + (["--isa", isa] if isa else []) + model_arguments(args, layout),
                       "ready: serving")
        except BaseException:
            self.close()
            raise

    def start(self, command, sign):
        path = os.path.join(self.folder.name, "log%d" % len(self.processes))
        with open(path, "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        while True:
            with open(path) as log:
                said = log.read()
            if sign in said:
                return
            if process.poll() is not None:
                raise Missing("%s: %s" % (os.path.basename(command[0]), said.strip()[-200:]))
            time.sleep(0.02)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        self.folder.cleanup()


def accuracy(args, engine, precision, isa, layout, payload):
    """Against the float64 probabilities of the oracle. The engine and precision told are those that the answers name."""
    oracle = json.load(open(shared(args, "oracle", ORACLES[layout])))["files"]
    images = shared(args, "images")
    worker = Worker(args, layout, engine, precision, isa)
    try:
        done = subprocess.run([os.path.join(args.build, "bin", "imgq-submit"), "--redis", worker.url, "--quiet", "--format", "json",
                               "--top", str(TOP), "--timeout", "600", "--payload", payload] +
                              [os.path.join(images, entry["file"]) for entry in oracle], capture_output=True, text=True)
    finally:
        worker.close()
    if done.returncode != 0:
        raise Missing((done.stderr.strip() or done.stdout[-200:])[:300])
    answers = {os.path.basename(answer["file"]): answer for answer in map(json.loads, done.stdout.splitlines())}
    some = next(iter(answers.values()))
    out = {"oracle": ORACLES[layout], "layout": layout, "payload": payload, "engine": some["engine"],
           "precision": some["precision"], "isa": isa, "images": len(oracle), "top1_agrees": 0, "top5_in_order": 0,
           "worst_probability_error": 0.0}
    labelled = right = 0
    for entry in oracle:
        top = answers[os.path.basename(entry["file"])]["predictions"]
        found = {row["class"]: row["probability"] for row in top}
        want = [row["index"] for row in entry["top5"]]
        out["top1_agrees"] += top[0]["class"] == want[0]
        out["top5_in_order"] += [row["class"] for row in top[:5]] == want
        for row in entry["top5"]:
            error = abs(found.get(row["index"], 0) - row["probability"])
            out["worst_probability_error"] = max(out["worst_probability_error"], error)
        if "class" in entry:
            labelled += 1
            right += top[0]["class"] == entry["class"]
    if labelled > 0:
        out["labelled"], out["top1_right"] = labelled, right
    return out
