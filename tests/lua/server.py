"""A private redis-server on a Unix socket in a temporary folder, and the queue's scripts as the build embeds them.

Scripts come in two builds: as they are, and with the line that reads the clock replaced by a key (`P clock`, microseconds),
so that a test moves time. A third kind raises at its k-th redis.call (fault())."""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import redis

FOLDER = os.environ.get('IMGQ_LUA') or sys.exit('IMGQ_LUA names the folder of the embedded scripts')
SOURCE = os.environ.get('IMGQ_SOURCE', os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CLOCK_LINE = "local TIME = call('TIME')\n"
VIRTUAL = ("local TIME = (function() local us = tonumber(call('GET', P .. 'clock')) "
           "return { math.floor(us / 1000000), us % 1000000 } end)()\n")
NOBODY = b'\0' * 8
HEADER = struct.Struct('>BcBBHHHHHHQQQQQ8sBBHI8s')
FIELDS = ('ver', 'state', 'prio', 'flags', 'fails', 'crashes', 'max_fails', 'max_crashes', 'ext', 'err', 'seq', 'born', 'fence',
          'at', 'deadline', 'rid', 'progress', 'flags2', 'deliveries', 'len', 'worker')
TEXTS = {name[:-4]: open(os.path.join(FOLDER, name)).read() for name in os.listdir(FOLDER) if name.endswith('.lua')}
for name, text in TEXTS.items():
    assert text.count('TIME') == 0 or text.count(CLOCK_LINE) == 1 or name == 'probe', name


def decode(record):
    return dict(zip(FIELDS, HEADER.unpack(record[:80])))


def encode(**fields):
    base = dict(ver=1, state=b'W', prio=5, flags=0, fails=0, crashes=0, max_fails=3, max_crashes=3, ext=0, err=0, seq=1, born=0,
                fence=0, at=0, deadline=0, rid=NOBODY, progress=0, flags2=0, deliveries=0, len=0, worker=NOBODY)
    base.update(fields)
    return HEADER.pack(*(base[name] for name in FIELDS))


def tlv(kind, value):
    return struct.pack('>BH', kind, len(value)) + value


def events(message):
    """The events of one publication: (state, id, error, body or None)."""
    at, out = 0, []
    while at < len(message):
        state, id_len, err, body_len = struct.unpack('>cBHI', message[at:at + 8])
        ident = message[at + 8:at + 8 + id_len]
        at += 8 + id_len
        body = None
        if body_len != 0xffffffff:
            body = message[at:at + body_len]
            at += body_len
        out.append((state.decode(), ident, err, body))
    return out


class Server:
    """`with Server() as server:`; nothing is left behind."""

    def __init__(self, *arguments, config=''):
        self.arguments, self.config = arguments, config

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='imgq-lua-', dir=os.environ.get('TMPDIR', '/tmp'))
        self.socket = os.path.join(self.folder, 's')
        self.start()
        return self

    def start(self):
        path = os.path.join(self.folder, 'redis.conf')
        with open(path, 'w') as conf:
            conf.write(f'port 0\nunixsocket {self.socket}\ndir {self.folder}\nsave ""\nappendonly no\n'
                       f'logfile {self.folder}/log\nmaxmemory-policy noeviction\n{self.config}\n')
        self.process = subprocess.Popen(['redis-server', path, *self.arguments], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                self.client().ping()
                return
            except redis.exceptions.RedisError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def client(self, **options):
        return redis.Redis(unix_socket_path=self.socket, **options)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def virtual(text):
    return text.replace(CLOCK_LINE, VIRTUAL)


def fault(text, k):
    """The same script whose k-th redis.call (counted from 1) raises instead of being executed."""
    first, rest = text.split('\n', 1)
    hook = (f"local faults, real_call, real_pcall = {k}, redis.call, redis.pcall\n"
            "local function count_down() faults = faults - 1 if faults == 0 then error({ err = 'FAULT here' }) end end\n"
            "local redis = setmetatable({ call = function(...) count_down() return real_call(...) end,\n"
            "pcall = function(...) count_down() return real_pcall(...) end }, { __index = redis })\n")
    return first + '\n' + hook + rest


class Queue:
    """One queue through its scripts, with the clock in the test's hand (virtual=True) or the server's."""

    def __init__(self, client, name='q', virtual_clock=True, prefix=None, set_up=True):
        self.r, self.virtual = client, virtual_clock
        self.P = prefix or f'iq:{{{name}.0}}:'.encode()
        self.M = self.P + b'm'
        self.texts = {n: virtual(t) if virtual_clock else t for n, t in TEXTS.items()}
        self.us = 1_800_000_000_000_000
        self.nonces = {}
        if set_up:
            if virtual_clock:
                self.set_clock(self.us)
            self.r.hsetnx(self.M, 'ver', 1)

    # -- time --
    def set_clock(self, us):
        self.us = us
        self.r.set(self.P + b'clock', us)

    def advance(self, ms):
        self.set_clock(self.us + int(ms * 1000))

    def now(self):
        return self.us // 1000

    # -- calls --
    def sha(self, name):
        if not hasattr(self, 'shas'):
            self.shas = {}
        if name not in self.shas:
            self.shas[name] = self.r.script_load(self.texts[name])
        return self.shas[name]

    def call(self, name, *arguments, keys=()):
        all_keys = [self.M, self.P + b'0', *keys]
        return self.r.execute_command('EVALSHA', self.sha(name), len(all_keys), *all_keys, *arguments)

    def eval(self, text, *arguments, keys=()):
        all_keys = [self.M, self.P + b'0', *keys]
        return self.r.execute_command('EVAL', text, len(all_keys), *all_keys, *arguments)

    @staticmethod
    def job_arguments(job):
        ident = job['id']
        x = job.get('x')
        if x is None:
            x = b'' if ident.startswith(b'_') else tlv(3, job.get('digest', b'd' * 16))
        stage = job.get('stage', b'')
        payload = job.get('payload', b'')
        return [ident, job.get('prio', 5), job.get('flags', 0), job.get('delay', 0), job.get('deadline', 0), job.get('fails', 3),
                job.get('crashes', 3), x, stage, len(payload) if stage else payload]

    def submit_arguments(self, jobs, rid=NOBODY, owner=b''):
        out = [rid, owner, len(jobs)]
        for job in jobs:
            out += self.job_arguments(job)
        return out

    def stage(self, job):
        x = self.job_arguments(job)[7]
        record = encode(state=b'N', prio=0, max_fails=0, max_crashes=0, seq=0, ext=len(x), len=len(job['payload']),
                        rid=job['stage']) + x + job['payload']
        return self.r.set(self.P + b'j' + job['id'], record, nx=True, px=60000)

    def submit(self, jobs, rid=NOBODY, owner=b''):
        """Codes and their values, one list a job."""
        for job in jobs:
            if job.get('stage'):
                self.stage(job)
        return self.call('submit', *self.submit_arguments(jobs, rid, owner))[3:]

    def take(self, n=1, worker=b'worker-1' + b'\1' * 8, max_bytes=1 << 30, lease=30000, info=b'', nonce=None):
        if nonce is None:
            nonce = self.nonces[worker] = self.nonces.get(worker, 0) + 1
        return Taken(self.call('take', worker, info, nonce, n, max_bytes, lease))

    def touch(self, *held, worker=b'worker-1' + b'\1' * 8, lease=30000, progress=255):
        arguments = [worker, b'', lease]
        for ident, fence in held:
            arguments += [ident, fence, progress]
        return self.call('touch', *arguments)

    def done(self, *held, worker=b'worker-1' + b'\1' * 8, result=b'{}', ttl=0):
        arguments = [worker, ttl, b'']
        for ident, fence in held:
            arguments += [ident, fence, result]
        return self.call('done', *arguments)

    def fail(self, ident, fence, kind='T', delay=0, code=13, text=b'bad', worker=b'worker-1' + b'\1' * 8):
        return self.call('fail', worker, ident, fence, kind, delay, code, text)[0]

    # -- looking --
    def head(self, ident):
        record = self.r.getrange(self.P + b'j' + ident, 0, 79)
        return decode(record) if len(record) == 80 else None

    def state(self, ident):
        head = self.head(ident)
        return head and head['state'].decode()

    def field(self, name):
        return int(self.r.hget(self.M, name) or 0)

    def ids(self, index):
        return self.r.zrange(self.P + index.encode(), 0, -1)

    def check(self):
        """I1 and I7 over everything that stands in the keys."""
        live = bytes_ = 0
        indexes = {letter: set(self.ids(index)) for letter, index in zip('WDAF', 'wdax')}
        for letter, ids in indexes.items():
            for ident in ids:
                head = self.head(ident)
                assert head and head['state'].decode() == letter, (letter, ident, head)
        for key in self.r.scan_iter(self.P + b'j*', count=1000):
            ident = key[len(self.P) + 1:]
            head = self.head(ident)
            if head is None:
                continue
            letter = head['state'].decode()
            for other, ids in indexes.items():
                pushed_out = letter == 'F' and head['flags2'] & 4
                assert (ident in ids) == (letter == other and not pushed_out), (ident, letter, other)
            if letter in 'WDA':
                live += 1
                bytes_ += head['len']
            if letter in 'SXEN' or (letter == 'F' and head['flags2'] & 4):
                assert self.r.pttl(key) > 0, (ident, letter, 'has no TTL')
            else:
                assert self.r.pttl(key) == -1, (ident, letter, 'has a TTL')
        return live, bytes_


class Taken(list):
    """A take's reply: .now .paused .left .due, and the jobs as (id, fence, record)."""

    def __init__(self, reply):
        self.now, self.paused, self.left, self.due, flat = reply
        super().__init__((flat[i], int(flat[i + 1]), flat[i + 2]) for i in range(0, len(flat), 3))

    def held(self):
        return [(ident, fence) for ident, fence, _ in self]


def refused(function, *arguments, **named):
    """The error text of a call that must fail."""
    try:
        reply = function(*arguments, **named)
    except redis.exceptions.ResponseError as error:
        return str(error)
    raise AssertionError(f'was not refused: {reply!r}')


def run(*tests, virtual_clock=True, **server_options):
    """Each test(queue) on an empty server; all are tried, the names of those that failed are the exit text."""
    failed = []
    with Server(**server_options) as server:
        for test in tests:
            client = server.client()
            client.flushall()
            try:
                test(Queue(client, virtual_clock=virtual_clock))
            except Exception:
                print(f'FAILED {test.__name__}', flush=True)
                traceback.print_exc()
                failed.append(test.__name__)
    print(f'{len(tests) - len(failed)} of {len(tests)} passed')
    if failed:
        sys.exit('failed: ' + ', '.join(failed))


def tests_of(module):
    """The functions of a test file whose one parameter is q, in their order."""
    return [f for f in vars(module).values() if callable(f) and getattr(f, '__module__', '') == module.__name__
            and getattr(f, '__code__', None) and f.__code__.co_argcount == 1 and f.__code__.co_varnames[0] == 'q'
            and not f.__name__.startswith('_')]
