"""Random interleavings of everything producers, workers, operators and clocks do, under a clock in the test's hand.

Workers stall and come back, replies are lost and calls repeated, clocks step and step back, Redis is away for a minute. After
each few steps and at the end the invariants hold (docs/protocol.md 1, 8):
  I1  a record's letter is the index that holds it     I3  one accepted result an incarnation
  I4  it is the latest delivery's                      I5  fences rise
  I6  no second delivery before the lease has ended    I7  n and b are what is live
  I8  fails and crashes stay within their limits       I9  suspects travel with their like, or alone
  I10 one event for each end, and status says the same I11 nothing is delivered after its deadline
  I15 an outage costs no crash                         I16 a repeated submit is one submit
  I18 what nobody touches leaves `active`
IMGQ_RAND_SEEDS=first:last and IMGQ_RAND_STEPS make it longer."""
import os
import random
import sys
from collections import Counter

from server import Queue, Server, decode, events, refused

RID, BOUND_RID = b'producer', b'session!'
LEASE = 2000
LEASE_MAX = 300000


class World:
    def __init__(self, client, seed):
        self.rnd = random.Random(seed)
        self.r = client
        self.r.flushall()
        self.q = Queue(client)
        self.listener = client.connection_pool.make_connection()
        self.listener.connect()
        for rid in (RID, BOUND_RID):
            self.listener.send_command('SSUBSCRIBE', self.q.P + b'r:' + rid)
            self.listener.read_response()
        self.jobs = {}  # id -> what was submitted
        self.latest = {}  # id -> fence of its latest delivery
        self.accepted = {}  # id -> fence
        self.ends = {}  # id -> its lease may be reaped once the clock has been here
        self.given_back = set()  # latest delivery ended by fail or cancel
        self.requeues = Counter()
        self.told = {}  # id -> events
        self.fence = 0
        self.count = Counter()
        self.workers = [(b'w%d' % i + b'\7' * 8) for i in range(3)]
        self.held = {w: [] for w in self.workers}
        self.last_take = {}
        self.high = self.q.now()  # the highest the clock has been since each lease: only grows between steps back
        self.imported = 0

    def move(self, ms):
        self.q.advance(ms)
        if ms < 0:  # leases in tomorrow may be shortened from now on
            self.ends = {i: min(end, self.q.now() + LEASE_MAX) for i, end in self.ends.items()}
        for ident, end in list(self.ends.items()):
            if end <= self.q.now():
                self.ends[ident] = 0  # from now on a reap is legal, whatever the clock does

    # -- producers --
    def new_job(self):
        rnd = self.rnd
        ident = b'_%031x' % rnd.getrandbits(124) if rnd.random() < .5 else b'u%016x' % rnd.getrandbits(64)
        job = dict(id=ident, payload=bytes(rnd.randrange(0, 200)), prio=rnd.randrange(10), delay=rnd.choice([0, 0, 0, 500]),
                   deadline=rnd.choice([0, 0, 0, 3000]), fails=rnd.choice([1, 3]), crashes=rnd.choice([1, 2, 3]))
        if rnd.random() < .4:
            job['stage'] = rnd.randbytes(8)
        if rnd.random() < .1:
            job['flags'] = 256
        return job

    def submit(self):
        jobs = [self.new_job() for _ in range(self.rnd.choice([1, 1, 1, 4, 9]))]
        rid = BOUND_RID if any(job.get('flags') for job in jobs) else RID
        for job, reply in zip(jobs, self.q.submit(jobs, rid)):
            assert reply[0] == 0, reply
            self.jobs[job['id']] = dict(job, rid=rid)
            self.count['submitted'] += 1

    def submit_again(self):
        if self.jobs:
            job = self.rnd.choice(list(self.jobs.values()))
            if not job.get('imported'):
                before = self.r.hmget(self.q.M, 'q', 'c.sub')
                assert self.q.submit([job], job['rid'])[0][0] == 1
                assert self.r.hmget(self.q.M, 'q', 'c.sub') == before, 'I16'

    def cut_staging(self):
        """A pipeline that was cut before its submit, then tried again with other bytes of the same size."""
        job = self.new_job()
        job.update(stage=b'cut-----', payload=b'old bytes', flags=0)
        self.q.stage(job)
        job.update(stage=b'retry---', payload=b'new bytes')
        assert self.q.submit([job], RID) == [[9]]
        assert self.q.submit([job], RID)[0][0] == 0
        assert self.r.get(self.q.P + b'j' + job['id']).endswith(b'new bytes')
        self.jobs[job['id']] = dict(job, rid=RID)

    def cancel(self):
        if self.jobs:
            ident = self.rnd.choice(list(self.jobs))
            if self.q.call('cancel', b'', ident) == [1]:
                self.given_back.add(ident)
                self.count['cancelled'] += 1

    def attach(self):
        if self.jobs:
            self.q.call('attach', b'', self.rnd.choice([b'other--1', b'other--2']), self.rnd.choice(list(self.jobs)))

    def import_items(self):
        self.imported += 1
        self.r.rpush('images', b'{"id": "legacy-%d"}' % self.imported)
        items, _, _ = self.q.call('import', 4, 1000, 5, self.rnd.randrange(10), keys=['images'])
        for ident in self.r.zrange(self.q.P + b'w', 0, -1):
            if ident.startswith(b'_c') and len(ident) < 32 and ident not in self.jobs:
                head = self.q.head(ident)
                self.jobs[ident] = dict(id=ident, payload=bytes(head['len']), imported=True, fails=3, crashes=3, rid=None)

    # -- workers --
    def received(self, worker, taken, n, repeat=False):
        kinds = [min(decode(record)['crashes'], 2) for _, _, record in taken]
        if not repeat:
            assert len(set(kinds)) <= 1, ('I9', kinds)
            assert not kinds or kinds[0] < 1 or len(kinds) <= max(1, n // 4), ('I9', kinds, n)
            assert not kinds or kinds[0] < 2 or len(kinds) == 1, ('I9', kinds)
        for ident, fence, record in taken:
            head, job = decode(record), self.jobs[ident]
            if repeat:
                assert self.latest[ident] == fence
            else:
                assert fence > self.fence, ('I5', fence, self.fence)
                self.fence = fence
                end = self.ends.get(ident)
                assert end is None or ident in self.given_back or end <= self.q.now(), ('I6', ident)
                assert head['deadline'] > self.q.now(), 'I11'
                assert len(record) == 80 + head['ext'] + len(job['payload'])
                self.count['delivered'] += 1
                self.held[worker].append((ident, fence))
            assert ident not in self.accepted, 'I3'
            self.latest[ident] = fence
            self.given_back.discard(ident)
            self.ends[ident] = self.q.now() + LEASE

    def take(self):
        worker, n = self.rnd.choice(self.workers), self.rnd.choice([1, 3, 8])
        taken = self.q.take(n, worker, self.rnd.choice([300, 10000]), LEASE)
        self.last_take[worker] = (n, taken)
        self.received(worker, taken, n)

    def take_again(self):
        """The reply was lost: same nonce. Or a take comes late, over a connection long dead."""
        worker = self.rnd.choice(self.workers)
        if worker not in self.last_take or not self.r.hexists(self.q.P + b'wl', worker):
            return  # after an hour of silence, or a clock step of that length, it is forgotten
        nonce = self.q.nonces[worker]
        if nonce > 1 and self.rnd.random() < .3:
            assert refused(self.q.take, 8, worker, nonce=nonce - 1).startswith('IQOLD')
            return
        n, first = self.last_take[worker]
        again = self.q.take(n, worker, lease=LEASE, nonce=nonce)
        assert set(again.held()) <= set(first.held())
        self.received(worker, again, n, repeat=True)

    def settle(self, worker, held, code):
        ident, fence = held
        if code == 1:
            assert ident not in self.accepted and self.latest[ident] == fence, ('I3 I4', held)
            self.accepted[ident] = fence
            self.ends.pop(ident, None)
            self.count['done'] += 1
        elif code == 2:
            assert self.accepted[ident] == fence
        else:
            assert code in (0, 4, -1)
            self.count['refused'] += 1

    def done(self):
        worker = self.rnd.choice(self.workers)
        batch = self.held[worker][:self.rnd.choice([1, 2, 5])]
        self.held[worker] = self.held[worker][len(batch):]
        for held, code in zip(batch, self.q.done(*batch, worker=worker, result=b'{"result":1}')):
            self.settle(worker, held, code)

    def done_late(self):
        worker = self.rnd.choice(self.workers)
        if self.held[worker]:
            held = self.rnd.choice(self.held[worker])
            self.settle(worker, held, self.q.done(held, worker=worker, result=b'{"result":1}')[0])
        if self.accepted:
            ident = self.rnd.choice(list(self.accepted))
            code = self.q.done((ident, self.accepted[ident]), worker=self.rnd.choice(self.workers), result=b'<late>')[0]
            assert code in (0, 2) and b'<late>' not in (self.r.get(self.q.P + b'j' + ident) or b'')

    def fail(self):
        worker = self.rnd.choice(self.workers)
        if self.held[worker]:
            ident, fence = self.held[worker].pop(0)
            code = self.q.fail(ident, fence, self.rnd.choice('TTPRB'), self.rnd.choice([0, 300]), worker=worker)
            if code in (1, 2, 3):
                assert self.latest[ident] == fence, 'I4'
                self.given_back.add(ident)
                self.count[f'fail {code}'] += 1

    def touch(self):
        worker = self.rnd.choice(self.workers)
        codes = self.q.touch(*self.held[worker], worker=worker, lease=LEASE, progress=self.rnd.choice([255, 50]))
        kept = []
        for (ident, fence), code in zip(self.held[worker], codes):
            if code == 1:
                assert self.latest[ident] == fence and ident not in self.accepted
                self.ends[ident] = self.q.now() + LEASE
                kept.append((ident, fence))
            elif self.rnd.random() < .3:
                kept.append((ident, fence))  # a zombie goes on
        self.held[worker] = kept

    # -- operators --
    def requeue(self):
        for ident in self.r.zrange(self.q.P + b'x', 0, 0):
            assert self.q.call('requeue', b'*', ident) == [1]
            self.requeues[ident] += 1
            self.given_back.add(ident)

    def purge(self):
        before = {i: self.q.state(i) for i in self.ids_of('wd')}
        index = self.rnd.choice('wd')
        self.q.call('purge', index, -1, 1000, 2, b'')
        for ident, state in before.items():
            if self.q.state(ident) != state:
                assert self.q.state(ident) == 'X'

    def ids_of(self, indexes):
        return [i for index in indexes for i in self.q.ids(index)]

    def pause(self):
        self.q.call('pause', 1, 0)
        assert not self.q.take(4, self.workers[0])
        self.last_take.pop(self.workers[0], None)
        self.q.call('pause', 0, 1)

    def end_session(self):
        self.r.delete(self.q.P + b's:' + BOUND_RID)

    # -- time --
    def pass_time(self):
        self.move(self.rnd.choice([1, 50, 200, 700]))

    def outage(self):
        self.q.touch(worker=self.workers[0])
        active = {i: self.q.head(i)['crashes'] for i in self.q.ids('a')}
        self.move(60000)
        for ms in (0, 9000):
            self.move(ms)
            self.q.touch(worker=self.workers[0])
            for ident, crashes in active.items():
                assert self.q.head(ident)['crashes'] == crashes, 'I15'
        self.count['outages'] += 1

    def clock_steps(self):
        step = self.rnd.choice([1000, 7000, 100_000, 1_000_000, 90_000_000])
        for ms in (step, -step) if self.rnd.random() < .7 else (-step, step):
            self.move(ms)
            for _ in range(self.rnd.randrange(4)):
                self.rnd.choice([self.submit, self.take, self.touch, self.done, self.fail])()
        self.count['clock steps'] += 1

    def silence(self):
        """I18: ticks 1-20 s apart, nobody touches."""
        before = {i: self.q.head(i)['fence'] for i in self.q.ids('a')}
        for _ in range(2 + len(before) // 32):  # after a step back the first tick only takes note of it
            self.move(300)
            self.q.touch(worker=self.workers[0])
        worst = max([self.r.zscore(self.q.P + b'a', i) or 0 for i in before], default=0) - self.q.now()
        assert worst <= LEASE_MAX, 'a lease in tomorrow stays'
        spacing, passed = self.rnd.choice([1000, 4000, 9000, 20000]), 0
        rounds = 1 + len(before) // 32  # a tick reaps 32; ticks far apart may have a grace between them
        while passed <= max(worst, 0) + rounds * (30000 + spacing):
            self.move(spacing)
            passed += spacing
            self.q.touch(worker=self.workers[0])
        for ident, fence in before.items():
            head = self.q.head(ident)
            assert not (head['state'] == b'A' and head['fence'] == fence), ('I18', ident, spacing, worst)
        self.count['silences'] += 1

    # -- invariants --
    def hear(self):
        while self.listener.can_read(0):
            for state, ident, _, body in events(self.listener.read_response()[2]):
                if state != 'P':
                    self.told.setdefault(ident, []).append((state, body))

    def check(self):
        q = self.q
        live, size = q.check()  # I1
        assert (q.field('n'), q.field('b')) == (live, size), ('I7', q.field('n'), live, q.field('b'), size)
        dead = [q.head(i) for i in q.ids('x')]
        assert q.field('xby') == sum(h['len'] for h in dead)
        deadlines = set(q.ids('dl'))
        compat = 0
        for ident, job in self.jobs.items():
            head = q.head(ident)
            assert head, ('I2', ident)
            state = head['state'].decode()
            assert head['fails'] <= job['fails'] and head['crashes'] <= job['crashes'], 'I8'
            if state in 'WD':
                assert (ident in deadlines) == bool(head['flags'] & 1), ('I11', ident)
            elif state != 'A':
                assert ident not in deadlines, ('I11', ident)
            compat += state == 'W' and bool(head['flags'] & 16)
        assert q.field('cw') == compat, (q.field('cw'), compat)
        assert q.field('c.lost') == 0 and q.field('c.mute') == 0

    def finish(self):
        for step in range(20000):
            self.move(400)
            worker = self.workers[step % 3]
            taken = self.q.take(64, worker)
            self.received(worker, taken, 64)
            if taken:
                for held, code in zip(taken.held(), self.q.done(*taken.held(), worker=worker, result=b'{"result":1}')):
                    assert code == 1
                    self.settle(worker, held, code)
            elif not self.ids_of('wda'):
                break
            elif not self.ids_of('wa'):
                self.move(taken.due)  # what a clock step has put far away
        self.check()
        self.hear()
        for ident, job in self.jobs.items():
            state = self.q.state(ident)
            assert state in tuple('SFXE'), ('I2', ident, state)
            if job['rid']:
                told = self.told.get(ident, [])
                assert len(told) == 1 + self.requeues[ident], ('I10', ident, told, self.requeues[ident])
                assert told[-1][0] == state, ('I10', told, state)
                body = self.q.call('status', b'', ident)[0][4]
                assert told[-1][1] == body, ('I10', told, body)
        assert self.r.hlen(self.q.P + b'er') == len(self.q.ids('x'))
        assert not self.ids_of(['dl']) and self.q.field('n') == self.q.field('b') == 0

    def play(self, steps):
        moves = dict(submit=14, take=16, done=14, fail=5, touch=6, cancel=3, pass_time=25, submit_again=3, done_late=4, requeue=2,
                     take_again=3, attach=2, import_items=1, cut_staging=1, purge=.2, pause=.5, end_session=.3, outage=.15,
                     clock_steps=.4, silence=.15)
        names, weights = zip(*moves.items())
        for step in range(steps):
            getattr(self, self.rnd.choices(names, weights)[0])()
            if step % 50 == 0:
                self.check()
                self.hear()
        self.finish()
        return self.count


def main():
    first, last = (int(n) for n in os.environ.get('IMGQ_RAND_SEEDS', '1:8').split(':'))
    steps, total = int(os.environ.get('IMGQ_RAND_STEPS', '500')), Counter()
    with Server() as server:
        for seed in range(first, last + 1):
            try:
                total += World(server.client(), seed).play(steps)
            except BaseException:
                print(f'FAILED with seed {seed}: IMGQ_RAND_SEEDS={seed}:{seed} IMGQ_RAND_STEPS={steps}', file=sys.stderr)
                raise
    print(f'seeds {first}..{last}, {steps} steps each:', dict(total))


if __name__ == '__main__':
    main()
