"""The ACL files of lib/queue/acl: each role's user runs all that its role does and nothing beyond; probe names what lacks."""
import hashlib
import os
import re
import time

import redis

from server import NOBODY, SOURCE, TEXTS, Queue, Server, encode, refused

WORKER = b'worker-1' + b'\1' * 8
RID = b'RIDRIDRI'
LIST = 'image_queue'


def rules(role):
    """The tokens of lib/queue/acl/ROLE.acl after the user's name, password aside."""
    lines = [line for line in open(os.path.join(SOURCE, 'lib', 'queue', 'acl', role + '.acl')) if line.startswith('user ')]
    assert len(lines) == 1, role
    tokens = lines[0].split()
    assert tokens[:3] == ['user', 'imgq-' + role, 'on'], tokens[:3]
    return [t for t in tokens[3:] if not t.startswith(('>', '#'))]


def as_user(server, name, tokens, prefix=None):
    server.client().execute_command('ACL', 'SETUSER', name, 'reset', 'on', '>secret', *tokens)
    client = redis.Redis(unix_socket_path=server.socket, username=name, password='secret')
    return Queue(client, virtual_clock=False, set_up=False, prefix=prefix)


def job(ident, **more):
    return dict(id=ident, payload=b'payload of ' + ident, **more)


def call(q, name, *arguments, keys=()):
    """As the library: EVALSHA, after NOSCRIPT EVAL. A NOPERM inside a script counts as a failure."""
    all_keys = [q.M, q.P + b'0', *keys]
    sha = hashlib.sha1(TEXTS[name].encode()).hexdigest()
    try:
        return q.r.execute_command('EVALSHA', sha, len(all_keys), *all_keys, *arguments)
    except redis.exceptions.NoScriptError:
        return q.r.execute_command('EVAL', TEXTS[name], len(all_keys), *all_keys, *arguments)


def reads(q):
    call(q, 'status', b'', b'a')
    call(q, 'stats')
    call(q, 'list', b'*', 'w', 0, 10)
    call(q, 'workers', 10)
    q.r.ping(), q.r.info('server')


def produces(q):
    q.r.client_setname('imgq')
    q.r.hsetnx(q.M, 'ver', 1), q.r.hsetnx(q.M, 'xb', 1 << 30)
    q.stage(dict(job(b'staged'), stage=b'nonce---'))
    submitted = call(q, 'submit', *q.submit_arguments([job(b'a', deadline=50000), job(b'd', delay=50, fails=1),
                                                       dict(job(b'staged'), stage=b'nonce---'), dict(job(b's'), flags=256)], RID))
    assert [reply[0] for reply in submitted[3:]] == [0, 0, 0, 0], submitted
    call(q, 'submit', *q.submit_arguments([job(b'a', deadline=50000)], b'another1'))
    call(q, 'attach', b'', b'another2', b'a')
    reads(q)
    q.r.set(q.P + b's:' + RID, b'', px=60000), q.r.pexpire(q.P + b's:' + RID, 60000)
    q.r.get(q.P + b'ja')
    listener = q.r.connection_pool.make_connection()
    listener.connect()
    listener.send_command('SSUBSCRIBE', q.P + b'r:' + RID)
    assert listener.read_response()[0] == b'ssubscribe'
    listener.send_command('SUNSUBSCRIBE', q.P + b'r:' + RID)
    assert listener.read_response()[0] == b'sunsubscribe'
    listener.disconnect()
    call(q, 'ack', b'', b'a')
    assert call(q, 'cancel', b'', b'd') == [1]
    q.r.wait(0, 1)


def works(q, nonce):
    reply = call(q, 'take', WORKER, b'info', nonce, 8, 1 << 30, 30000)
    assert call(q, 'take', WORKER, b'info', nonce, 8, 1 << 30, 30000)[4][:2] == reply[4][:2]
    held = [(reply[4][i], reply[4][i + 1]) for i in range(0, len(reply[4]), 3)]
    assert len(held) >= 3, held
    call(q, 'touch', WORKER, b'info2', 30000, *held[0], 40)
    assert call(q, 'done', WORKER, 0, b'', *held[0], b'{}') == [1]
    assert call(q, 'fail', WORKER, *held[1], 'P', 0, 13, b'bad', *held[2], 'T', 10, 13, b'bad') == [2, 1]
    q.r.delete(q.P + b'wk')
    q.r.blpop(q.P + b'wk', 0.01)
    q.r.get(q.P + b'ja')
    return held[1][0]


