"""What somebody else has broken: records of garbage, keys of the wrong type, deleted records, an emptied or full server."""
import os
import random
import sys

import redis

from server import NOBODY, TEXTS, Queue, Server, decode, encode, events, refused, run, tests_of, tlv

OTHER = b'worker-2' + b'\2' * 8
RID = b'RIDRIDRI'


def job(ident, **more):
    return dict(id=ident, payload=b'payload of ' + ident, **more)


def everything(q, ident):
    """Every script that takes an id, on this one; none may raise."""
    q.call('status', b'', ident)
    q.call('attach', b'', RID, ident)
    q.touch((ident, 5), progress=50)
    q.done((ident, 5))
    q.fail(ident, 5)
    q.call('list', b'*', 'w', 0, 256)
    q.call('list', b'*', 'x', 0, 256)
    q.call('stats')
    q.call('requeue', b'*', ident)
    q.call('ack', b'*', ident)
    q.call('cancel', b'*', ident)


def garbage_in_the_queue_never_blocks_it(q):
    seed = int(os.environ.get('IMGQ_SEED', '7'))
    print('seed', seed)
    rnd = random.Random(seed)
    shapes = [b'', b'x', b'\1W' + b'\0' * 77, encode(ver=2), encode(ver=0), encode(state=b'?'), encode(state=b'A'), encode(state=b'S'),
              encode(state=b'N'), encode(state=b'F', flags2=4), encode(ext=60000, len=1 << 31), encode(prio=255, seq=1 << 63),
              encode(max_crashes=0, crashes=65535, fails=65535), encode(deadline=(1 << 64) - 1, fence=(1 << 64) - 1),
              encode(ext=8) + b'\3\xff\xffabcde', encode(flags=255, flags2=255, ext=4) + b'abcd' + b'p']
    shapes += [bytes([rnd.choice([1, 1, 1, 2])]) + bytes([rnd.choice(b'WDAFSXEN?')]) + rnd.randbytes(rnd.choice([40, 78, 78, 200]))
               for _ in range(120)]
    for number, shape in enumerate(shapes):
        ident = b'bad%03d' % number
        q.r.set(q.P + b'j' + ident, shape)
        for index, score in (('w', number), ('d', q.now() - 1), ('a', q.now() - 1), ('x', q.now()), ('dl', q.now() - 1)):
            if rnd.random() < .5:
                q.r.zadd(q.P + index.encode(), {ident: score})
        if rnd.random() < .3:
            everything(q, ident)
    for kind, key in (('hash', b'jhash'), ('list', b'jlist')):
        q.r.hset(q.P + key, 'a', 'b') if kind == 'hash' else q.r.rpush(q.P + key, 'a')
        q.r.zadd(q.P + b'w', {key[1:]: 0})
        q.r.zadd(q.P + b'd', {key[1:]: q.now() - 1})
        everything(q, key[1:])
    q.submit([job(b'good')])
    got = []
    for _ in range(300):
        q.advance(1000)
        for ident, fence, record in q.take(64):
            got.append(ident)
            q.fail(ident, fence, kind='P')
        for _, cursor in [q.call('purge', 'x', -1, 0, 256, b'')]:
            assert cursor == b''
    assert b'good' in got
    left = q.call('stats')[1]
    assert left == 0, left
    assert not q.r.exists(q.P + b'jhash') and not q.r.exists(q.P + b'jlist')


