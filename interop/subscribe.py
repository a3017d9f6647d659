#!/usr/bin/env python3
"""Subscribes to events of a mesh, through a node of this user, and prints them with their gaps. It needs nothing but Python.

usage: subscribe.py SOCKET PATTERN [COUNT]      SOCKET: the control socket of the node; ends after COUNT events
Then, on any node: peerage pub build/done '{"id": 7}'
"""
import asyncio, json, sys


async def main(path, pattern, count=None):
    reader, writer = await asyncio.open_unix_connection(path)

    def send(kind, id, content):    # frames: four bytes of length, then [0 asks | 1 answers | 2 fails, id, content]
        body = json.dumps([kind, id, content]).encode()
        writer.write(len(body).to_bytes(4, 'big') + body)

    send(0, 0, ['peerage/local/subscribe', [pattern], {'policy': 'ring:1000', 'include_self': True}])
    heard = 0
    while count is None or heard < int(count):
        length = int.from_bytes(await reader.readexactly(4), 'big')
        kind, id, content = json.loads(await reader.readexactly(length))
        if kind == 2:
            sys.exit(content)
        if kind == 1:    # the subscription is accepted; its first record says when it holds
            continue
        record = content[1][0]
        if 'seq' in record:
            heard += 1
            print(record['event'], record['seq'], json.dumps(record['value']), flush=True)
        elif 'gap' in record:
            print('missed', record['gap']['event'], record['gap']['first'], record['gap']['last'], flush=True)
        else:
            print(record['event'], flush=True)
        send(1, id, None)    # only then does the node tell more: whoever is slow is told of gaps
        await writer.drain()

asyncio.run(main(*sys.argv[1:]) if len(sys.argv) in (3, 4) else sys.exit(__doc__))
