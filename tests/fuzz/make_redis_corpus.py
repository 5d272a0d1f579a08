#!/usr/bin/env python3
"""Writes the first inputs of fuzz_resp and fuzz_url; what the fuzzer found later lies beside them."""
import os

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

resp = {
    "types": b"\x04*7\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n+fine\r\n-ERR no\r\n$-1\r\n*-1\r\n*2\r\n*0\r\n$0\r\n\r\n",
    "pipeline": b"\x00+OK\r\n:1\r\n$5\r\nhello\r\n-OOM command not allowed\r\n*0\r\n",
    "message": b"\x07*3\r\n$8\r\nsmessage\r\n$10\r\niq:{q}:r:1\r\n$6\r\nS\x04\0\0ab\r\n",
    "info": b"\x10$60\r\nredis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\nrole:slav\r\n",
    "huge_text": b"\x01$2147483647\r\nabc",
    "huge_array": b"\x01*2147483647\r\n:1\r\n",
    "many_arrays": b"\x03*2\r\n*200000\r\n" + b"*1\r\n" * 20,
    "deep": b"\x02" + b"*1\r\n" * 12 + b":1\r\n",
    "resp3": b"\x05%1\r\n+a\r\n,1.5\r\n#t\r\n_\r\n>1\r\n+x\r\n",
    "http": b"\x3fHTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "bad_numbers": b"\x00:99999999999999999999\r\n",
    "negative": b"\x00$-2\r\n*-5\r\n",
    "long_line": b"\x3f+" + b"a" * 3000,
    "cut": b"\x02*3\r\n:1\r\n$10\r\nabc",
}
url = {
    "plain": b"redis://cache",
    "full": b"redis://ann:se%3Acret@cache:7000/3",
    "v6": b"redis://[fe80::1%25eth0]:6380/15",
    "unix": b"unix:///run/redis%20a.sock?db=4",
    "unix_user": b"unix://ann:pw@/run/r.sock",
    "tls": b"rediss://cache:6380",
    "sentinel": b"redis+sentinel://a:26379,b:26379/mymaster",
    "no_scheme": b"ann:hunter2@cache:6379",
    "slash_in_password": b"redis://ann:hun/ter@cache",
    "bad_percent": b"redis://ca%0",
    "zero": b"redis://ca%00che",
    "bad_port": b"redis://cache:99999999999",
    "query": b"redis://cache/0?password=x#y",
    "control": b"redis://a\nb\x7f",
    "empty": b"redis://:@:/",
}
for target, seeds in (("fuzz_resp", resp), ("fuzz_url", url)):
    os.makedirs(os.path.join(here, target), exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(here, target, name), "wb") as out:
            out.write(data)
