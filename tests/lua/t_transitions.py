"""Every transition of a job and every reply code of the scripts, one after the other, under a clock in the test's hand."""
import struct
import sys

from server import NOBODY, TEXTS, decode, events, refused, run, tests_of, tlv

OTHER = b'worker-2' + b'\2' * 8
RID = b'RIDRIDRI'
OWNER, STRANGER = b'o' * 16, b's' * 16
DAY = 86_400_000


def job(ident=b'a', **more):
    return dict(id=ident, payload=b'payload of ' + ident, **more)


def owned(ident, owner=OWNER, digest=b'd' * 16):
    return dict(id=ident, payload=b'p', x=tlv(1, owner) + tlv(3, digest))


def inbox(q, rid=RID):
    listener = q.r.connection_pool.make_connection()
    listener.connect()
    listener.send_command('SSUBSCRIBE', q.P + b'r:' + rid)
    listener.read_response()

    def read():
        out = []
        while listener.can_read(0.05):
            out += events(listener.read_response()[2])
        return out
    return read


def to_dead(q, ident=b'a'):
    q.submit([job(ident, fails=1)])
    (ident, fence, _), = q.take()
    assert q.fail(ident, fence) == 2


# ---- submit ----

def a_submitted_job_waits_with_the_next_seq(q):
    assert q.submit([job(b'a'), job(b'b', prio=9)]) == [[0, 1], [0, 2]]
    assert q.state(b'a') == 'W' and q.ids('w') == [b'b', b'a']
    assert q.field('n') == 2 and q.field('b') == len(b'payload of a') * 2
    head = q.head(b'a')
    assert head['deadline'] == q.now() + DAY and head['born'] == q.now() and head['flags'] == 0, head
    q.check()


def a_repeat_is_the_same_job_and_another_content_is_a_conflict(q):
    q.submit([job()])
    assert q.submit([job()]) == [[1, b'W', 0, b'']]
    assert q.submit([job(digest=b'e' * 16)]) == [[5]]
    assert q.submit([owned(b'a')], owner=OWNER) == [[5]]
    assert q.submit([job(b'x'), job(b'x'), job(b'x', digest=b'e' * 16)]) == [[0, 2], [1, b'W', 0, b''], [5]]
    assert q.field('n') == 2
    held = q.take(2).held()
    q.done(*held, result=b'{"top":[]}')
    assert q.submit([job()]) == [[1, b'S', 1, b'{"top":[]}']]


def a_delayed_job_waits_when_its_time_comes(q):
    assert q.submit([job(delay=5000)]) == [[0, 1]]
    assert q.state(b'a') == 'D' and q.head(b'a')['deadline'] == q.now() + 5000 + DAY
    taken = q.take()
    assert not taken and taken.due == 5000
    for _ in range(4):
        q.advance(1000)
        assert not q.take()
    q.advance(1000)
    assert q.take()[0][0] == b'a'


def a_deadline_ends_what_waits_or_is_delayed(q):
    read = inbox(q)
    q.submit([job(b'a', deadline=3000), job(b'b', delay=9000, deadline=3000), job(b'c')], rid=RID)
    assert set(q.ids('dl')) == {b'a', b'b'} and q.head(b'a')['flags'] == 1
    q.advance(3000)
    look = q.call('status', b'', b'a')[0]
    assert look[1] == b'E' and q.state(b'a') == 'W', 'status tells it before anybody ticks'
    assert [t[0] for t in q.take(5)] == [b'c']
    assert q.state(b'a') == q.state(b'b') == 'E' and q.ids('dl') == []
    assert sorted(read()) == [('E', b'a', 4, b''), ('E', b'b', 4, b'')]
    assert q.field('c.expired') == 2 and q.field('n') == 1
    assert 0 < q.r.pttl(q.P + b'ja') <= 600000
    q.check()


def limits_answer_busy_with_a_time_but_repeats_are_never_busy(q):
    q.call('config', 'xn', 2)
    assert q.submit([job(b'a'), job(b'b'), job(b'c')]) == [[0, 1], [0, 2], [2, 1000]]
    assert q.submit([job(b'a')])[0][0] == 1
    room = q.call('submit', NOBODY, b'', 0)
    assert room[0] == 0 and room[2] > 0, room
    q.call('config', 'xn', '', 'xb', 30)
    assert q.submit([job(b'c')])[0][0] == 2
    assert q.submit([dict(id=b'd', payload=b'123456')]) == [[0, 3]]
    q.done(*q.take(1).held())
    assert q.submit([job(b'c')])[0][0] == 0
    q.check()


def a_paused_intake_is_closed(q):
    q.submit([job(b'a')])
    assert q.call('pause', 2, 0) == 2
    staged = job(b'b', stage=b'12345678')
    assert q.submit([job(b'a'), staged]) == [[1, b'W', 0, b''], [6, 1000]]
    assert not q.r.exists(q.P + b'jb'), 'the staged record goes'
    assert q.call('submit', NOBODY, b'', 0) == [0, 0, 1000]
    assert q.call('pause', 0, 2) == 0
    assert q.submit([staged])[0][0] == 0


