#!/usr/bin/env python3
"""A Modbus RTU slave on a serial line, by pymodbus: an implementation that is not ours.

slave.py PORT BAUD: slave 7 with the registers of a DTSU666 and a relay. Prints "ready".
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice


def floats(address, *values):
    return SimData(address, values=list(values), datatype=DataType.FLOAT32)


HOLDING = [
    SimData(0x0006, values=[40, 10], datatype=DataType.UINT16),
    SimData(0x0030, values=[0, 0, 0, 0], datatype=DataType.UINT16),
    floats(0x101E, 123.456, 41.0, 41.2, 41.256, 0.0, 7.5, 2.5, 2.5, 2.5),
    floats(0x2000, 3987.0, 3988.0, 3989.0, 2302.0, 2303.0, 2304.0, 1152.0, 1153.0, 1154.0,
           9288.0, 3000.0, 3100.0, 3188.0, -120.0, -40.0, -40.0, -40.0),
    floats(0x202A, 998.0, 997.0, 996.0, 995.0),
    floats(0x2044, 4998.0),
]
COILS = [SimData(0, values=[True] * 16, datatype=DataType.BITS)]
DISCRETES = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
INPUTS = [floats(0x0000, 230.2)]


async def main(port, baud):
    device = SimDevice(7, simdata=(COILS, DISCRETES, HOLDING, INPUTS), use_bit_addressing=True)
    server = ModbusSerialServer([device], framer=FramerType.RTU, port=port, baudrate=baud, parity="N", stopbits=1)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