def garbage_arguments_are_refused_before_anything_is_written(q):
    """Each script with one argument replaced, left out or doubled: it answers, or refuses by name and changes nothing."""
    seed = int(os.environ.get('IMGQ_SEED', '11'))
    print('seed', seed)
    rnd = random.Random(seed)
    worker = b'worker-1' + b'\1' * 8
    q.submit([job(b'%d' % i, fails=1) for i in range(20)])
    held = q.take(8).held()
    q.fail(*held[7])
    (a, fa), (b, fb), (c, fc) = held[:3]
    good = {
        'submit': q.submit_arguments([job(b'n1', deadline=5000), job(b'n2', delay=50)], RID), 'take': [worker, b'i', 99, 2, 1000, 30000],
        'touch': [worker, b'i', 30000, a, fa, 10, b, fb, 255], 'done': [worker, 0, b'', a, fa, b'{}', b, fb, b'{}'],
        'fail': [worker, a, fa, 'T', 10, 13, b'bad', c, fc, 'R', 0, 0, b''], 'status': [b'', a, b], 'attach': [b'', RID, a, b],
        'ack': [b'', a], 'cancel': [b'', a, b], 'requeue': [b'*', held[7][0]], 'purge': ['w', 5, 0, 10, b'5:a'], 'pause': [1, 2],
        'config': ['xn', 100, 'wt', '1,2,3,4,5,6,7,8,9,0'], 'stats': [], 'list': [b'*', 'w', 0, 10], 'workers': [10],
        'import': [10, 1000, 10, 5]}
    junk = [b'', b'-1', b'nan', b'inf', b'1e9', b'0x10', b' 1', b'1 ', b'99999999999999999', b'9007199254740993', b'\0', b'*', b'x' * 70,
            b'x' * 5000, rnd.randbytes(8), rnd.randbytes(16), b'1.5', b'+1', b'5', b'W', b'\xff' * 4]
    refusals = answers = 0
    for _ in range(1500):
        name = rnd.choice(list(good))
        arguments = list(good[name])
        for _ in range(rnd.choice([1, 1, 2])):
            at = rnd.randrange(len(arguments) + 1)
            kind = rnd.random()
            if kind < .8 and at < len(arguments):
                arguments[at] = rnd.choice(junk)
            elif kind < .9:
                arguments.insert(at, rnd.choice(junk))
            elif at < len(arguments):
                del arguments[at]
        before = q.r.execute_command('DEBUG', 'DIGEST')
        try:
            q.call(name, *arguments, keys=['images'] if name == 'import' else ())
            answers += 1
        except redis.exceptions.ResponseError as error:
            assert str(error)[:5] in ('IQARG', 'IQBIG', 'IQOLD'), (name, arguments, error)
            assert q.r.execute_command('DEBUG', 'DIGEST') == before, (name, arguments, error)
            refusals += 1
        q.advance(100)
    assert refusals > 300 and answers > 100, (refusals, answers)
    live, size = q.check()
    assert (q.field('n'), q.field('b')) == (live, size)


def records_of_another_version_stay_behind_everything(q):
    for i in range(300):
        q.r.set(q.P + b'jv2-%d' % i, encode(ver=2))
        q.r.zadd(q.P + b'w', {b'v2-%d' % i: i})
    q.submit([job(b'mine')])
    got = [ident for _ in range(4) for ident, _, _ in q.take(8)]
    assert got == [b'mine']
    assert len(q.ids('w')) == 300 and q.field('c.version') == 300
    taken = q.take(8)
    assert not taken and taken.left == 0 and q.field('c.version') == 300, 'and cost nobody anything more'
    assert q.call('status', b'', b'v2-1') == [[-1]] and q.submit([job(b'v2-1')]) == [[5]]
    assert q.call('stats')[1] == 0 and q.call('stats')[8] == 300
    done, cursor = q.call('purge', 'w', -1, 0, 256, b'')
    done2, cursor = q.call('purge', 'w', -1, 0, 256, cursor)
    assert done + done2 == 300 and cursor == b'' and not q.r.exists(q.P + b'jv2-1')


def ten_thousand_expired_jobs_do_not_hide_a_fresh_one(q):
    for page in range(100):
        q.submit([dict(id=b'%d-%d' % (page, i), payload=b'', prio=9) for i in range(100)])
    q.advance(86_400_000)
    q.submit([job(b'fresh', prio=0)])
    calls = 0
    while True:
        calls += 1
        taken = q.take(8)
        if taken:
            break
        assert taken.left > 0, 'come again at once'
    assert taken[0][0] == b'fresh' and calls == 40, calls
    assert q.field('n') == 1 and q.field('c.expired') == 10000


