#!/usr/bin/env python3
"""Makes tests/golden/h5: HDF5 files with what this program does not write and must refuse, and two that it must read as
another version of HDF5 wrote them. Needs h5py.

    make_golden_h5.py

Each of the former is otherwise such a file as h5_write.c makes, with a content hash (of the right length), so that it is for the one
odd thing that it is refused. The tests of io.h5 name them all; the fuzzer begins with them.
"""

import pathlib

import h5py
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/h5"
DATA = np.arange(32, dtype="<f4").reshape(4, 8)


def create(name):
    file = h5py.File(FOLDER / f"{name}.h5", "w", libver=("v110", "v110"))
    file.attrs.create("content_hash", np.bytes_(b"00112233445566778899aabbccddeeff"))
    file.attrs["step"] = np.int64(7)
    return file


def soft_link(file):
    file["adapter"] = h5py.SoftLink("/elsewhere")


def external_link(file):
    file["adapter"] = h5py.ExternalLink("/etc/hostname", "/")


def external_storage(file):
    file.create_dataset("data", data=DATA, external=[("/etc/hostname", 0, DATA.nbytes)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=DATA.shape, dtype=DATA.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=DATA.shape)
    file.create_virtual_dataset("data", layout)


def contiguous(file):
    file["data"] = DATA


def deflated(file):
    """A chunk of a thousandth of what it claims to hold."""
    file.create_dataset("data", shape=(1 << 20,), dtype="<f4", chunks=(1 << 20,), compression="gzip", fletcher32=True)[:] = 0


def filled(file):
    """Values that are nowhere: the fill value of a dataset that was never written."""
    file.create_dataset("data", shape=DATA.shape, dtype="<f4", chunks=DATA.shape, fletcher32=True, fillvalue=1)


def loop(file):
    """Groups that hold one another, many times over."""
    group = file.create_group("a")
    for i in range(200):
        group[f"name{i}"] = file


def text_without_length(file):
    file.attrs["config"] = "of variable length"


def compound(file):
    file["data"] = np.zeros(4, dtype=[("a", "<f4"), ("b", "<i8")])


def named_type(file):
    file["type"] = np.dtype("<f4")


def reference(file):
    file.attrs["ref"] = file.create_group("a").ref


def list_attribute(file):
    file.attrs["list"] = np.arange(4)


def five_dimensions(file):
    file.create_dataset("data", data=np.zeros((1, 1, 1, 1, 2), "<f4"), chunks=(1, 1, 1, 1, 2), fletcher32=True)


def deep(file):
    file.create_group("/".join("d" * 40))


def accepted(file):
    """What this program does write, in every form that HDF5 has for it; values that the test can compute."""
    for i in range(12):
        file.attrs[f"real{i}"] = np.float64(i / 2)
    for name, length in (("short", 3), ("long", 5000)):  # the long one stands by itself, outside of the heap
        file.attrs.create(name, "y" * length, dtype=h5py.string_dtype("utf-8", length))
    for i in range(60):  # more than fit a node of a tree
        file.create_group("members/" + "m" * i + str(i)).attrs["n"] = np.int64(i)
    number = np.arange(5 * 13 * 3)
    for name, dtype, shape, chunks in (("rows", "<f4", (13, 15), (4, 15)), ("parts", "<u8", (5, 13, 3), (1, 4, 3)),
                                       ("one", "<i4", (195,), (195,)), ("bytes", "<i1", (1, 195), (1, 195))):
        file.create_dataset(name, data=number.astype(dtype).reshape(shape), chunks=chunks, fletcher32=True)
    file.create_dataset("none", shape=(0, 4), dtype="<f4")


def paged(file):
    """More chunks than fit a page of their index."""
    file.create_dataset("data", data=np.arange(2100, dtype="<i4").reshape(1050, 2), chunks=(1, 2), fletcher32=True)


def main():
    FOLDER.mkdir(exist_ok=True)
    for make in (soft_link, external_link, external_storage, virtual, contiguous, deflated, filled, loop,
                 text_without_length, compound, named_type, reference, list_attribute, five_dimensions, deep, accepted, paged):
        with create(make.__name__) as file:
            make(file)
    with h5py.File(FOLDER / "old_format.h5", "w", libver=("earliest", "v108")) as file:  # metadata without checksums
        file.attrs.create("content_hash", np.bytes_(b"00112233445566778899aabbccddeeff"))


if __name__ == "__main__":
    main()