def every_bad_argument_of_a_job_is_refused_alone(q):
    good = job(b'good')
    bad = [dict(good, id=i) for i in (b'', b'x' * 65, b'a b', b'a/b', b'\xff', b'_mine', b'_c12', b'_' + b'g' * 31, b'_' + b'_' * 31)]
    bad += [dict(good, prio=v) for v in (-1, 10, 'x', '', '1e0', '9' * 20, 'nan')]
    bad += [dict(good, flags=v) for v in (-1, 65536)] + [dict(good, flags=256)]  # bound to a session without a reply id
    bad += [dict(good, **{f: v}) for f in ('delay', 'deadline') for v in (-1, 'inf', 31_622_400_001)]
    bad += [dict(good, **{f: v}) for f in ('fails', 'crashes') for v in (-1, 1001, '0x1')]
    bad += [dict(good, x=x) for x in (b'', b'\3', b'\3\0', tlv(3, b'short'), tlv(3, b'd' * 16) + b'\0',
                                      struct.pack('>BH', 3, 17) + b'd' * 16, tlv(3, b'd' * 16) + tlv(7, b't' * 4096),
                                      tlv(3, b'd' * 16) + tlv(1, OWNER), tlv(3, b'c' * 16) + tlv(3, b'd' * 16),
                                      tlv(1, OWNER) + tlv(3, b'd' * 16) + tlv(1, b''))]
    bad += [dict(good, stage=b'short')]
    codes = q.call('submit', *q.submit_arguments(bad + [good]))[3:]
    for one, code in zip(bad, codes):
        assert code[0] == 8 and len(code) == 2, (one, code)
    assert codes[-1] == [0, 1] and q.field('n') == 1
    assert q.ids('w') == [b'good'] and len(q.r.keys(q.P + b'j*')) == 1
    too_long = q.submit_arguments([dict(good, id=b'long', stage=b'12345678')])
    too_long[-1] = 33554433
    assert q.call('submit', *too_long)[3][0] == 8


def a_whole_call_is_refused_before_anything_is_written(q):
    arguments = q.submit_arguments([job(b'a'), job(b'b')])
    for wrong in (arguments[:-1], arguments + [b''], [b'short'] + arguments[1:], [NOBODY, b'owner'] + arguments[2:],
                  [NOBODY, b'*'] + arguments[2:], [NOBODY, b'', 129], []):
        assert refused(q.call, 'submit', *wrong).startswith('IQARG'), wrong
    big = [dict(id=b'%d' % i, payload=b'x' * (3 << 20)) for i in range(3)]
    assert refused(q.submit, big).startswith('IQBIG')
    assert set(q.r.keys('*')) == {q.P + b'm', q.P + b'clock'}
    assert q.r.hgetall(q.M) == {b'ver': b'1'}


def the_librarys_own_ids_need_no_digest(q):
    ident = b'_' + b'0123456789abcdef' * 2
    assert q.submit([dict(id=ident[:32], payload=b'p')]) == [[0, 1]]
    assert q.submit([dict(id=ident[:32], payload=b'p')])[0][0] == 1


def staged_bytes_become_the_job_only_under_their_nonce(q):
    big = dict(id=b'big', payload=b'x' * 50000, stage=b'nonce--1')
    assert q.submit([big]) == [[0, 1]]
    assert q.r.pttl(q.P + b'jbig') == -1 and q.r.strlen(q.P + b'jbig') == 80 + 19 + 50000
    assert q.submit([big]) == [[1, b'W', 0, b'']]
    # other bytes of the same size were left staged by a cut pipeline
    q.stage(dict(id=b'two', payload=b'old' * 9, stage=b'nonce--2'))
    new = dict(id=b'two', payload=b'new' * 9, stage=b'nonce--3')
    q.stage(new)
    assert q.call('submit', *q.submit_arguments([new]))[3] == [9]
    assert not q.r.exists(q.P + b'jtwo')
    assert q.submit([new])[0][0] == 0
    # a staged value that is shorter than it says, one with other options, and none at all
    short = dict(id=b'three', payload=b'0123456789', stage=b'nonce--4')
    q.stage(short)
    q.r.set(q.P + b'jthree', q.r.get(q.P + b'jthree')[:-1], px=60000)
    assert q.call('submit', *q.submit_arguments([short]))[3] == [9]
    q.stage(short)
    assert q.call('submit', *q.submit_arguments([dict(short, digest=b'e' * 16)]))[3] == [9]
    assert q.call('submit', *q.submit_arguments([short]))[3] == [9]
    # staged is invisible
    q.stage(short)
    assert q.call('status', b'', b'three') == [[-1]] and q.call('cancel', b'', b'three') == [-1]
    assert q.call('requeue', b'', b'three') == [-1] and q.call('ack', b'', b'three') == [-1]
    assert q.call('attach', b'', RID, b'three') == [[-1]] and q.done((b'three', 0)) == [-1]
    q.check()


# ---- take ----

def a_take_gives_the_most_urgent_first_and_then_by_age(q):
    q.submit([job(b'%d-%d' % (p, i), prio=p) for i in range(3) for p in (0, 9, 5)])
    assert [t[0] for t in q.take(64)] == [b'%d-%d' % (p, i) for p in (9, 5, 0) for i in range(3)]


