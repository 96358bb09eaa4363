"""check.py SUPERVISOR FOLDER

Has the code of Home Assistant's Supervisor, in the checkout SUPERVISOR, judge the repository of apps in FOLDER: what it reads of
repository and app, the translations, and options as users set them. Only what judges is loaded; the rest of the Supervisor is
stood in for, so that no Docker, no D-Bus and no particular Python is needed.
"""

import collections
import importlib.abc
import importlib.machinery
import logging
import pathlib
import re
import sys
import types

import voluptuous as vol
import yaml

source, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


class Loader(importlib.machinery.SourceFileLoader):
    """Reads the Supervisor's modules by a Python older than its own as well."""

    def get_data(self, path):
        data = super().get_data(path)
        if not str(path).endswith(".py"):
            raise OSError("no compiled file")
        # "except A, B:" is of Python 3.14 (PEP 758).
        return re.sub(rb"except ([\w., ]+, [\w., ]+):", rb"except (\1):", data)

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return compile(self.get_data(path), path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the Supervisor's modules in the checkout, and stand-ins for what judges nothing."""

    stand_ins = ("supervisor.coresys", "supervisor.hardware.data", "supervisor.exceptions", "supervisor.utils.dt", "supervisor.jobs.const")

    def find_spec(self, name, path, target=None):
        if name in self.stand_ins:
            return importlib.machinery.ModuleSpec(name, self)
        if not name.startswith("supervisor"):
            return None
        place = source.joinpath(*name.split("."))
        if place.is_dir():
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        return importlib.machinery.ModuleSpec(name, Loader(name, str(place.with_suffix(".py"))), origin=str(place.with_suffix(".py")))

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


class StandIn(types.ModuleType):
    """Has a class of every name."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        base = Exception if name.endswith(("Error", "NotFound")) else object
        value = type(name, (base,), {"__class_getitem__": classmethod(lambda cls, _: cls)})
        setattr(self, name, value)
        return value


class Complaints(logging.Handler):
    """What the Supervisor would warn the author about is wrong as well."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.all = []

    def emit(self, record):
        self.all.append(record.getMessage())


sys.meta_path.insert(0, Finder())
complaints = Complaints()
logging.getLogger().addHandler(complaints)

# JobCondition and the like are enumerations of which only the names count here.
import supervisor.jobs.const  # noqa: E402


class Names(type):
    def __getattr__(cls, name):
        return name


supervisor.jobs.const.JobCondition = Names("JobCondition", (), {})

from supervisor.apps.options import AppOptions, UiOptions  # noqa: E402
from supervisor.apps.validate import SCHEMA_APP_CONFIG, SCHEMA_APP_TRANSLATIONS  # noqa: E402
from supervisor.store.validate import SCHEMA_REPOSITORY_CONFIG  # noqa: E402


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SCHEMA_REPOSITORY_CONFIG(read(folder / "repository.yaml"))
apps = [p for p in folder.glob("**/config.*") if p.suffix in (".yaml", ".yml", ".json") and "rootfs" not in p.parts]
assert len(apps) == 1, apps
place = apps[0].parent
raw = read(apps[0])
config = SCHEMA_APP_CONFIG(read(apps[0]))
unknown = set(raw) - set(config)
assert not unknown, f"the Supervisor does not know {unknown}"
for language in (place / "translations").iterdir():
    words = SCHEMA_APP_TRANSLATIONS(read(language))
    assert set(words["configuration"]) == set(config["schema"]), language


class Hardware:
    """One adapter."""

    device = collections.namedtuple("Device", "by_id path")(pathlib.Path("/dev/serial/by-id/usb-adapter"), pathlib.Path("/dev/ttyUSB0"))

    def get_by_path(self, path):
        if path not in (self.device.by_id, self.device.path):
            raise sys.modules["supervisor.exceptions"].HardwareNotFound
        return self.device

    def filter_devices(self, **_):
        return [self.device]


def judge(options):
    judged = AppOptions(None, config["schema"], config["name"], config["slug"])
    judged.sys_hardware = Hardware()
    return judged.validate(config["options"] | options)


# The form that the user sees.
form = UiOptions(None)
form.sys_hardware = Hardware()
fields = {field["name"]: field for field in form(config["schema"])}
assert fields["port"]["type"] == "select" and fields["port"]["options"] == ["/dev/serial/by-id/usb-adapter"], fields["port"]
assert fields["allow"]["type"] == "select" and fields["allow"]["multiple"], fields["allow"]
assert fields["meter_password"]["format"] == "password", fields["meter_password"]

# Just installed; with an adapter; and with everything.
assert judge({})["allow"] == ["read"]
assert judge({"port": "/dev/serial/by-id/usb-adapter"})["port"] == "/dev/serial/by-id/usb-adapter"
judge({
    "url": "listen://:4001?register=DTU1", "meters": "main=000012345678,rail=7@modbus/dtsu666?baud=9600&parity=none",
    "allow": ["read", "relay", "maintenance"], "meter_password": "02123456", "language": "zh", "console_login": True,
    "mqtt_url": "mqtts://broker", "mqtt_username": "u", "mqtt_password": "p", "log_level": "debug",
    "variables": ["DLT645_POINTS=/config/points.csv", "DLT645_SITE=家"],
})
for wrong in ({"port": "/dev/ttyUSB9"}, {"baud": "2401"}, {"allow": ["everything"]}, {"language": "de"}, {"variables": ["PATH=/"]}):
    try:
        judge(wrong)
    except vol.Invalid:
        continue
    raise AssertionError(f"the Supervisor takes {wrong}")

assert not complaints.all, complaints.all
for name, size in (("icon.png", (128, 128)), ("logo.png", (250, 128))):
    header = (place / name).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n" and (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == size, name
assert (place / "DOCS.md").is_file() and (place / "Dockerfile").is_file()
print("the Supervisor takes the app")
