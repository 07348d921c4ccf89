#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy on loopback that adds a round-trip time, half of it each way, and may let only so many octets
a second through each connection.

As a program, delay.py LISTEN_PORT TARGET_PORT RTT_MS OCTETS_A_SECOND (0: no limit), so that it has a processor
of its own.
"""
import asyncio
import subprocess
import sys

CHUNK = 1 << 18
CHUNKS_IN_FLIGHT = 256  # of one direction: more than what is under way on any such line


class DelayProxy:
    def __init__(self, target_port, rtt_ms, rate=0):
        from .place import accepts_connections, free_port, wait_for
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.port), str(target_port), str(rtt_ms), str(rate)])
        wait_for(lambda: accepts_connections(self.port), 20, f"a delaying proxy on port {self.port}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


async def carry(reader, writer, delay, rate):
    clock, line = asyncio.get_running_loop(), asyncio.Queue(CHUNKS_IN_FLIGHT)
    chunk = min(CHUNK, rate // 50 + 1) if rate else CHUNK

    async def take():
        octets, free = True, 0.0
        while octets:
            octets = await reader.read(chunk)
            free = max(free, clock.time()) + (len(octets) / rate if rate else 0)
            await line.put((free + delay, octets))

    taking = asyncio.create_task(take())
    try:
        while True:
            due, octets = await line.get()
            await asyncio.sleep(due - clock.time())
            if not octets:
                return
            writer.write(octets)
            await writer.drain()
    except OSError:
        pass  # the other side has left
    finally:
        taking.cancel()
        writer.close()


async def serve(listen_port, target_port, delay, rate):
    async def accept(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(carry(reader, far_writer, delay, rate),
                             carry(far_reader, writer, delay, rate))

    server = await asyncio.start_server(accept, "127.0.0.1", listen_port, limit=2 * CHUNK)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2000,
                      int(sys.argv[4])))