def a_taken_job_is_active_under_a_rising_fence(q):
    q.submit([job(b'a'), job(b'b')])
    taken = q.take(2)
    head = decode(taken[0][2])
    assert head['state'] == b'A' and head['fence'] == taken[0][1] == q.head(b'a')['fence'] and head['deliveries'] == 1
    assert taken[1][1] > taken[0][1] >= q.us and taken[0][2][80 + 19:] == b'payload of a'
    assert q.ids('w') == [] and set(q.ids('a')) == {b'a', b'b'} and q.field('fe') == taken[1][1]
    assert q.r.zscore(q.P + b'a', b'a') == q.now() + 30000
    q.check()


def a_repeated_nonce_is_the_same_batch_and_an_older_one_is_refused(q):
    q.submit([job(b'%d' % i) for i in range(6)])
    first = q.take(2, nonce=7)
    q.advance(20000)
    again = q.take(2, nonce=7)
    assert again.held() == first.held() and [t[2] for t in again] == [t[2] for t in first]
    assert q.r.zscore(q.P + b'a', b'0') == q.now() + 30000, 'leases are renewed'
    assert q.done(first.held()[0]) == [1]
    assert q.take(2, nonce=7).held() == first.held()[1:]
    assert refused(q.take, 2, nonce=6).startswith('IQOLD 7')
    assert q.take(2, nonce=8).held()[0][0] == b'2'
    assert q.field('c.del') == 4
    q.take(64, worker=OTHER, nonce=1)
    assert len(q.take(64, nonce=9)) == 0
    q.submit([job(b'late')])
    assert refused(q.take, 1, nonce=8).startswith('IQOLD 9'), 'an empty take counts too'
    q.check()


def max_bytes_counts_payloads_wherever_they_are(q):
    q.submit([dict(id=b'%d' % i, payload=b'x' * 20000, stage=b'nonce---') for i in range(5)])
    taken = q.take(64, max_bytes=50000)
    assert len(taken) == 2 and taken.left == 3
    assert len(taken[0][2]) == 80 + 19, 'a large record comes as its head'
    assert len(q.take(64, max_bytes=0)) == 1, 'one at least'


def a_record_comes_whole_or_as_its_head(q):
    sizes = [8192 - 99, 8192 - 98, 8192 - 19, 8192 - 18]  # 99: header and digest
    q.submit([dict(id=b'%d' % n, payload=b'x' * n) for n in sizes])
    for _ in range(2):  # the reply, and its repeat
        taken = q.take(64, nonce=1)
        assert [len(t[2]) for t in taken] == [8192, 99, 99, 99], [len(t[2]) for t in taken]


def sixty_four_times_32_mib_are_not_one_batch(q):
    q.submit([job(b'%02d' % i) for i in range(64)])
    for i in range(64):
        q.r.setrange(q.P + b'j%02d' % i, 68, struct.pack('>I', 32 << 20))
    assert len(q.take(64, max_bytes=64 << 20)) == 2


def weights_share_the_slots(q):
    q.submit([job(b'%d-%d' % (p, i), prio=p) for i in range(30) for p in (9, 5, 0)][:90])
    q.call('config', 'wt', '10,0,0,0,0,30,0,0,0,60')
    got = {b'9': 0, b'5': 0, b'0': 0}
    for _ in range(10):
        for ident, _, _ in q.take(4):
            got[ident[:1]] += 1
    assert sum(got.values()) == 40 and abs(got[b'9'] - 24) <= 1 and abs(got[b'5'] - 12) <= 1 and abs(got[b'0'] - 4) <= 1, got
    # a class of weight 0 only when no other has work
    q.submit([job(b'zero', prio=7)])
    rest = [ident for _ in range(20) for ident, _, _ in q.take(4)]
    assert b'zero' in rest[-3:] and len(rest) == 51, rest
    q.check()


def a_paused_queue_gives_nothing_and_resume_wakes(q):
    q.submit([job()])
    q.r.delete(q.P + b'wk')
    assert q.call('pause', 1, 0) == 1
    taken = q.take()
    assert not taken and taken.paused == 1 and taken.left == 1, 'what waits is said'
    assert q.call('pause', 0, 1) == 0 and q.r.llen(q.P + b'wk') == 4
    assert len(q.take()) == 1


def tokens_stay_few(q):
    for i in range(20):
        q.submit([job(b'd%d' % i, delay=100000 - i)])
        q.submit([job(b'w%d' % i)])
    assert q.r.llen(q.P + b'wk') == 4
    for i in range(4):
        q.submit([job(b'%d-%d' % (i, k)) for k in range(20)])
    assert q.r.llen(q.P + b'wk') <= 5
    q.r.delete(q.P + b'wk')
    assert q.take().left == 99 and q.r.llen(q.P + b'wk') == 1, 'the baton'
    q.call('pause', 0, 0)
    q.take(64)
    q.take(64)
    taken = q.take()
    assert taken.left == 0 and q.r.llen(q.P + b'wk') == 0 and taken.due == 30000