def imports(q):
    q.r.blmove(LIST, q.P + b'in', 0.01)
    assert call(q, 'import', 10, 1000, 100, 5, keys=[LIST])[2] == 0
    uuid = '01234567-89ab-cdef-0123-456789abcdef'
    assert q.r.execute_command('EVAL', TEXTS['reference'], 1, uuid, '[]', 1000) in (b'OK', True)
    q.r.mget(uuid), q.r.rpush(LIST, b'1'), q.r.llen(LIST), q.r.delete(uuid)


def operates(q, dead):
    call(q, 'config', 'xn', 100, 'it', '')
    call(q, 'pause', 1, 0), call(q, 'pause', 0, 3)
    assert call(q, 'requeue', b'*', dead) == [1]
    call(q, 'purge', 'w', -1, 10, 1, b''), call(q, 'purge', 'x', -1, 0, 10, b'1:a'), call(q, 'purge', 'd', -1, 0, 10, b'')
    q.r.slowlog_get(1), q.r.config_get('maxmemory*')


def is_denied(q):
    """What no role may do."""
    for command in (['FLUSHALL'], ['KEYS', '*'], ['CONFIG', 'SET', 'maxmemory', '1'], ['ACL', 'LIST'], ['SCRIPT', 'FLUSH'], 
                    ['SET', 'foreign', '1'], ['GET', 'foreign'], ['SHUTDOWN', 'NOSAVE'], ['CLIENT', 'KILL', 'ID', '1'], ['MONITOR']):
        error = refused(q.r.execute_command, *command)
        assert 'permission' in error.lower(), (command, error)


def a_role_runs_all_it_does(server):
    admin = server.client()
    admin.flushall()
    prefix = b'iq:{' + LIST.encode() + b'}:'
    users = {role: as_user(server, 'imgq-' + role, rules(role), prefix) for role in ('producer', 'worker', 'operator', 'reader')}
    for role, q in users.items():
        is_denied(q)
    for round_, (producer, worker, operator) in enumerate([('producer', 'worker', 'operator'), ('worker', 'operator', 'operator')]):
        admin.flushall()
        admin.script_flush()
        admin.rpush(LIST, b'{"id": "1"}', b'{"id": "2"}')
        produces(users[producer])
        dead = works(users[worker], round_ + 1)
        imports(users[worker])
        operates(users[operator], dead)
        reads(users['reader'])
    # leases that ended, delayed jobs, deadlines, dead letters: the tick under the worker's rights
    q = users['worker']
    admin.flushall()
    produces(users['producer'])
    for number, (ident, state, index, score) in enumerate([
            (b'ta', b'A', 'a', 1), (b'td', b'D', 'd', 1), (b'tl', b'W', 'w', 1), (b'tf', b'F', 'x', 1), (b'tg', b'A', 'a', 1)]):
        admin.set(q.P + b'j' + ident, encode(state=state, flags=1 if ident == b'tl' else 0, deadline=1 if ident == b'tl' else 1 << 50,
                                              max_crashes=1 if ident == b'tg' else 3, rid=RID, seq=number))
        admin.zadd(q.P + index.encode(), {ident: score})
    admin.zadd(q.P + b'dl', {b'tl': 1})
    admin.zadd(q.P + b'wr', {WORKER: 1})
    admin.hset(q.M, 'tk', 1), admin.hset(q.M, 'gr', 0)
    time.sleep(0.3)
    admin.hset(q.M, mapping={'tk': int(time.time() * 1000) - 1000, 'gr': 0})
    call(q, 'touch', WORKER, b'', 30000)
    states = {i: (admin.getrange(q.P + b'j' + i, 1, 1)) for i in (b'ta', b'td', b'tl', b'tf', b'tg')}
    assert states == {b'ta': b'W', b'td': b'W', b'tl': b'E', b'tf': b'', b'tg': b'F'}, states


