#!/usr/bin/env python3
"""Makes tests/golden/h5: HDF5 files with what this program does not write and must refuse, and one that it must read as
another version of HDF5 wrote it. Needs h5py.

    make_golden_h5.py

Each of the former is otherwise such a file as h5_write.c makes, with a content hash (of the right length), so that it is for the one
odd thing that it is refused. The tests of io.h5 name them all; the fuzzer begins with them. format_2.h5 is made by nobody any more:
a checkpoint as it was written before format 3.
"""

import ctypes
import pathlib

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p, h5s, h5t

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/h5"
DATA = np.arange(32, dtype="<f4").reshape(4, 8)
LIBRARY = ctypes.CDLL(str(next(pathlib.Path(h5py.__file__).parents[1].glob("h5py.libs/libhdf5-*"))))  # the one that h5py has loaded


def compact(kind):
    """Properties of a new file, group or dataset: attributes and members in its header, no times. See h5_properties()."""
    plist = h5p.create(kind)
    plist.set_attr_phase_change(65535, 0)
    plist.set_obj_track_times(False)
    if not isinstance(plist, h5p.PropDCID):
        assert LIBRARY.H5Pset_link_phase_change(ctypes.c_int64(plist.id), ctypes.c_uint(65535), ctypes.c_uint(0)) == 0
    return plist


def create(name, file_format=3, properties=None, libver=h5f.LIBVER_V110):
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(libver, h5f.LIBVER_V110)
    path = str(FOLDER / f"{name}.h5").encode()
    file = h5py.File(h5f.create(path, h5f.ACC_TRUNC, properties or compact(h5p.FILE_CREATE), access))
    if file_format:
        file.attrs["format"] = np.int64(file_format)
    text(file, "content_hash", "00112233445566778899aabbccddeeff")
    return file


def text(node, name, value):
    node.attrs.create(name, value, dtype=h5py.string_dtype("utf-8", len(value)))


def group(parent, name):
    return h5py.Group(h5g.create(parent.id, name.encode(), gcpl=compact(h5p.GROUP_CREATE)))


def dataset(parent, name, **options):
    return parent.create_dataset(name, dcpl=compact(h5p.DATASET_CREATE), **options)


def soft_link(file):
    file["adapter"] = h5py.SoftLink("/elsewhere")


def external_link(file):
    file["adapter"] = h5py.ExternalLink("/etc/hostname", "/")


def external_storage(file):
    dataset(file, "data", data=DATA, external=[("/etc/hostname", 0, DATA.nbytes)])


def virtual(file):
    space = h5s.create_simple(DATA.shape)
    properties = compact(h5p.DATASET_CREATE)
    properties.set_virtual(space, b"other.h5", b"data", space)
    h5d.create(file.id, b"data", h5t.py_create(DATA.dtype), space, properties)


def chunked(file):
    dataset(file, "data", data=DATA, chunks=DATA.shape, fletcher32=True)


def deflated(file):
    """A chunk of a thousandth of what it claims to hold."""
    dataset(file, "data", shape=(1 << 20,), dtype="<f4", chunks=(1 << 20,), compression="gzip", fletcher32=True)[:] = 0


def filled(file):
    """Values that are nowhere: the fill value of a dataset that was never written."""
    dataset(file, "data", shape=DATA.shape, dtype="<f4", fillvalue=1)


def loop(file):
    """Groups that hold one another, many times over."""
    inner = group(file, "a")
    for i in range(200):
        inner[f"name{i}"] = file


def text_without_length(file):
    file.attrs["config"] = "of variable length"


def compound(file):
    dataset(file, "data", data=np.zeros(4, dtype=[("a", "<f4"), ("b", "<i8")]))


def named_type(file):
    file["type"] = np.dtype("<f4")


def reference(file):
    file.attrs["ref"] = group(file, "a").ref


def list_attribute(file):
    file.attrs["list"] = np.arange(4)


def five_dimensions(file):
    dataset(file, "data", data=np.zeros((1, 1, 1, 1, 2), "<f4"))


def deep(file):
    for _ in range(5):
        file = group(file, "d" * 1000)


def in_a_heap(file):
    """More members than HDF5 keeps in a header by itself."""
    properties = h5p.create(h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    usual = h5py.Group(h5g.create(file.id, b"adapter", gcpl=properties))
    for i in range(20):
        group(usual, f"m{i}")


def accepted(file):
    """What this program does write, in every form that HDF5 has for it; values that the test can compute."""
    for i in range(12):
        file.attrs[f"real{i}"] = np.float64(i / 2)
    for name, length in (("short", 3), ("long", 5000)):
        text(file, name, "y" * length)
    members = group(file, "members")
    for i in range(60):  # their headers go on elsewhere
        group(members, "m" * i + str(i)).attrs["n"] = np.int64(i)
    number = np.arange(5 * 13 * 3)
    for name, dtype, shape in (("rows", "<f4", (13, 15)), ("cube", "<u8", (5, 13, 3)), ("one", "<i4", (195,)), ("bytes", "<i1", (1, 195))):
        dataset(file, name, data=number.astype(dtype).reshape(shape))
    dataset(file, "none", shape=(0, 4), dtype="<f4")
    dataset(file, "text", data="z" * 3000, dtype=h5py.string_dtype("utf-8", 3000))


def main():
    FOLDER.mkdir(exist_ok=True)
    for make in (soft_link, external_link, external_storage, virtual, chunked, deflated, filled, loop, text_without_length, compound,
                 named_type, reference, list_attribute, five_dimensions, deep, in_a_heap, accepted):
        with create(make.__name__) as file:
            make(file)
    for name, options in (("format_4", {"file_format": 4}), ("no_format", {"file_format": None}),
                          ("times", {"properties": h5p.create(h5p.FILE_CREATE)}), ("earliest", {"libver": h5f.LIBVER_EARLIEST})):
        create(name, **options).close()


if __name__ == "__main__":
    main()
