"""A script that is cut short leaves nothing that take and tick do not mend.

Each script runs over a lively queue in a build whose k-th redis.call raises instead of being executed, for every k until
it comes to its end. After each cut the clock goes on, workers take, touch and finish, and then I1 and I2 hold: every record
stands in the one index that its letter names, no accepted job has gone, and the queue drains to empty. The same with each
key in turn of a wrong type, which is put right before the clock goes on."""
import sys

import redis

from server import Queue, Server, decode, fault, tlv

WORKER = b'worker-1' + b'\1' * 8
OTHER = b'worker-2' + b'\2' * 8
RID = b'producer'


def job(ident, **more):
    return dict(id=ident, payload=b'payload of ' + ident, **more)


def lively(q):
    """Something in every state and index; returns (accepted ids, {id: fence} held)."""
    q.call('config', 'dc', 3)
    jobs = [job(b'late%d' % i, deadline=500, prio=9) for i in range(3)]
    jobs += [job(b'wait%d' % i, prio=5) for i in range(4)]
    jobs += [job(b'soon%d' % i, delay=400) for i in range(2)] + [job(b'far', delay=90000)]
    jobs += [job(b'held%d' % i, prio=8) for i in range(6)] + [job(b'dead%d' % i, prio=7, fails=1) for i in range(3)]
    jobs += [job(b'bound', flags=256, prio=6)]
    for reply in q.submit(jobs, RID):
        assert reply[0] == 0
    q.r.delete(q.P + b's:' + RID)
    q.call('attach', b'', b'another1', b'held0', b'wait0')
    held = {}
    for _ in range(12):
        for ident, fence in q.take(1, WORKER).held():
            held[ident] = fence
            if ident.startswith(b'dead'):
                q.fail(ident, fence)
    for i in range(3):
        q.fail(b'late%d' % i, held[b'late%d' % i], kind='R')
    q.r.zadd(q.P + b'a', {b'held5': q.now() - 1})  # its lease has ended
    q.advance(1000)
    return {j['id'] for j in jobs}, held


def calls(q, held):
    """Each script with arguments that make it do all it can."""
    def held_args(names, *rest):
        return [value for name in names for value in (name, held[name], *rest)]
    new = [job(b'new%d' % i, prio=i) for i in range(3)] + [job(b'new-d', delay=50, deadline=900), job(b'wait1')]
    staged = dict(job(b'new-s'), stage=b'nonce---')
    yield 'submit', lambda: (q.submit_arguments(new, RID), ())
    yield 'submit', lambda: (q.stage(staged) and q.submit_arguments([staged, dict(job(b'sess'), flags=256)], RID), ())
    yield 'take', lambda: ([WORKER, b'info', 999, 3, 1 << 30, 30000], ())
    yield 'take', lambda: ([OTHER, b'info', 1, 64, 1 << 30, 30000], ())
    yield 'touch', lambda: ([WORKER, b'info', 30000, *held_args([b'held0', b'held1'], 40)], ())
    yield 'done', lambda: ([WORKER, 0, b'', *held_args([b'held0', b'held1'], b'{"r":1}')], ())
    yield 'fail', lambda: ([WORKER, *held_args([b'held0'], 'P', 0, 13, b'bad'), *held_args([b'held1'], 'T', 300, 13, b'bad'),
                            *held_args([b'held2'], 'R', 0, 0, b''), *held_args([b'held3'], 'P', 0, 13, b'bad')], ())
    yield 'status', lambda: ([b'', b'held0', b'dead0', b'wait0'], ())
    yield 'attach', lambda: ([b'', b'another2', b'held0', b'wait1', b'far'], ())
    yield 'ack', lambda: ([b'', b'dead0', b'wait0'], ())
    yield 'cancel', lambda: ([b'', b'held0', b'wait0', b'far', b'late0', b'dead0'], ())
    yield 'requeue', lambda: ([b'', b'dead0', b'dead1', b'wait0'], ())
    for index in 'wdx':
        yield 'purge', lambda index=index: ([index, -1, 0, 2, b''], ())
    yield 'pause', lambda: ([2, 1], ())
    yield 'config', lambda: (['xn', 50, 'it', ''], ())
    yield 'stats', lambda: ([], ())
    yield 'list', lambda: ([b'*', 'w', 0, 10], ())
    yield 'workers', lambda: ([10], ())
    yield 'import', lambda: ([4, 1000, 10, 5], ('images',))