def a_job_of_a_session_that_ended_is_cancelled(q):
    q.submit([job(flags=256), job(b'b', flags=256)], rid=RID)
    assert q.r.pttl(q.P + b's:' + RID) > 59000 and q.head(b'a')['flags2'] == 1
    assert q.take()[0][0] == b'a'
    q.r.delete(q.P + b's:' + RID)
    assert not q.take() and q.state(b'b') == 'X' and q.head(b'b')['err'] == 5
    q.check()


def a_late_job_is_not_delivered_even_between_two_ticks(q):
    q.submit([job(b'soon', deadline=5000), job(b'old')])
    q.advance(4900)
    q.touch()
    q.advance(200)
    assert [t[0] for t in q.take(8)] == [b'old'] and q.state(b'soon') == 'E'
    q.submit([job(b'older')])
    q.advance(DAY - 100)
    q.touch()
    q.advance(100)
    assert not q.take(8) and q.state(b'older') == 'E', 'the max age of jobs without a deadline of their own'
    q.check()


def a_clock_that_blinked_leaves_no_lease_and_no_grace_in_tomorrow(q):
    q.submit([job(b'a'), job(b'b')])
    q.touch()
    q.advance(25 * 3600 * 1000)
    q.touch()  # a gap: grace
    q.submit([job(b'c')])
    held = q.take(1).held()
    assert held
    q.advance(-25 * 3600 * 1000)
    q.touch()
    q.advance(300)
    q.touch()
    assert q.r.zscore(q.P + b'a', held[0][0]) <= q.now() + 300000 and q.field('gr') <= q.now() + 10000
    for _ in range(80):
        q.advance(4000)
        q.touch()
    assert q.state(held[0][0]) == 'W' and q.head(held[0][0])['crashes'] == 1
    again = q.take(1).held()
    assert again[0][1] > held[0][1], 'fences rise whatever the clock does'


def an_outage_costs_nobody_a_crash_and_is_not_granted_in_a_row(q):
    q.submit([job()])
    held = q.take().held()[0]
    q.advance(60000)
    q.touch(worker=OTHER)
    assert q.state(b'a') == 'A' and q.field('c.grace') == 1
    q.advance(9000)
    assert q.touch(held) == [1], 'its worker came back in time'
    q.advance(31000)
    q.touch(worker=OTHER)  # ticks 31 s apart are no outage each
    q.advance(20000)
    q.touch(worker=OTHER)
    assert q.head(b'a')['crashes'] == 1


def an_outage_does_not_end_a_session(q):
    q.submit([job(flags=256)], rid=RID)
    q.touch()
    q.advance(61000)
    q.r.delete(q.P + b's:' + RID)  # what its time to live did meanwhile
    assert [t[0] for t in q.take(1)] == [b'a'], 'its producer has had no time to renew it'
    q.check()


# ---- touch, done, fail ----

def touch_renews_and_tells_how_each_job_stands(q):
    read = inbox(q)
    q.submit([job(b'%d' % i, deadline=0 if i != 3 else 60000) for i in range(6)], rid=RID)
    held = q.take(6).held()
    q.call('cancel', b'', b'1')
    q.done(held[2])
    q.advance(20000)
    assert q.touch(*held, progress=40) == [1, 2, 0, 1, 1, 1] and q.head(b'0')['progress'] == 40
    assert q.r.zscore(q.P + b'a', b'0') == q.now() + 30000
    assert q.touch((b'0', held[0][1] + 1), (b'none', 5)) == [0, -1]
    assert q.touch(held[0], worker=OTHER) == [0], 'another worker, the same fence'
    assert q.fail(*held[3], kind='B', delay=50000) == 3
    assert q.touch(held[3]) == [3]
    assert ('P', b'0', 0, bytes([40])) in read()
    assert q.touch() == []
    q.check()


def done_is_accepted_once_from_the_latest_delivery_only(q):
    read = inbox(q)
    q.submit([job(b'%d' % i) for i in range(4)], rid=RID)
    held = q.take(4).held()
    assert q.done(held[0], result=b'{"a":1}') == [1] and q.state(b'0') == 'S'
    assert q.done(held[0], result=b'{"b":2}') == [2] and q.r.get(q.P + b'j0').endswith(b'}') and b'{"a":1}' in q.r.get(q.P + b'j0')
    assert q.done(held[1], worker=OTHER) == [0] and q.done((b'1', held[1][1] + 1)) == [0]
    q.call('cancel', b'', b'2')
    assert q.done(held[2]) == [4] and q.state(b'2') == 'X'
    q.r.delete(q.P + b'j3')
    assert q.done(held[3]) == [-1] and not q.r.exists(q.P + b'j3')
    assert q.done(held[1], held[1]) == [1, 2], 'twice in one call'
    assert [e for e in read() if e[1] == b'0'] == [('S', b'0', 0, b'{"a":1}')]
    assert q.field('c.stale') == 4 and 3599000 < q.r.pttl(q.P + b'j0') <= 3600000