def records_deleted_by_hand_leave_no_ghosts(q):
    q.call('config', 'xn', 150, 'xb', 5000)
    q.submit([dict(id=b'%d' % i, payload=b'x' * 40, deadline=50000 if i % 2 else 0) for i in range(100)])
    for i in range(100):
        q.r.delete(q.P + b'j%d' % i)
    for _ in range(4):
        q.take(64)
    assert q.field('n') == 0 and q.field('b') == 0 and q.field('c.lost') == 100
    codes = [q.submit([dict(id=b'n%d' % (50 * page + i), payload=b'x' * 30) for i in range(50)]) for page in range(3)]
    assert all(code[0] == 0 for page in codes for code in page)
    q.r.delete(q.P + b'jn0', q.P + b'jn1')
    held = q.take(3).held()
    q.r.delete(q.P + b'j' + held[0][0])
    assert q.touch(*held)[0] == -1 and q.done(held[0]) == [-1]
    for _ in range(12):
        q.advance(4000)
        q.touch()
    assert q.field('n') == 147 and q.field('c.lost') == 103
    q.advance(60000)
    for _ in range(6):
        q.advance(1000)
        q.touch()
    assert q.ids('dl') == []
    q.check()


def entries_in_the_wrong_index_go_where_the_record_says(q):
    q.submit([job(b'w'), job(b'd', delay=500), job(b'a', prio=9), job(b'f', prio=8, fails=1), job(b's', prio=7)])
    a, f, s = q.take(3).held()
    q.fail(*f)
    q.done(s)
    for index in 'wdax':
        for ident in (b'w', b'd', b'a', b'f', b's'):
            home = dict(w='w', d='d', a='a', f='x').get(ident.decode())
            if index != home:
                q.r.zadd(q.P + index.encode(), {ident: 1})
    q.r.zrem(q.P + b'w', b'w')  # and two that stand nowhere but wrongly
    q.r.zrem(q.P + b'x', b'f')
    for _ in range(8):
        q.advance(1000)
        q.touch(a)
    assert [t[0] for t in q.take(8)] == [b'w', b'd']
    q.check()
    assert q.state(b'a') == 'A' and q.ids('x') == [b'f'] and q.state(b's') == 'S'
    assert q.field('c.moved') > 0 and q.field('c.lost') == 0


def keys_of_the_wrong_type_refuse_the_call_and_break_nothing(q):
    q.submit([job(b'old', fails=1)])
    held = q.take().held()[0]
    q.submit([job(b'next')])
    for name in ('m', 'w', 'a', 'd', 'x', 'dl', 'er', 'wr', 'wi', 'wl', 'wk'):
        key, spare = q.P + name.encode(), q.P + b'spare'
        if q.r.exists(key):
            q.r.rename(key, spare)
        q.r.set(key, b'wrong')
        before = q.r.get(q.P + b'jnext')
        for attempt in (lambda: q.submit([job(b'new-' + name.encode(), deadline=90000)]), lambda: q.take(4, OTHER),
                        lambda: q.touch(held), lambda: q.fail(*held, kind='R')):
            q.advance(300)
            try:
                attempt()
            except redis.exceptions.ResponseError as error:
                assert 'WRONGTYPE' in str(error) or 'not an integer' in str(error), error
        if name in ('m', 'w'):
            assert q.r.get(q.P + b'jnext') == before
        q.r.delete(key)
        if q.r.exists(spare):
            q.r.rename(spare, key)
        q.r.hsetnx(q.M, 'ver', 1)
        for _ in range(10):  # all is well again
            q.advance(4000)
            q.touch(held)
            if q.state(b'old') == 'W':
                held = [h for _ in range(6) for h in q.take(64).held() if h[0] == b'old'][0]
        assert q.state(b'old') == 'A', (name, q.state(b'old'))
    for _ in range(60):
        q.advance(4000)
        q.done(*q.take(64).held())
    assert not q.ids('w') and not q.ids('a') and not q.ids('d')
    q.check()


def an_emptied_server_begins_again(q):
    q.submit([job(b'a')])
    held = q.take().held()[0]
    q.r.flushall()
    q.set_clock(q.us)
    assert refused(q.submit, [job(b'b')]).startswith('IQVER 0')
    q.r.hsetnx(q.M, 'ver', 1)
    assert q.submit([job(b'b')]) == [[0, 1]] and q.done(held) == [-1]
    assert q.take()[0][1] > held[1] - 1


