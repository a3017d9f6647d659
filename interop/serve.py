#!/usr/bin/env python3
"""Serves two functions to every node of a mesh, through a node of this user. It needs nothing but Python.

usage: serve.py SOCKET      the control socket of the node, as its ready line names it
Then, on any node: peerage call py/add 2 3
"""
import asyncio, json, sys


async def greet(name, *, after=0):
    await asyncio.sleep(after)    # given up when nobody waits any more
    return f'hello {name}'

SERVICES = {'py/add': lambda *numbers: sum(numbers), 'py/greet': greet}


class Node:
    """Frames: four bytes of length, then [0 asks | 1 answers | 2 fails, id, content] in JSON."""
    async def connect(self, path):
        self.reader, self.writer = await asyncio.open_unix_connection(path)

    def send(self, kind, id, content):
        body = json.dumps([kind, id, content]).encode()
        self.writer.write(len(body).to_bytes(4, 'big') + body)

    async def next(self):
        return json.loads(await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(4), 'big')))

    async def answer(self, id, call):
        try:
            result = SERVICES[call['tag']](*call['args'], **call['kwargs'])
            self.send(1, id, await result if asyncio.iscoroutine(result) else result)
        except Exception as e:
            self.send(2, id, f'[{type(e).__name__}] {e}')


async def main(path):
    node, tasks = Node(), {}
    await node.connect(path)
    for id, tag in enumerate(SERVICES):
        node.send(0, id, ['peerage/local/serve', [tag], {}])
    while True:
        kind, id, content = await node.next()
        if kind == 0 and content[0] == 'call':
            call = content[1][0]
            tasks[call['call']] = task = asyncio.create_task(node.answer(id, call))
            task.add_done_callback(lambda _, number=call['call']: tasks.pop(number))
        elif kind == 0 and content[0] == 'cancel':    # to be answered when the work has ended
            if task := tasks.get(content[1][0]['call']):
                task.cancel()
                task.add_done_callback(lambda _, id=id: node.send(1, id, None))
            else:
                node.send(1, id, None)
        elif kind == 2:
            sys.exit(content)
        elif id + 1 == len(SERVICES):
            print('serving', *SERVICES, flush=True)

asyncio.run(main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__))