def a_result_lives_as_long_as_worker_job_or_queue_say(q):
    x = tlv(3, b'd' * 16) + tlv(8, struct.pack('>I', 7200000))
    q.submit([job(b'a'), dict(id=b'b', payload=b'', x=x), job(b'c'), job(b'd')])
    held = q.take(4).held()
    q.done(held[0])
    q.done(held[1])
    q.done(held[2], ttl=9000000)
    q.done(held[3], ttl=1)
    ttls = [round(q.r.pttl(q.P + b'j' + ident) / 100000) for ident in (b'a', b'b', b'c', b'd')]
    assert ttls == [36, 72, 90, 6], ttls
    assert refused(q.done, held[0], result=b'').startswith('IQARG')
    assert refused(q.done, held[0], result=b'x' * 1048577).startswith('IQBIG')
    assert refused(q.done, *held[:1] * 9, result=b'x' * 1048576).startswith('IQBIG')


def fails_count_until_the_job_is_dead(q):
    read = inbox(q)
    q.submit([job(fails=2)], rid=RID)
    held = q.take().held()[0]
    assert q.fail(*held, delay=500) == 1 and q.state(b'a') == 'D' and q.head(b'a')['err'] == 13
    assert q.call('status', b'', b'a')[0][3:] == [1, b'bad']
    assert q.fail(*held) == 0, 'a repeat is stale'
    q.advance(500)
    held = q.take().held()[0]
    assert q.fail(*held, text=b'again') == 2 and q.state(b'a') == 'F' and q.ids('x') == [b'a']
    assert read() == [('F', b'a', 13, b'again')]
    assert q.field('n') == 0 and q.field('b') == 0 and q.field('xby') == len(b'payload of a')
    assert q.call('status', b'', b'a')[0][1:5:3] == [b'F', b'again']
    q.check()


def permanent_release_and_busy(q):
    q.submit([job(b'p'), job(b'r'), job(b'b')])
    p, r, b = q.take(3).held()
    assert q.fail(*p, kind='P', text=b'not an image ' + b'x' * 600) == 2 and len(q.r.hget(q.P + b'er', b'p')) == 512
    assert q.fail(*r, kind='R', delay=9999) == 1 and q.state(b'r') == 'W' and q.head(b'r')['fails'] == 0
    assert q.fail(*b, kind='B', delay=1000) == 1 and q.state(b'b') == 'D' and q.head(b'b')['fails'] == 0
    assert q.r.hlen(q.P + b'er') == 1
    q.call('cancel', b'', b'r')
    assert q.fail(*r) == 4 and q.fail(b'none', 1) == -1 and q.fail(*b, worker=OTHER) == 0
    for wrong in (dict(kind='Z'), dict(kind='TT'), dict(delay=-1), dict(code=65536)):
        assert refused(q.fail, *b, **wrong).startswith('IQARG')
    q.check()


def a_success_forgets_the_errors(q):
    q.submit([job()])
    q.fail(*q.take().held()[0])
    assert q.done(*q.take().held()) == [1]
    assert q.r.hlen(q.P + b'er') == 0 and q.head(b'a')['fails'] == 1 and q.head(b'a')['err'] == 0


def a_lost_lease_gives_the_job_to_others_three_times(q):
    q.submit([job(), job(b'b')])
    fences = []
    for crash in range(3):
        taken = q.take(1)
        assert taken and taken[0][0] == b'a', taken
        fences.append(taken[0][1])
        for _ in range(9):
            q.advance(4000)
            q.touch()
        assert q.head(b'a')['crashes'] == crash + 1
    assert q.state(b'a') == 'F' and q.head(b'a')['err'] == 16 and q.r.hget(q.P + b'er', b'a') == b'lease lost'
    assert q.done((b'a', fences[0])) == [0] and q.done((b'a', fences[2])) == [0]
    assert q.field('c.reaped') == 3 and q.state(b'b') == 'W'
    q.check()


def suspects_travel_with_their_like_or_alone(q):
    q.submit([job(b'%02d' % i) for i in range(16)])
    q.take(4)
    for _ in range(9):
        q.advance(4000)
        q.touch()
    assert [q.head(b'%02d' % i)['crashes'] for i in range(5)] == [1, 1, 1, 1, 0]
    assert [t[0] for t in q.take(8)] == [b'00', b'01'], 'n / 4 of them'
    assert [t[0] for t in q.take(2)] == [b'02'], 'at least one'
    for _ in range(9):
        q.advance(4000)
        q.touch()
    assert [t[0] for t in q.take(64)] == [b'00'] and [t[0] for t in q.take(64)] == [b'01'], 'twice: alone'
    assert [t[0] for t in q.take(64)] == [b'02'] and [t[0] for t in q.take(64)] == [b'03']
    assert len(q.take(64)) == 12


# ---- the producers' others ----

def owners_see_only_their_own(q):
    q.submit([owned(b'a')], owner=OWNER)
    q.submit([job(b'free')])
    for script in ('status', 'cancel', 'ack', 'requeue'):
        assert q.call(script, STRANGER, b'a') in ([-2], [[-2]]), script
        assert q.call(script, b'', b'a') in ([-2], [[-2]]), script
    assert q.call('attach', STRANGER, RID, b'a') == [[-2]]
    assert q.call('status', OWNER, b'a')[0][0] == 0 and q.call('status', b'*', b'a')[0][0] == 0
    assert q.call('status', STRANGER, b'free')[0][0] == 0
    assert [row[:1] for row in q.call('list', STRANGER, 'w', 0, 10)] == [[], [b'free']], 'each entry has its place'
    assert len(q.call('list', b'*', 'w', 0, 10)) == 2
    assert q.submit([owned(b'a', STRANGER)], owner=STRANGER) == [[5]]
    assert q.submit([owned(b'x', STRANGER)], owner=OWNER)[0][0] == 8
    assert q.call('cancel', OWNER, b'a') == [1]
    assert refused(q.call, 'status', b'short', b'a').startswith('IQARG')


