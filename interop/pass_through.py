#!/usr/bin/env python3
"""Sends every kind of value to `peerage/pass_through` with aiomas, and checks that it comes back equal.

usage: pass_through.py ADDRESS CODEC [PEER]
  ADDRESS  host:port or unix:/path      CODEC  json | msgpack
  PEER     id of another node: then the node at ADDRESS, its control socket, calls that one
Prints how many checks passed.
"""
import asyncio, sys
import aiomas
from aiomas_client import CODECS, norm, values


async def main(address, codec, peer=None):
    host, _, port = address.rpartition(':')
    channel = await aiomas.channel.open_connection(port if host == 'unix' else (host, int(port)), codec=CODECS[codec])

    async def passed(args, kwargs):
        call = ['peerage/pass_through', args, kwargs]
        if peer is None:
            return norm(await channel.send(call))
        ended = await channel.send(['peerage/local/call', call, {'peer': peer}])
        assert ended['outcome'] == 'ok', ended
        return norm(ended['value'])

    checks = 0
    for value in values(codec):
        for args, kwargs, wanted in [([value], {}, value), ([value, 1], {'k': value}, [[value, 1], {'k': value}])]:
            found = await passed(args, kwargs)
            assert found == norm(wanted) and type(found) is type(norm(wanted)), (wanted, found)
            checks += 1
    await channel.close()
    print(f'{checks} checks passed')

if len(sys.argv) < 3:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
