"""A meter of DL/T 698.45 that is not ours, on a TCP port of this host: meter.py [fragments | blocks]

It speaks by the library dlt698, which has a codec, links and rules of its own. Long answers come whole, in
fragments on the link, or in blocks that are asked for. It prints its port when it is ready.
"""

import sys
import threading

from dlt698 import ConnectionProfile, Data, Device, DeviceLayout, DeviceOptions, Oad, Server, ServerOptions, SessionOptions, Wiring
from dlt698.codec import decode_data
from dlt698.protocol import AddressType, AssociationParameters, Frame

CLIENT = 0x10  # as the bridge calls itself


def array(make, *values):
    return Data.array([make(value) for value in values])


def meter():
    device = Device(DeviceOptions(layout=DeviceLayout(tariff_count=4, wiring=Wiring.three_phase)))
    for oi, value in {
        0x0010: array(Data.uint32, 12345678, 1234567, 2345678, 3456789, 5308644),
        0x2000: array(Data.uint16, 2201, 2213, 2198),
        0x2001: array(Data.int32, 5123, -4011, 0),
        0x2004: array(Data.int32, 21876, 11276, 8876, 1724),
        0x2005: array(Data.int32, -3000, -1000, -1000, -1000),
        0x200A: array(Data.int16, 998, 1000, 997, -994),
        0x200F: Data.uint16(4998),
        0x4000: decode_data(bytes.fromhex("1C 07EA 03 01 0C 1E 2D")),
        0x4001: Data.octet_string(bytes.fromhex("000000000010")),
        0x4103: Data.visible_string("ASSET-0001".ljust(32)),
    }.items():
        device.set(Oad(oi=oi, attribute=2), value)
    return device


def main():
    cut = sys.argv[1] if len(sys.argv) > 1 else ""
    address = Frame().server
    address.type, address.bytes = AddressType.single, bytes.fromhex("000000000010")[::-1]
    limits = AssociationParameters(
        protocol=[0xFF] * 8, function=[0xFF] * 16,
        apdu_bytes=96 if cut == "blocks" else 1024, send_frame_bytes=64 if cut == "fragments" else 1024,
    )
    server = Server(meter(), ServerOptions(protocol=SessionOptions(
        server=address, client_address=CLIENT, preset_association=True,
        prefer_get_blocks=cut == "blocks", parameters=limits,
    )))
    server.start_tcp("127.0.0.1", 0, ConnectionProfile.local_preset)
    print(server.local_port, flush=True)
    threading.Event().wait()


main()