def status_tells_every_state(q):
    q.submit([job(b'w'), job(b'd', delay=9000)])
    assert q.call('status', b'', b'w', b'd', b'none') == [
        [0, b'W', q.r.getrange(q.P + b'jw', 0, 79), 0, b''], [0, b'D', q.r.getrange(q.P + b'jd', 0, 79), 0, b''], [-1]]
    held = q.take().held()[0]
    assert q.call('status', b'', b'w')[0][1] == b'A'
    q.done(held, result=b'r' * 8192)
    assert q.call('status', b'', b'w')[0][3:] == [1, b'r' * 8192]
    q.submit([job(b'big')])
    q.done(q.take().held()[0], result=b'r' * 8193)
    assert q.call('status', b'', b'big')[0][3:] == [3, b'']
    assert refused(q.call, 'status', b'', *[b'i'] * 129).startswith('IQBIG')
    assert refused(q.call, 'status', b'', b'bad id').startswith('IQARG')
    assert q.call('status', b'') == []


def nine_handles_may_follow_a_job(q):
    q.submit([job()])
    rids = [b'follow-%d' % i for i in range(10)]
    reads = [inbox(q, rid) for rid in rids]
    for rid in rids[:9] + rids[:9]:
        assert q.call('attach', b'', rid, b'a')[0][0] == 0, rid
    assert q.call('attach', b'', rids[9], b'a')[0][0] == 1
    assert q.call('attach', b'', NOBODY, b'a', b'none') [0][0] == 0
    assert q.r.ttl(q.P + b'at:a') > 86000
    q.done(*q.take().held(), result=b'{"r":1}')
    for read in reads[:9]:
        assert read() == [('S', b'a', 0, b'{"r":1}')]
    assert reads[9]() == [] and not q.r.exists(q.P + b'at:a')
    assert q.call('attach', b'', rids[9], b'a')[0][3:] == [1, b'{"r":1}'], 'then it answers like status'
    assert q.call('ack', b'', b'a') == [0], 'others wait for it'


def a_repeated_submit_attaches(q):
    read = inbox(q)
    q.submit([job()], rid=b'nobody-0')
    q.submit([job()], rid=RID)
    q.submit([job(b'b')])
    q.submit([job(b'b')], rid=RID)
    assert q.head(b'b')['rid'] == RID and q.head(b'a')['flags'] & 32
    q.done(*q.take(2).held())
    assert sorted(e[1] for e in read()) == [b'a', b'b']


def ack_drops_the_result_and_says_so_ever_after(q):
    q.submit([job()])
    assert q.call('ack', b'', b'a', b'none') == [0, -1]
    q.done(*q.take().held(), result=b'{"r":1}')
    assert q.call('ack', b'', b'a') == [1] and q.call('ack', b'', b'a') == [0]
    assert q.call('status', b'', b'a')[0][3:] == [2, b''] and q.submit([job()]) == [[1, b'S', 2, b'']]
    assert 0 < q.r.pttl(q.P + b'ja') <= 600000 and q.r.strlen(q.P + b'ja') == 80 + 19


def cancel_ends_every_live_state(q):
    read = inbox(q)
    q.submit([job(b'w', deadline=9000), job(b'd', delay=9000), job(b'z', prio=9)], rid=RID)
    held = q.take().held()[0]
    assert q.call('cancel', b'', b'w', b'd', b'z', b'none', b'w') == [1, 1, 1, -1, 0]
    assert {q.state(i) for i in (b'w', b'd', b'z')} == {'X'}
    assert q.field('n') == 0 and q.field('b') == 0 and q.ids('dl') == []
    assert q.done(held) == [4] and q.touch(held) == [2]
    assert sorted(e[:3] for e in read()) == [('X', b'd', 5), ('X', b'w', 5), ('X', b'z', 5)]
    q.check()


def requeue_gives_a_dead_job_a_new_life_even_after_25_hours(q):
    q.submit([job(fails=1, deadline=3600000)])
    old = q.take().held()[0]
    assert q.fail(*old) == 2
    q.advance(25 * 3600 * 1000)
    q.touch()
    assert q.call('requeue', b'*', b'a', b'none') == [1, -1] and q.call('requeue', b'*', b'a') == [0]
    head = q.head(b'a')
    assert (head['state'], head['fails'], head['crashes'], head['err'], head['flags']) == (b'W', 0, 0, 0, 0)
    assert head['deadline'] == q.now() + DAY and q.field('n') == 1 and q.field('xby') == 0 and q.field('b') == head['len']
    held = q.take().held()[0]
    assert held[1] > old[1] and q.done(old) == [0] and q.done(held) == [1]
    assert q.r.hlen(q.P + b'er') == 0
    q.check()