def probe_is_content_with_the_files_and_names_each_missing_rule(server):
    admin = server.client()
    admin.flushall()
    for role in ('reader', 'producer', 'worker', 'operator'):
        tokens = rules(role)
        missing = call(as_user(server, 'probe', tokens), 'probe', role, LIST)
        assert missing == [], (role, missing)
        # without one rule, the probe names just that
        of_others = set() if role == 'worker' else {'lindex', 'ltrim', 'blmove'} | ({'blpop'} if role == 'producer' else set())
        commands = set(re.findall(r"'([a-z]+)[ ']", TEXTS['probe'])) - {'reader', 'producer', 'worker', 'operator'} - of_others
        for token in tokens:
            name = token[1:]
            if token[0] == '+' and name in commands and name not in ('eval', 'evalsha'):
                without = as_user(server, 'probe', [t for t in tokens if t != token])
                missing = call(without, 'probe', role, LIST)
                assert missing == [token.encode()], (role, token, missing)
        named = set(commands) & {t[1:] for t in tokens}
        assert len(named) > 10, named


def other_keys_and_channels_are_named(server):
    admin = server.client()
    admin.flushall()
    tokens = rules('worker')
    narrow = as_user(server, 'probe', [t for t in tokens if t[0] not in '~&'] + ['~iq:{x.0}:*'], b'iq:{x.0}:')
    assert call(narrow, 'probe', 'worker', '') == [b'&iq:{x.0}:*']
    assert call(narrow, 'probe', 'worker', LIST) == [b'&iq:{x.0}:*', b'~image_queue', b'~????????-????-????-????-????????????']
    wide = Queue(narrow.r, virtual_clock=False, set_up=False, prefix=b'iq:{x.0}:')
    error = refused(wide.r.execute_command, 'EVAL', TEXTS['probe'], 2, 'iq:{y.0}:m', 'iq:{y.0}:0', 'worker', '')
    assert 'permission' in error.lower(), error
    assert refused(call, narrow, 'probe', 'nobody', '').startswith('IQARG')


def every_command_of_the_scripts_is_probed(server):
    """What the texts call stands in probe's lists, and in the ACL file of the role."""
    probed = set(re.findall(r"'([a-z]+)(?: [^']*)?'", TEXTS['probe']))
    roles = {'reader': ('status', 'stats', 'list', 'workers'), 'producer': ('submit', 'status', 'attach', 'ack', 'cancel'),
             'worker': ('take', 'touch', 'done', 'fail', 'import'), 'operator': ('requeue', 'purge', 'pause', 'config')}
    for role, names in roles.items():
        granted = {t[1:] for t in rules(role) if t[0] == '+'}
        for name in names:
            used = {word.lower() for word in re.findall(r"call\('([A-Z]+)'", TEXTS[name])}
            assert {'hmget', 'time'} <= used, used  # common/values.lua is in it
            assert used <= probed | {'time'}, (name, used - probed)
            if role != 'reader':
                assert used <= granted, (role, name, used - granted)


def the_files_are_what_aclfile_reads(server):
    lines = ''
    for role in ('reader', 'producer', 'worker', 'operator'):
        lines += open(os.path.join(SOURCE, 'lib', 'queue', 'acl', role + '.acl')).read()
    path = os.path.join(server.folder, 'users.acl')
    with open(path, 'w') as file:
        file.write('user default on nopass ~* &* +@all\n' + lines)
    with Server('--aclfile', path) as other:
        users = other.client().execute_command('ACL', 'USERS')
        assert {b'imgq-producer', b'imgq-worker', b'imgq-operator', b'imgq-reader'} <= set(users), users


if __name__ == '__main__':
    with Server() as server:
        for test in (the_files_are_what_aclfile_reads, a_role_runs_all_it_does, probe_is_content_with_the_files_and_names_each_missing_rule, other_keys_and_channels_are_named,
                     every_command_of_the_scripts_is_probed):
            print(test.__name__, flush=True)
            test(server)