def scripts_that_the_server_forgot_are_sent_again(q):
    q.submit([job(b'a')])
    q.r.script_flush()
    error = refused(q.r.execute_command, 'EVALSHA', q.shas['submit'], 2, q.M, q.P + b'0', NOBODY, b'', 0)
    assert error.startswith('NOSCRIPT') or 'No matching script' in error, error
    assert q.eval(q.texts['take'], OTHER, b'', 1, 1, 100, 30000)[4][0] == b'a'


def without_the_channel_everything_else_goes_on(q):
    q.submit([job(b'a')], RID)
    q.r.execute_command('ACL', 'SETUSER', 'mute', 'on', '>x', 'allkeys', 'allcommands', 'resetchannels')
    mute = Queue(redis.Redis(unix_socket_path=q.r.connection_pool.connection_kwargs['path'], username='mute', password='x'),
                 set_up=False)
    mute.us = q.us
    assert mute.done(*mute.take().held()) == [1] and q.state(b'a') == 'S' and q.field('c.mute') == 1
    assert mute.call('probe', 'producer', '') == [b'&' + q.P + b'*']


def a_full_server_drains_to_empty(q):
    """maxmemory: submit is refused, everything that drains goes on, and then there is room again."""
    read = []
    q.r.config_set('maxmemory', q.r.info('memory')['used_memory'] + 6_000_000)
    try:
        n = 0
        while True:
            try:
                big = dict(id=b'%d' % n, payload=os.urandom(60000), stage=b'nonce---', prio=n % 10, fails=1)
                q.stage(big)
                q.call('submit', *q.submit_arguments([big], RID))
                n += 1
            except redis.exceptions.ResponseError as error:
                assert 'OOM' in str(error), error
                break
        assert n > 20
        clock = lambda ms: q.r.eval("#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], ARGV[1])", 1, q.P + b'clock', q.us + ms * 1000)

        def advance(ms):
            clock(ms)
            q.us += ms * 1000
        q.r.eval("#!lua flags=allow-oom\nfor i = 1, 30 do redis.call('SET', 'ballast' .. i, string.rep('x', 20000)) end", 0)
        assert 'OOM' in refused(q.call, 'submit', *q.submit_arguments([job(b'late')], RID))
        q.call('attach', b'', b'another1', b'1')
        assert q.call('status', b'', b'1')[0][1] == b'W'
        held = q.take(8).held()
        assert len(held) == 8 and q.touch(*held, progress=10) == [1] * 8
        assert q.done(*held[:4], result=b'r' * 2000) == [1] * 4
        assert q.fail(*held[4], kind='R') == 1 and q.fail(*held[5], kind='P') == 2 and q.fail(*held[6], kind='B', delay=10) == 1
        assert q.call('cancel', b'', held[7][0]) == [1] and q.call('requeue', b'*', held[5][0]) == [1]
        assert q.call('pause', 1, 0) == 1 and q.call('pause', 0, 1) == 0 and q.call('config', 'xn', 50000) == 1
        assert q.call('ack', b'', held[0][0]) == [1]
        assert q.r.execute_command('EVAL', TEXTS['reference'], 1, 'uuid', '[]', 1000) in (b'OK', True)
        q.call('stats'), q.call('workers', 10), q.call('list', b'*', 'w', 0, 10), q.call('purge', 'x', -1, 0, 10, b'')
        for _ in range(200):
            advance(400)
            taken = q.take(8)
            if taken:
                q.done(*taken.held(), result=b'r' * 2000)
            elif not q.ids('w') and not q.ids('d') and not q.ids('a'):
                break
        assert q.field('n') == 0 and not q.ids('w')
        assert q.submit([job(b'room again')]) == [[8, b'id']] and q.submit([job(b'room-again')])[0][0] == 0
        q.check()
    finally:
        q.r.config_set('maxmemory', 0)


def bad_images_cannot_fill_the_server(q):
    q.call('config', 'xb', 200_000)
    for i in range(300):
        q.submit([dict(id=b'%d' % i, payload=b'x' * 1000)])
        q.fail(*q.take().held()[0], kind='P')
        q.advance(10)
    assert q.field('xby') <= 10_000 and len(q.ids('x')) == 10 and q.r.hlen(q.P + b'er') == 10
    assert q.ids('x')[-1] == b'299' and q.state(b'0') == 'F'
    q.check()


if __name__ == '__main__':
    run(*tests_of(sys.modules['__main__']), config='enable-debug-command local')
