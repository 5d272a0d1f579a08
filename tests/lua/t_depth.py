"""A deep queue is as quick as a shallow one: server time of submit, take and done at 100 and at 100 000 waiting jobs.

Times and memory are printed, never judged; what is judged is that nothing is lost or doubled on the way. IMGQ_DEPTH sets the depth."""
import os

from server import NOBODY, Queue, Server

NAMES = ('submit', 'take', 'done')


def usec_per_call(client):
    stats = client.info('commandstats').get('cmdstat_evalsha', {})
    return stats.get('usec', 0), stats.get('calls', 0)


def main():
    depth = int(os.environ.get('IMGQ_DEPTH', '100000'))
    with Server() as server:
        client = server.client()
        q = Queue(client, virtual_clock=False)
        q.call('config', 'xn', depth + 10000)
        number, figures, fences = 0, {}, set()

        def fill(count):
            nonlocal number
            for _ in range(count // 100):
                arguments = [NOBODY, b'', 100]
                for _ in range(100):
                    arguments += [b'_%031x' % number, number % 10, 0, 0, 0, 3, 3, b'', b'', b'x' * 100]
                    number += 1
                assert all(reply[0] == 0 for reply in q.call('submit', *arguments)[3:])

        def measure(rounds=40, batch=32):
            spent = dict.fromkeys(NAMES, 0)
            nonlocal number
            for _ in range(rounds):
                arguments = [NOBODY, b'', batch]
                for _ in range(batch):
                    arguments += [b'_%031x' % number, number % 10, 0, 0, 0, 3, 3, b'', b'', b'x' * 100]
                    number += 1
                for name in NAMES:
                    client.config_resetstat()
                    if name == 'submit':
                        q.call('submit', *arguments)
                    elif name == 'take':
                        taken = q.take(batch)
                        assert len(taken) == batch
                        fences.update(fence for _, fence, _ in taken)
                    else:
                        assert q.done(*taken.held()) == [1] * batch
                    spent[name] += usec_per_call(client)[0]
            return {name: spent[name] / rounds / batch for name in NAMES}

        for target in (100, depth):
            before, waiting = client.info('memory')['used_memory'], client.zcard(q.P + b'w')
            fill(target - waiting)
            memory = (client.info('memory')['used_memory'] - before) / max(1, target - waiting)
            assert client.zcard(q.P + b'w') == target
            figures[target] = measure()
        assert len(fences) == 2 * 40 * 32
        assert q.call('stats')[1] == depth and q.field('n') == depth
        print(f'{memory:.0f} bytes of memory a waiting job of 100 bytes')
        for name in NAMES:
            shallow, deep = figures[100][name], figures[depth][name]
            print(f'{name:6}: {shallow:5.1f} us a job at 100 waiting, {deep:5.1f} us at {depth}: x{deep / shallow:.2f}')


if __name__ == '__main__':
    main()