def purge_goes_through_an_index_in_pages(q):
    read = inbox(q)
    q.submit([job(b'old%d' % i, prio=i % 2) for i in range(5)], rid=RID)
    q.advance(10000)
    q.submit([job(b'new%d' % i, prio=i % 2) for i in range(5)], rid=RID)

    def purge(index, prio, older, page):
        done, cursor, calls = 0, b'', 0
        while True:
            n, cursor = q.call('purge', index, prio, older, page, cursor)
            done, calls = done + n, calls + 1
            if cursor == b'':
                return done
            assert calls < 50
    assert purge('w', 1, 5000, 1) == 2 and purge('w', -1, 5000, 2) == 3
    assert sorted(q.ids('w')) == [b'new%d' % i for i in range(5)]
    assert purge('w', 0, 0, 2) == 3 and purge('w', -1, 0, 256) == 2 and q.field('n') == 0
    assert len(read()) == 10 and q.state(b'new0') == 'X'
    q.submit([job(b'd%02d' % i, delay=50000) for i in range(10)])  # all due at the same time
    q.advance(1000)
    q.submit([job(b'e%02d' % i, delay=49000) for i in range(10)])
    assert purge('d', -1, 500, 3) == 10 and len(q.ids('d')) == 10
    for i in range(7):
        to_dead(q, b'x%d' % i)
    assert purge('x', -1, 60000, 2) == 0 and purge('x', -1, 0, 2) == 7
    assert not q.r.exists(q.P + b'jx0') and q.field('xby') == 0 and q.r.hlen(q.P + b'er') == 0
    for wrong in (('a', -1, 0, 1, b''), ('x', 3, 0, 1, b''), ('w', 10, 0, 1, b''), ('w', -1, 0, 257, b''), ('w', -1, 0, 1, b'junk')):
        assert refused(q.call, 'purge', *wrong).startswith('IQARG')
    q.check()


def dead_letters_have_a_life_and_a_cap(q):
    q.call('config', 'dt', 60000)
    to_dead(q)
    q.advance(61000)
    q.touch()
    assert q.state(b'a') is None and q.ids('x') == [] and q.field('xby') == 0
    q.call('config', 'dc', 2)
    for i in range(4):
        q.advance(1)
        to_dead(q, b'%d' % i)
    assert q.ids('x') == [b'2', b'3']
    look = q.call('status', b'', b'0')[0]
    assert look[1] == b'F' and look[3:] == [1, b'bad'], 'a tombstone with its error'
    assert q.call('requeue', b'*', b'0', b'3') == [0, 1] and 0 < q.r.pttl(q.P + b'j0') <= 600000
    q.call('config', 'xb', 4000)  # dead letters may hold a twentieth: 200 bytes
    for i in range(4, 8):
        q.submit([dict(id=b'%d' % i, payload=b'y' * 90, fails=1, prio=9)])
        q.fail(*q.take().held()[0])
    assert q.field('xby') <= 200 and len(q.ids('x')) == 2
    q.check()


def settings_are_checked(q):
    assert q.call('config', 'xn', 10, 'it', 2000) == 2 and q.field('xn') == 10
    for wrong in (('xn', 0), ('nope', 1), ('xn', 'ten'), ('wt', '1,2'), ('wt', '0,0,0,0,0,0,0,0,0,0'), ('ver', 2), ('xn',), ()):
        assert refused(q.call, 'config', *wrong).startswith('IQARG'), wrong
    assert q.call('config', 'xn', '') == 1 and not q.r.hexists(q.M, 'xn')
    q.submit([job()])
    q.call('cancel', b'', b'a')
    assert q.r.pttl(q.P + b'ja') <= 2000, 'the idem TTL'


def stats_list_and_workers_show_the_queue(q):
    q.submit([job(b'a'), job(b'b'), job(b'c', delay=5000)])
    q.take(info=b'{"model":"m"}')
    q.advance(1000)
    now, waiting, delayed, active, dead, oldest, alive, seen, parked, fields = q.call('stats')
    assert (now, waiting, delayed, active, dead, alive, parked) == (q.now(), 1, 1, 1, 0, 1, 0)
    assert oldest == seen == now - 1000 and dict(zip(fields[::2], fields[1::2]))[b'c.sub'] == b'3'
    (ident, due, header, text), = q.call('list', b'*', 'd', 0, 10)
    assert (ident, int(due), decode(header)['state'], text) == (b'c', q.now() + 4000, b'D', b'')
    assert q.call('list', b'*', 'w', 1, 10) == []
    assert q.call('workers', 10) == [q.now(), b'worker-1' + b'\1' * 8, q.now() - 1000, b'{"model":"m"}']


def a_worker_seen_in_tomorrow_is_not_alive(q):
    q.advance(25 * 3600 * 1000)
    q.take()
    q.advance(-25 * 3600 * 1000)  # the clock is corrected; that worker never comes again
    assert q.call('stats')[6] == 0
    q.take(worker=OTHER)
    q.advance(9000)
    assert q.call('stats')[6] == 1


