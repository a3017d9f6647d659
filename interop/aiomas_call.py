#!/usr/bin/env python3
"""A real aiomas caller that asks and prints what it got, for interoperability tests.

usage: aiomas_call.py ADDRESS CODEC CONTENT...
  ADDRESS  host:port or unix:/path      CODEC  json | msgpack
  CONTENT  one request each, as JSON; they are asked one after the other
Prints one JSON line per request:
  {"result": X} | {"exception": TEXT}, the remote one | {"lost": TYPE}, the connection ended, or never was
"""
import asyncio, json, sys, warnings
warnings.simplefilter('ignore')
import aiomas
from aiomas import codecs
from aiomas.exceptions import RemoteException

CODECS = {'json': codecs.JSON, 'msgpack': codecs.MsgPack}
SECONDS = 10    # for each answer


async def ask(channel, content):
    try:
        return {'result': await asyncio.wait_for(channel.send(content), SECONDS)}
    except RemoteException as e:
        return {'exception': e.remote_traceback}
    except ConnectionError as e:
        return {'lost': type(e).__name__}


async def main(address, codec, *contents):
    if address.startswith('unix:'):
        address = address[5:]
    else:
        host, port = address.rsplit(':', 1)
        address = (host.strip('[]'), int(port))
    channel = await aiomas.channel.open_connection(address, codec=CODECS[codec])
    for content in contents:
        print(json.dumps(await ask(channel, json.loads(content))), flush=True)
    await channel.close()

if len(sys.argv) < 4:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
