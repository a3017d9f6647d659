#!/usr/bin/env python3
"""Calls services of a mesh with aiomas, through the control socket of a node or a plain listener.

usage: call.py ADDRESS CODEC        host:port or unix:/path, json or msgpack
Needs `peerage serve add --command …` and `peerage serve no --command false`, or their like.
"""
import asyncio, json, sys, warnings
warnings.simplefilter('ignore')
import aiomas


async def main(address, codec):
    host, _, port = address.rpartition(':')
    place = port if host == 'unix' else (host, int(port))
    connection = await aiomas.rpc.open_connection(place, codec={'json': aiomas.JSON, 'msgpack': aiomas.MsgPack}[codec])
    print(await connection.remote.add(2, 3))
    print(json.dumps(await connection.remote.peerage.pass_through([1, 'two', None], three=3.5)))
    try:
        await connection.remote.no()
    except aiomas.RemoteException as e:
        print(e.remote_traceback)
    await connection.close()

if len(sys.argv) != 3:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