def settle(q, accepted, name, what):
    """Workers go on for a while; everything heals and drains."""
    q.call('pause', 0, 3)
    fences = {}
    for step in range(400):
        q.advance(1000 if step < 8 else 4000)
        taken = q.take(64, OTHER)
        for ident, fence, record in taken:
            assert decode(record)['state'] == b'A' and fence > fences.get(ident, 0)
            fences[ident] = fence
        if taken:
            for code in q.done(*taken.held(), worker=OTHER, result=b'{"r":1}'):
                assert code == 1
        elif not q.ids('w') and not q.ids('d') and not q.ids('a'):
            break
    else:
        raise AssertionError(f'{what}: the queue does not drain')
    for _ in range(6):  # the walk over the dead letters
        q.advance(1000)
        q.touch()
    q.check()  # I1
    for ident in accepted:  # I2; a dead letter may have been purged
        state = q.state(ident)
        assert state in ('S', 'F', 'X', 'E') or (name == 'purge' and state is None), (what, ident, state)
    assert q.field('n') == 0 and q.field('b') == 0 and q.field('cw') == 0, (what, q.r.hgetall(q.M))
    assert q.ids('dl') == [], what


def prepare(client, index):
    """A lively queue, and the index-th of calls(): (queue, accepted, script's name, arguments, keys)."""
    client.flushall()
    q = Queue(client)
    accepted, held = lively(q)
    q.r.rpush('images', *[b'{"id": "uuid-%d"}' % i for i in range(3)])
    name, make = list(calls(q, held))[index]
    arguments, keys = make()
    return q, accepted, name, arguments, keys


def verify(q, accepted, name, arguments, keys, broken, what):
    """The caller of a call that broke tries again; then everything heals and drains."""
    if name == 'submit' and broken:
        if arguments[3] == b'new-s':
            q.stage(dict(job(b'new-s'), stage=b'nonce---'))
        codes = [reply[0] for reply in q.call(name, *arguments)[3:]]
        assert set(codes) <= {0, 1}, (what, codes)
        for ident in arguments[3::10]:
            assert q.r.pttl(q.P + b'j' + ident) == -1, (what, ident, 'an accepted job has a time to live')
        accepted = accepted | set(arguments[3::10])
    settle(q, accepted, name, what)
    if name == 'import':  # none of the items is lost
        q.call('import', 4, 1000, 10, 5, keys=keys)
        bodies = b''.join(q.r.get(key) for key in q.r.scan_iter(q.P + b'j_c*'))
        for i in range(3):
            assert tlv(10, b'uuid-%d' % i) in bodies, (what, i)


def cut_at_every_call(client, index):
    k, name = 0, ''
    while True:
        k += 1
        q, accepted, name, arguments, keys = prepare(client, index)
        try:
            q.eval(fault(q.texts[name], k), *arguments, keys=keys)
            broken = False
        except redis.exceptions.ResponseError as error:
            assert 'FAULT' in str(error), (name, k, error)
            broken = True
        try:
            verify(q, accepted, name, arguments, keys, broken, f'{name} cut at call {k}')
        except BaseException:
            print(f'{name} (call {index}) cut at redis.call {k}', file=sys.stderr)
            raise
        if not broken:
            return name, k - 1


def with_each_key_of_the_wrong_type(client, index):
    refusals = 0
    for key in ('m', 'w', 'd', 'a', 'x', 'dl', 'er', 'wk', 'wr', 'wi', 'wl', 'in', 'at:held0', 's:' + RID.decode(), 'images'):
        q, accepted, name, arguments, keys = prepare(client, index)
        full = key.encode() if key == 'images' else q.P + key.encode()
        there = q.r.exists(full)
        if there:
            q.r.rename(full, b'aside')
        q.r.sadd(full, b'wrong') if key[:2] in ('s:', 'm') else q.r.set(full, b'wrong')
        try:
            q.call(name, *arguments, keys=keys)
            broken = False
        except redis.exceptions.ResponseError as error:
            assert 'WRONGTYPE' in str(error), (name, key, error)
            broken = True
            refusals += 1
        if not key.startswith('s:') or broken:
            q.r.delete(full)
        if there:
            q.r.rename(b'aside', full)
        try:
            verify(q, accepted, name, arguments, keys, broken, f'{name} with a wrong {key}')
        except BaseException:
            print(f'{name} (call {index}) with {key} of the wrong type', file=sys.stderr)
            raise
    return refusals


def main():
    with Server() as server:
        client, cuts, refusals = server.client(), 0, 0
        number = len(list(calls(Queue(client), dict.fromkeys((b'held%d' % i for i in range(6)), 1))))
        for index in range(number):
            name, places = cut_at_every_call(client, index)
            wrong = with_each_key_of_the_wrong_type(client, index)
            print(f'{name}: cut at {places} places, refused for {wrong} keys of the wrong type', flush=True)
            cuts, refusals = cuts + places, refusals + wrong
        print(f'{cuts} cuts, {refusals} refusals')


if __name__ == '__main__':
    main()
