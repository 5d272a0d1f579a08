"""From nothing to the first answer: fresh processes, in turns."""
import json
import os
import statistics
import subprocess

from contenders import Missing, Stepper, make_ort, model_arguments


def safetensors(args):
    """The model as imgq keeps it, made once beside the peers."""
    path = os.path.join(args.peers, "resnet50.safetensors")
    if not os.path.exists(path):
        done = subprocess.run([os.path.join(args.build, "bin", "imgq-model"), "import", args.model, "--quiet", "--output", path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(done.stderr.strip()[:200])
    return path


def start_imgq(args, model, threads):
    class Own:
        pass
    own = Own()
    own.model = model
    stepper = Stepper([os.path.join(args.build, "bin", "imgq-bench"), "--step", "--format", "json", "--batch", "1", "--threads",
                       str(threads), "--engine", "auto", "--seconds", "0.001", "--rounds", "1"] + model_arguments(own, "v1"),
                      ready=lambda answer: "ready" in answer and answer["ready"] is None)
    answer = stepper.ask("0")
    stepper.process.stdin.close()
    report = json.loads(stepper.process.stdout.read())
    stepper.close()
    point = report["points"][0]
    assert answer["engine"] == point["engine"]
    return {"load": report["load_ms"], "session": point["session_ms"], "run": point["first_run_ms"]}


def start_ort(args, threads):
    one = type("One", (), {"layout": "v1", "batch": [1], "threads": [threads], "seconds": 0, "peers": args.peers,
                           "shared": args.shared})
    peer = make_ort(one)
    peer.close()
    return {"load": peer.about["load_ms"], "session": 0.0, "run": peer.about["first_run_ms"]}


def starts(args, rounds=3):
    """[{"name", "threads", "rounds": [{"load", "session", "run"}]}], milliseconds; one image."""
    imported, rows = safetensors(args), {}
    for turn in range(rounds):
        for threads in (1, 2):
            contenders = [("imgq, .h5", lambda: start_imgq(args, args.model, threads)),
                          ("imgq, safetensors", lambda: start_imgq(args, imported, threads))]
            if "ort" not in args.without:
                contenders.append(("ort, .onnx", lambda: start_ort(args, threads)))
            for name, start in contenders if turn % 2 == 0 else contenders[::-1]:
                rows.setdefault((name, threads), []).append(start())
    return [{"name": name, "threads": threads, "rounds": each} for (name, threads), each in rows.items()]


def starts_table(rows):
    """Lines of markdown."""
    out = ["| milliseconds, median (best) of %d | threads | open the file | session | first image | to the first answer |"
           % len(rows[0]["rounds"]), "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        whole = [sum(each.values()) for each in row["rounds"]]
        part = lambda key: "%.0f" % statistics.median(each[key] for each in row["rounds"])
        out.append("| %s | %d | %s | %s | %s | %.0f (%.0f) |" % (
            row["name"], row["threads"], part("load"), part("session") if row["name"].startswith("imgq") else "",
            part("run"), statistics.median(whole), min(whole)))
    return out