def silent_workers_are_forgotten_with_all_they_left(q):
    for i in range(40):
        q.take(worker=b'w%02d' % i + b'\3' * 8, info=b'i')
    assert q.r.hlen(q.P + b'wi') == q.r.hlen(q.P + b'wl') == 40
    q.advance(3601000)
    for _ in range(3):
        q.touch()
        q.advance(1000)
    assert q.r.zcard(q.P + b'wr') == 1 and q.r.hlen(q.P + b'wi') == 0 and q.r.hlen(q.P + b'wl') == 0


def each_day_keeps_its_first_counters(q):
    q.submit([job()])
    q.done(*q.take().held())
    q.set_clock(1_800_057_599_000_000)  # 2027-01-15 23:59:59 UTC
    q.touch()
    q.advance(1000)
    q.touch()
    assert int(q.r.hget(q.P + b'sd:20270116', 'c.done')) == 1 and q.r.ttl(q.P + b'sd:20270116') > 3_000_000
    q.set_clock(1_835_438_400_000_000)  # 2028-02-29
    q.touch()
    assert q.r.exists(q.P + b'sd:20280229')


# ---- the reference wire ----

def imported_items_are_jobs_and_none_is_lost(q):
    q.r.rpush('images', b'{"id": "uuid-1", "image": "AA=="}', b'{"image": "' + b'A' * 900000 + b'", "id": "uuid-2"}', b'no json')
    q.r.rpush(q.P + b'in', b'{"id": "uuid-0"}')

    def bring(cap=10, most=524288, window=100, prio=5):
        return q.call('import', cap, most, window, prio, keys=['images'])
    assert bring(cap=1) == [1, 16, 3]
    assert bring(window=1) == [0, 0, 3], 'enough of them wait'
    items, size, left = bring()
    assert items == 2 and size > 900000 and left == 1, 'it stops when it has its bytes'
    assert bring() == [1, 7, 0] and bring() == [0, 0, 0]
    taken = q.take(8)
    assert [t[0] for t in taken] == [b'_c1', b'_c2', b'_c3', b'_c4']
    assert taken[0][2][80:] == tlv(10, b'uuid-0') + b'{"id": "uuid-0"}'
    assert taken[2][2][80:] == tlv(10, b'uuid-2') and taken[3][2][80:] == b'no json'
    assert decode(taken[0][2])['flags'] == 16 and decode(taken[0][2])['deadline'] == q.now() + DAY
    assert q.field('c.imp') == 4 and q.field('cw') == 0
    assert q.fail(*taken.held()[3], kind='P') == 2 and q.fail(*taken.held()[0], kind='R') == 1 and q.field('cw') == 1
    q.check()


def import_waits_while_the_queue_is_full_or_paused(q):
    q.r.rpush('images', b'1', b'2', b'3')
    q.call('config', 'xn', 2)
    assert q.call('import', 10, 1000, 100, 5, keys=['images']) == [2, 2, 1]
    q.call('config', 'xn', '')
    q.call('pause', 1, 0)
    assert q.call('import', 10, 1000, 100, 5, keys=['images'])[0] == 0
    q.call('pause', 0, 1)
    q.r.set(q.P + b'j_c3', b'occupied')
    assert q.call('import', 10, 1000, 100, 5, keys=['images'])[0] == 1
    assert sorted(q.ids('w')) == [b'_c1', b'_c2', b'_c4'] and q.r.get(q.P + b'j_c3') == b'occupied'
    for wrong in ((0, 1, 1, 5), (257, 1, 1, 5), (1, 1, 1, 10), (1, 1, 1)):
        assert refused(q.call, 'import', *wrong, keys=['images']).startswith('IQARG')
    assert refused(q.call, 'import', 1, 1, 1, 5).startswith('IQARG')


def the_references_answer_is_a_plain_key(q):
    assert q.r.execute_command('EVAL', TEXTS['reference'], 1, 'some-uuid', '[]', 3600000) in (b'OK', True)
    assert q.r.get('some-uuid') == b'[]' and q.r.pttl('some-uuid') > 3599000


# ---- versions ----

def another_version_of_the_queue_is_refused_and_an_absent_one_named(q):
    calls = [('submit', NOBODY, b'', 0), ('take', b'w' * 9, b'', 1, 1, 1, 10000), ('touch', b'w' * 9, b'', 10000),
             ('done', b'w' * 9, 0, b''), ('fail', b'w' * 9), ('attach', b'', RID), ('ack', b''), ('cancel', b''), ('requeue', b''),
             ('purge', 'w', -1, 0, 1, b''), ('pause', 1, 0), ('config', 'xn', 1)]
    reading = [('status', b''), ('stats',), ('list', b'*', 'w', 0, 1), ('workers', 1)]
    q.r.hset(q.M, 'ver', 2)
    for name, *arguments in calls + reading:
        assert refused(q.call, name, *arguments).startswith('IQVER 2'), name
    q.r.delete(q.M)
    for name, *arguments in calls:
        assert refused(q.call, name, *arguments).startswith('IQVER 0'), name
    for name, *arguments in reading:
        q.call(name, *arguments)
    assert not q.r.exists(q.M)


if __name__ == '__main__':
    run(*tests_of(sys.modules['__main__']))
