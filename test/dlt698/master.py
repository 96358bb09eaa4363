"""A master of DL/T 698.45 that is not ours, for a meter 000000000010 on a TCP port of this host: master.py PORT

It speaks by the library dlt698. What the meter gives it is printed, a line for each question: its name, and the
data as hex, the rows of a record one by one, or the result of an access (DAR).
"""

import sys

from dlt698 import Client, ClientOptions, ConnectionProfile, Data, Oad, Omd, SessionOptions
from dlt698.codec import decode_data, encode_data
from dlt698.model import Selector1, Selector2, Selector9
from dlt698.protocol import AddressType, AssociationParameters, Frame, GetRecord

FREEZE_TIME = Oad(oi=0x2021, attribute=2)
ENERGY = Oad(oi=0x0010, attribute=2)
FIRST_RELAY = "51 F2 05 02 01"


def shown(result):
    return "DAR %d" % result if isinstance(result, int) else encode_data(result).hex().upper()


def main():
    address = Frame().server
    address.type, address.bytes = AddressType.single, bytes.fromhex("000000000010")[::-1]
    client = Client(ClientOptions(protocol=SessionOptions(
        server=address, client_address=0x10, preset_association=True,
        parameters=AssociationParameters(protocol=[0xFF] * 8, function=[0xFF] * 16),
    )))
    client.connect_tcp("127.0.0.1", int(sys.argv[1]), ConnectionProfile.local_preset)

    def get(name, oi, index=0, attribute=2):
        result = client.get(Oad(oi=oi, attribute=attribute, index=index))
        print(name, shown(result.dar if result.data is None else result.data))

    def rows(name, selector, *columns):
        result = client.get_record(GetRecord(attribute=Oad(oi=0x5004, attribute=2), rows=selector, columns=list(columns))).result
        if isinstance(result, int):
            print(name, shown(result))
            return []
        for row in result:
            print(name, *(shown(cell) for cell in row))
        return result

    def act(name, oi, method, argument):
        print(name, "DAR %d" % client.action(Omd(oi=oi, method=method), decode_data(bytes.fromhex(argument))).dar)

    get("address", 0x4001)
    get("model", 0x410B)
    get("voltages", 0x2000)
    get("voltage of phase B", 0x2000, 2)
    get("nothing", 0x2000, 9)
    attributes = [Oad(oi=oi, attribute=2) for oi in (0x0010, 0x2001, 0x2004, 0x4002, 0x4104, 0x7FFF)]
    for one in client.get_list(attributes).attributes:
        print("list %04X" % one.attribute.oi, shown(one.result))
    newest = rows("last day", Selector9(previous=1), FREEZE_TIME, ENERGY)
    oldest = rows("third last day", Selector9(previous=3), FREEZE_TIME)
    rows("that day", Selector1(attribute=FREEZE_TIME, value=newest[0][0]), FREEZE_TIME)
    rows("days before", Selector2(attribute=FREEZE_TIME, begin=oldest[0][0], end=newest[0][0], interval=Data.null()), FREEZE_TIME, ENERGY)
    print("set", "DAR %d" % client.set(Oad(oi=0x4100, attribute=2), Data.uint8(30)))
    get("demand period", 0x4100)
    act("trip", 0x8000, 129, "01 01 02 04 %s 11 00 12 00 00 03 00" % FIRST_RELAY)
    get("relay", 0x8000, attribute=3)
    act("close", 0x8000, 130, "01 01 02 02 %s 16 01" % FIRST_RELAY)
    get("relay", 0x8000, attribute=3)
    act("no such method", 0x8000, 77, "00")
    client.request_disconnect()
    client.close()


main()
